"""What the progress bar of a job is drawn from, on its status page and wherever ``{% job_progress job %}`` stands."""

from __future__ import annotations

import json
from typing import Any, Protocol

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..conf import get_settings
from ..policy.states import FINAL_STATES, State
from .links import job_links

STATE_LABELS = {
    State.BLOCKED: _("Waits for other work"),
    State.SCHEDULED: _("Planned"),
    State.READY: _("Waits for its turn"),
    State.RUNNING: _("In progress"),
    State.SUCCEEDED: _("Done"),
    State.CANCELLED: _("Cancelled"),
    State.DEAD: _("Failed"),
}
WAIT_SECONDS = 20
"""How long a page without an event stream waits for news before it asks again, where STATUS_MAX_WAIT allows it."""


class HasProgress(Protocol):
    """What is drawn of a job: a row of ``Job`` and what a watcher saw both have it."""

    @property
    def state(self) -> str:
        """The state's name."""

    @property
    def progress_done(self) -> int | None:
        """How far it is."""

    @property
    def progress_total(self) -> int | None:
        """Of how many."""

    @property
    def progress_message(self) -> str:
        """What it says of itself."""


def progress_context(request: HttpRequest, job: HasProgress, *, key: str, has_result: bool) -> dict[str, Any]:
    """Return what the template ``django_jobs/progress.html`` is rendered with."""
    state = State(job.state)
    words = {one.value: str(word) for one, word in STATE_LABELS.items()}
    links_ = job_links(request, key)
    value, maximum = _bar(job, state)
    return {
        "links": links_,
        "state": state.value,
        "is_final": state in FINAL_STATES,
        "word": words[state.value],
        "words": json.dumps(words, ensure_ascii=False),
        "text": _text(job, state, words[state.value]),
        "value": value,
        "maximum": maximum,
        "result": links_["result"] if has_result and state is State.SUCCEEDED else None,
        "wait": f"{min(WAIT_SECONDS, get_settings().status_max_wait.total_seconds()):g}",
    }


def _bar(job: HasProgress, state: State) -> tuple[str | None, str]:
    """Return how much of the bar is full, None where that is not known, and its length.

    A job may say 12 of 10, a bar may not. As text: a template would write 1,000 in the reader's language.
    """
    total = job.progress_total or 0
    if state is State.SUCCEEDED:
        return "1", "1"
    if job.progress_done is not None and total > 0:
        return str(min(max(job.progress_done, 0), total)), str(total)
    return ("0", "1") if state in FINAL_STATES else (None, "1")


def _text(job: HasProgress, state: State, word: str) -> str:
    if state in FINAL_STATES or job.progress_done is None:
        return word
    count = f": {job.progress_done} / {job.progress_total}" if job.progress_total else ""
    message = f" \u2013 {job.progress_message}" if job.progress_message else ""
    return f"{word}{count}{message}"
