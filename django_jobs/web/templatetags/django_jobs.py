"""``{% job_progress job %}``: a live progress bar of a job in any template."""

from __future__ import annotations

from typing import Any

from django import template
from django.http import HttpRequest

from ...exceptions import ConfigurationError
from ...models import Job
from ...redaction import is_secret_job
from ..progress import progress_context
from ..signing import sign_job_id

register = template.Library()


@register.inclusion_tag("django_jobs/progress.html", takes_context=True)
def job_progress(context: template.Context, job: Job) -> dict[str, Any]:
    """Render the bar with the job's signed address: everybody who gets the page may see the job and its result.

    Raises ConfigurationError if the template is rendered without a request or ``job`` is not a Job.
    """
    request = context.get("request")
    if not isinstance(request, HttpRequest):
        raise ConfigurationError(
            "job_progress: expected the request in the template's context; render with a request, and add"
            " django.template.context_processors.request"
        )
    if not isinstance(job, Job):
        raise ConfigurationError(f"job_progress: expected a Job, got {job!r}")
    return progress_context(request, job, key=sign_job_id(job.public_id), has_result=not is_secret_job(job.name))
