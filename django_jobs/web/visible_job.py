"""A job as one client may see it: found by the key of an address, checked, and put into words.

Everything here may ask the database: from the event loop it is called through ``sync_to_async``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connections
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from .. import registry
from ..policy.states import State
from ..store.enqueue.expiry import was_dropped
from ..store.status import JobStatus, last_error, read_statuses
from .access import VIEW_ARGUMENTS, check_access, has_permission
from .links import job_links
from .problem_kinds import ProblemKind, problem_for_state
from .problems import Problem, problem_details
from .signing import JobKey, parse_job_key

DETAILS = {
    State.DEAD: _(
        "It could not be done, and will not be tried again by itself. What went wrong is kept for staff."
    ),
    State.CANCELLED: _("It was cancelled and has no result."),
}
EXPIRED = _("It could not be begun in time to be of use. It was cancelled and has no result.")


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleJob:
    """What was seen of a job through the key of an address; ``is_owner`` where that alone opens its result."""

    key: JobKey
    seen: JobStatus
    is_owner: bool


def get_visible_job(request: HttpRequest, text: str) -> VisibleJob:
    """Return the job that the key of an address names. Raises Problem where it may not be seen, or is gone."""
    key = parse_job_key(text)
    is_owner = key.is_signed or check_access(request, key.job_id)
    seen = read_statuses([key.job_id]).get(key.job_id)
    if seen is None:
        raise job_gone_problem()
    return VisibleJob(key=key, seen=seen, is_owner=is_owner)


def job_gone_problem() -> Problem:
    """Return the problem of a job that is not in the database any more."""
    return Problem(ProblemKind.JOB_GONE, "it was deleted when its time to be kept was over, or by staff")


def status_body(request: HttpRequest, visible_job: VisibleJob) -> dict[str, Any]:
    """Return the body of the status page: problem details with the same members where the job is dead or cancelled."""
    seen, has_result = visible_job.seen, can_view_result(request, visible_job)
    links_ = job_links(request, visible_job.key.text)
    body: dict[str, Any] = {
        "id": seen.job_id,
        "state": seen.state.value,
        "is_final": seen.is_final,
        "progress": None
        if seen.progress_done is None
        else {
            "done": seen.progress_done,
            "total": seen.progress_total,
            "message": seen.progress_message,
        },
        "is_cancel_requested": seen.is_cancel_requested,
        "enqueued_at": seen.enqueued_at.isoformat(),
        "started_at": seen.started_at and seen.started_at.isoformat(),
        "finished_at": seen.finished_at and seen.finished_at.isoformat(),
        "result": links_["result"] if has_result and seen.state is State.SUCCEEDED else None,
        "links": links_,
    }
    kind = problem_for_state(seen.state)
    if kind is None:
        return body
    return {**problem_details(kind, _detail(request, seen), instance=links_["status"]), **body}


def can_view_result(request: HttpRequest, visible_job: VisibleJob) -> bool:
    """Tell whether the client may see what the job returned."""
    return not is_withheld(visible_job.seen.name) and (
        visible_job.is_owner or has_permission(request, VIEW_ARGUMENTS)
    )


def is_withheld(job_name: str) -> bool:
    """Tell whether jobs of this name work with secrets, so that what they return is shown to nobody over HTTP."""
    definition = registry.find(job_name)
    return definition is not None and bool(definition.options.redact)


def release_connections() -> None:
    """Close this thread's database connections before a long wait, but for those in a caller's transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


def _detail(request: HttpRequest, seen: JobStatus) -> str:
    if seen.state is State.CANCELLED and was_dropped(seen.job_id):
        return str(EXPIRED)
    if has_permission(request, VIEW_ARGUMENTS):
        return last_error(seen.job_id) or str(DETAILS[seen.state])
    return str(DETAILS[seen.state])
