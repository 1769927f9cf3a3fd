"""202 Accepted: what a view answers when it has enqueued the work and is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, JsonResponse

from ..models import Job
from ..policy.states import State
from ..policy.status import MIN_RETRY_AFTER_SECONDS, retry_after
from .negotiation import has_streams
from .signing import reverse_url, sign_job_id


def accepted(request: HttpRequest, job: Job) -> JsonResponse:
    """Answer 202 with the signed address of the job's status page, and when it is worth looking there.

    The body is ``{"id", "state", "is_duplicate", "links": {"status", "result", "events"}}``; ``events`` under
    ASGI only. Raises ConfigurationError where the project does not include ``django_jobs.urls``.
    """
    key = sign_job_id(job.pk)
    body: dict[str, Any] = {
        "id": job.pk,
        "state": job.state,
        "is_duplicate": job.is_duplicate,
        "links": job_links(request, key),
    }
    seconds = retry_after(
        State(job.state),
        age=timedelta(0),
        due_in=None if job.run_after is None else job.run_after - job.enqueued_at,
    )
    headers = {
        "Location": body["links"]["status"],
        "Retry-After": str(MIN_RETRY_AFTER_SECONDS if seconds is None else seconds),
        "Cache-Control": "no-store",
    }
    return JsonResponse(body, status=202, headers=headers)


def job_links(request: HttpRequest, key: str) -> dict[str, str]:
    """Return the paths of a job's pages; that of its events only where this server can stream them."""
    names = ("status", "result", "events") if has_streams(request) else ("status", "result")
    return {name: reverse_url(name, key) for name in names}
