"""Context of the progress bar, on the status page and for ``{% job_progress job %}``."""

from __future__ import annotations

import json
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..conf import get_settings
from ..models import Job
from ..policy.states import FINAL_STATES, State
from ..store.status import JobStatus
from .links import job_links

STATE_LABELS = {
    State.BLOCKED: _("Waiting for other jobs"),
    State.SCHEDULED: _("Scheduled"),
    State.READY: _("Waiting"),
    State.RUNNING: _("In progress"),
    State.SUCCEEDED: _("Done"),
    State.CANCELLED: _("Cancelled"),
    State.DEAD: _("Failed"),
}
WAIT_SECONDS = 20
"""How long one poll of a page without an event stream waits, at most STATUS["MAX_WAIT"]."""


def progress_context(request: HttpRequest, job: Job | JobStatus, *, key: str, has_result: bool) -> dict[str, Any]:
    """Return the context of the template ``django_jobs/progress.html``."""
    state = State(job.state)
    labels = {state.value: str(label) for state, label in STATE_LABELS.items()}
    links = job_links(request, key)
    value, maximum = _bar(job, state)
    return {
        "links": links,
        "state": state.value,
        "is_final": state in FINAL_STATES,
        "label": labels[state.value],
        "labels": json.dumps(labels, ensure_ascii=False),
        "text": _text(job, state, labels[state.value]),
        "value": value,
        "maximum": maximum,
        "result": links["result"] if has_result and state is State.SUCCEEDED else None,
        "wait": f"{min(WAIT_SECONDS, get_settings().status.max_wait.total_seconds()):g}",
    }


def _bar(job: Job | JobStatus, state: State) -> tuple[str | None, str]:
    """Return the value of the bar, None if it is unknown, and its maximum.

    A job may report 12 of 10, a bar may not. As text: a template would localize 1,000.
    """
    total = job.progress_total or 0
    if state is State.SUCCEEDED:
        return "1", "1"
    if job.progress_done is not None and total > 0:
        return str(min(max(job.progress_done, 0), total)), str(total)
    return ("0", "1") if state in FINAL_STATES else (None, "1")


def _text(job: Job | JobStatus, state: State, label: str) -> str:
    if state in FINAL_STATES or job.progress_done is None:
        return label
    count = f": {job.progress_done} / {job.progress_total}" if job.progress_total else ""
    message = f" \u2013 {job.progress_message}" if job.progress_message else ""
    return f"{label}{count}{message}"
