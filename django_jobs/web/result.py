"""The result of a job as plain JSON, secrets masked."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from .. import registry
from ..exceptions import ResultExpiredError, ResultUnreadableError, SerializationError
from ..log_records import log_job
from ..models import Job
from ..policy.states import State
from ..redaction import is_secret_job, redact_job_value
from .json_values import to_json_value
from .problem_kinds import ProblemKind, problem_for_state
from .problems import Problem, check_method, handle_problems
from .visible_job import (
    STATE_DETAILS,
    VisibleJob,
    can_view_result,
    get_visible_job,
    job_gone_problem,
)

logger = logging.getLogger("django_jobs.web")


@handle_problems
def result(request: HttpRequest, key: str) -> HttpResponseBase:
    """Answer ``{"result": ...}``, or problem details if there is none, not yet, or not for this client."""
    check_method(request, "GET", "HEAD")
    visible_job = get_visible_job(request, key)
    _check_ended(visible_job)
    if not can_view_result(request, visible_job):
        raise Problem(ProblemKind.RESULT_WITHHELD, _why_withheld(visible_job))
    rows = Job.objects.using(visible_job.status.database).only("name", "state", "result_data")
    job = rows.filter(pk=visible_job.status.job_id).first()
    if job is None:
        raise job_gone_problem()
    response = JsonResponse({"result": _plain_result(job)})
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex"
    return response


def _check_ended(visible_job: VisibleJob) -> None:
    state = visible_job.status.state
    if state is State.SUCCEEDED:
        return
    kind = problem_for_state(state)
    if kind is None:
        raise Problem(
            ProblemKind.JOB_NOT_ENDED,
            f"the job is {state}; wait on its status page until it ends",
            state=state.value,
        )
    raise Problem(kind, str(STATE_DETAILS[state]), state=state.value)


def _why_withheld(visible_job: VisibleJob) -> str:
    name = visible_job.status.name
    if registry.find(name) is None:
        return "no code here knows this job, so nobody can tell whether its result has secrets"
    if is_secret_job(name):
        return "the job works with secrets (redact), so its result is not shown over HTTP"
    return "this needs the permission django_jobs.view_job_arguments, or the signed address"


def _plain_result(job: Job) -> Any:
    lost = Problem(ProblemKind.RESULT_LOST, "the job has succeeded, but its result could not be stored as JSON")
    if job.is_result_lost:
        raise lost
    try:
        return to_json_value(redact_job_value(job, job.result_json))
    except ResultExpiredError as error:
        raise Problem(
            ProblemKind.RESULT_EXPIRED,
            "the job has succeeded; its result has expired",
        ) from error
    except ResultUnreadableError as error:
        log_job(logger, logging.ERROR, job, "has a result that cannot be read", exc_info=True)
        raise lost if error.is_gone else _unreadable() from error
    except SerializationError as error:
        raise lost from error


def _unreadable() -> Problem:
    return Problem(
        ProblemKind.RESULT_UNREADABLE,
        "the job has succeeded, but the storage of its result does not answer; ask again later",
        headers={"Retry-After": "30"},
    )
