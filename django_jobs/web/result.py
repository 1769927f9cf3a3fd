"""What a job returned, as plain JSON, with its secrets masked."""

from __future__ import annotations

import logging
from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse

from ..exceptions import ResultExpired, ResultUnreadable, SerializationError
from ..models import Job
from ..policy.http_problems import Kind
from ..policy.states import State
from ..policy.status import problem_of
from ..redaction import shown
from .json_values import as_plain
from .problems import Problem, answering_problems, check_method
from .visible_job import DETAILS, Sight, is_withheld, job_gone, look, may_see_result

logger = logging.getLogger("django_jobs.web")


@answering_problems
def result(request: HttpRequest, key: str) -> HttpResponseBase:
    """Answer ``{"result": ...}``; problem details where there is none, or not yet, or not for this client."""
    check_method(request, "GET", "HEAD")
    sight = look(request, key)
    _check_ended(sight)
    if not may_see_result(request, sight):
        raise Problem(Kind.RESULT_WITHHELD, _why_withheld(sight))
    job = Job.objects.only("name", "state", "result_data").filter(pk=sight.seen.job_id).first()
    if job is None:
        raise job_gone()
    response = JsonResponse({"result": _plain_result(job)})
    response["Cache-Control"] = "private, no-store"
    response["X-Robots-Tag"] = "noindex"
    return response


def _check_ended(sight: Sight) -> None:
    state = sight.seen.state
    if state is State.SUCCEEDED:
        return
    kind = problem_of(state)
    if kind is None:
        raise Problem(
            Kind.JOB_NOT_ENDED,
            f"the job is {state}; wait for its end on its status page",
            state=state.value,
        )
    raise Problem(kind, str(DETAILS[state]), state=state.value)


def _why_withheld(sight: Sight) -> str:
    if is_withheld(sight.seen.name):
        return "the job works with secrets (redact), so what it returns is not shown over HTTP"
    return "this needs the permission django_jobs.view_job_arguments, or the signed address"


def _plain_result(job: Job) -> Any:
    lost = Problem(
        Kind.RESULT_LOST, "the job has succeeded, but what it returned could not be stored as JSON"
    )
    if job.is_result_lost:
        raise lost
    try:
        return as_plain(shown(job, job.result_json))
    except ResultExpired as error:
        raise Problem(
            Kind.RESULT_EXPIRED, "the job has succeeded; what it returned was kept for a time, which is over"
        ) from error
    except ResultUnreadable as error:
        logger.exception("the result of job %s (%s) cannot be read", job.pk, job.name)
        raise lost if error.is_gone else _unreadable() from error
    except SerializationError as error:
        raise lost from error


def _unreadable() -> Problem:
    return Problem(
        Kind.RESULT_UNREADABLE,
        "the job has succeeded; the storage of what it returned does not answer as it should, so ask again later",
        headers={"Retry-After": "30"},
    )
