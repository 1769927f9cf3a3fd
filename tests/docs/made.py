"""What of the documentation is made from code. ``python -m tests.docs`` writes it; tests/docs/test_made.py compares.

A page is made as a whole, or has parts of it: what stands between ``<!-- made: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.databases import ROOT

from . import references
from .celery_tables import unsupported_calls, without_effect
from .own_figures import own_figures
from .settings_page import settings_page

DOCS = ROOT / "docs"
WHOLE: Mapping[str, Callable[[], str]] = {"reference/settings.md": settings_page}
PARTS: Mapping[str, Callable[[], str]] = {
    "job-options": references.job_options,
    "using-options": references.using_options,
    "schedule-options": references.schedule_options,
    "signals": references.signals,
    "check-messages": references.check_messages,
    "worker-options": references.worker_options,
    "jobs-verbs": references.jobs_verbs,
    "token-verbs": references.token_verbs,
    "metrics": references.metrics,
    "metrics-buckets": references.buckets,
    "own-figures": own_figures,
    "celery-unsupported-call": unsupported_calls,
    "celery-without-effect": without_effect,
}
MARK = re.compile(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def pages_with_parts() -> list[Path]:
    return [page for page in (ROOT / "README.md", *sorted(DOCS.rglob("*.md"))) if MARK.search(page.read_text())]


def filled(text: str) -> str:
    """Return the text of a page with its parts made anew."""
    return MARK.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", text)


def write_all() -> None:
    """Write all of it."""
    for name, make in WHOLE.items():
        (DOCS / name).write_text(make())
    for page in pages_with_parts():
        page.write_text(filled(page.read_text()))
