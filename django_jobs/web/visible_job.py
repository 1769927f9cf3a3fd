"""A job as one client may see it: found by the key of its address, access checked, described as JSON.

All of this may query the database: from the event loop it is called through ``sync_to_async``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from ..policy.states import State
from ..redaction import is_secret_job
from ..store.enqueue.expiry import was_dropped
from ..store.status import JobStatus, last_error, read_statuses
from .access import VIEW_ARGUMENTS, check_access, has_permission
from .links import job_links
from .problem_kinds import ProblemKind, problem_for_state
from .problems import Problem, problem_details
from .signing import JobKey, parse_job_key

STATE_DETAILS = {
    State.DEAD: _("It failed and will not be retried automatically. Staff can see the error."),
    State.CANCELLED: _("It was cancelled and has no result."),
}
EXPIRED = _("It did not start before it expired. It was cancelled and has no result.")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleJob:
    """The status of a job found by its key; ``is_owner``: a signed key or the owner check."""

    key: JobKey
    status: JobStatus
    is_owner: bool


def get_visible_job(request: HttpRequest, text: str) -> VisibleJob:
    """Return the job that a key names. Raises Problem if the client may not see it, or it was deleted."""
    key = parse_job_key(text)
    is_owner = key.is_signed or check_access(request, key)
    status = read_statuses([key.job_id], using=key.database).get(key.job_id)
    if status is None:
        raise job_gone_problem()
    return VisibleJob(key=key, status=status, is_owner=is_owner)


def job_gone_problem() -> Problem:
    """Return the problem of a job that was deleted."""
    return Problem(ProblemKind.JOB_GONE, "it was deleted after its retention time, or by staff")


def status_body(request: HttpRequest, visible_job: VisibleJob) -> dict[str, Any]:
    """Return the body of the status page; that of a dead or cancelled job has problem details in addition."""
    status, has_result = visible_job.status, can_view_result(request, visible_job)
    links = job_links(request, visible_job.key.text)
    body: dict[str, Any] = {
        "id": status.public_id,
        "state": status.state.value,
        "is_final": status.is_final,
        "progress": None
        if status.progress_done is None
        else {
            "done": status.progress_done,
            "total": status.progress_total,
            "message": status.progress_message,
        },
        "is_cancel_requested": status.is_cancel_requested,
        "enqueued_at": status.enqueued_at.isoformat(),
        "started_at": status.started_at and status.started_at.isoformat(),
        "finished_at": status.finished_at and status.finished_at.isoformat(),
        "result": links["result"] if has_result and status.state is State.SUCCEEDED else None,
        "links": links,
    }
    kind = problem_for_state(status.state)
    if kind is None:
        return body
    return {**problem_details(kind, _detail(request, status), instance=links["status"]), **body}


def can_view_result(request: HttpRequest, visible_job: VisibleJob) -> bool:
    """Tell whether the client may see the job's result."""
    return not is_secret_job(visible_job.status.name) and (
        visible_job.is_owner or has_permission(request, VIEW_ARGUMENTS)
    )


def release_connections() -> None:
    """Close this thread's database connections before a long wait, except those in a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _detail(request: HttpRequest, status: JobStatus) -> str:
    if status.state is State.CANCELLED and was_dropped(status.job_id, using=status.database):
        return str(EXPIRED)
    if has_permission(request, VIEW_ARGUMENTS):
        return last_error(status.job_id, using=status.database) or str(STATE_DETAILS[status.state])
    return str(STATE_DETAILS[status.state])
