"""The docs are held to the code: names, settings, options, transitions, links and examples."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest
from django.core.management import load_command_class

import django_jobs
from django_jobs.policy.states import TRANSITIONS, State
from tests.databases import ROOT

DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def _rows(page: Path, columns: int) -> list[list[str]]:
    """Return the cells of the page's tables of so many columns, headings and rules left out."""
    found = []
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
        if line.startswith("| ") and len(cells) == columns and not set(line) <= set("|- "):
            found.append(cells)
    return found[1:] if found else found


def _spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    missing = []
    for path, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text()):
        target = page.parent / path if path else page
        if "://" not in path and not (target.exists() and (not anchor or anchor in _anchors(target))):
            missing.append(f"{path}#{anchor}")
    assert missing == []


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_verb_is_described() -> None:
    parser = load_command_class("django_jobs", "jobs").create_parser("manage.py", "jobs")
    verbs = next(action.choices for action in parser._actions if action.dest == "verb")
    rows = (_spans(verb) for verb, _ in _rows(REFERENCE / "commands.md", 2))
    described = {spans[0].split()[0] for spans in rows if spans and not spans[0].startswith("--")}
    assert described == set(verbs)


def test_the_table_of_transitions_is_the_codes() -> None:
    described: dict[str, set[tuple[str, str]]] = {}
    for verb, before, after, _ in _rows(REFERENCE / "states.md", 4):
        described.setdefault(verb, set()).add((before, after))
    code = {verb: {(str(old), str(new)) for old, new in pairs} for verb, pairs in TRANSITIONS.items()}
    assert described == code


def test_every_state_is_described() -> None:
    described = [_spans(state)[0] for state, _ in _rows(REFERENCE / "states.md", 2)]
    assert described == [state.value for state in State]


PUBLIC_MODULES = [
    "backoff",
    "batches",
    "context",
    "contrib.celery",
    "contrib.mail",
    "contrib.debug_toolbar",
    "contrib.opentelemetry",
    "contrib.sentry",
    "contrib.tasks",
    "contrib.tasks.conformance",
    "exceptions",
    "hooks",
    "limits",
    "once",
    "schedules",
    "uniqueness",
    "workflows",
]


def test_every_public_name_is_described() -> None:
    sections = re.split(r"^## ", (REFERENCE / "api.md").read_text(), flags=re.MULTILINE)
    described = {
        section.split("\n", 1)[0]: {_spans(line)[0] for line in section.splitlines() if line.startswith("| `")}
        for section in sections
    }
    at_the_top = set(django_jobs.__all__)
    assert described["django_jobs"] == at_the_top
    for name in PUBLIC_MODULES:
        module = importlib.import_module(f"django_jobs.{name}")
        assert described[module.__name__] == set(module.__all__) - at_the_top, name


def test_every_check_is_described() -> None:
    checks = (
        "checks.py", "contrib/celery/checks.py", "contrib/prometheus/checks.py", "contrib/tasks/backend.py",
    )  # fmt: skip
    texts = [(ROOT / "django_jobs" / name).read_text() for name in checks]
    code = {found for text in texts for found in re.findall(r'id="(django_jobs\.\w+)"', text)}
    assert {_spans(one)[0] for one, _ in _rows(REFERENCE / "checks.md", 2)} == code


def _python_blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_example_is_python(page: Path) -> None:
    for block in _python_blocks(page):
        compile(block, str(page), "exec")
