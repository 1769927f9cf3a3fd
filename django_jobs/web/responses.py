"""202 Accepted, the answer of a view that has enqueued the work."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest, JsonResponse

from ..policy.states import State
from .links import job_links
from .polling import MIN_RETRY_AFTER_SECONDS, retry_after
from .signing import sign_job_id

if TYPE_CHECKING:  # Django imports this package before it can load models
    from ..models import Job


def accepted(request: HttpRequest, job: Job) -> JsonResponse:
    """Answer 202 with the signed path of the job's status page and the time after which to ask for it.

    The body is ``{"id", "state", "is_duplicate", "links": {"status", "result", "events"}}``; ``events`` under
    ASGI only. Raises ConfigurationError if the project does not include ``django_jobs.web.urls``.
    """
    links = job_links(request, sign_job_id(job.public_id))
    seconds = retry_after(
        State(job.state),
        age=timedelta(0),
        due_in=None if job.run_after is None else job.run_after - job.enqueued_at,
    )
    body: dict[str, Any] = {
        "id": job.public_id,
        "state": job.state,
        "is_duplicate": job.is_duplicate,
        "links": links,
    }
    headers = {
        "Location": links["status"],
        "Retry-After": str(MIN_RETRY_AFTER_SECONDS if seconds is None else seconds),
        "Cache-Control": "no-store",
    }
    return JsonResponse(body, status=202, headers=headers)
