"""Paths of a job's pages, for answers, pages and the project's own views."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from ..exceptions import ConfigurationError
from .negotiation import has_streams
from .signing import sign_job_id

if TYPE_CHECKING:  # Django imports this package before it can load models
    from ..models import Job


def status_url(job: Job) -> str:
    """Return the signed path of a job's status page: everybody who has it may see the job and its result.

    Raises ConfigurationError if the project does not include ``django_jobs.web.urls``.
    """
    return reverse_url("status", sign_job_id(job.public_id))


def job_links(request: HttpRequest, key: str) -> dict[str, str]:
    """Return the paths of a job's pages; ``events`` only if this server can stream them."""
    names = ("status", "result", "events") if has_streams(request) else ("status", "result")
    return {name: reverse_url(name, key) for name in names}


def reverse_url(name: str, *args: str) -> str:
    """Return the path of one of these pages. Raises ConfigurationError if the URLs are not included."""
    try:
        return reverse(f"django_jobs:{name}", args=args)
    except NoReverseMatch as error:
        raise ConfigurationError(
            "the project's URLs do not include the pages of jobs; add"
            ' path("jobs/", include("django_jobs.web.urls")) to urlpatterns'
        ) from error
