"""Progress and log of a running job, refreshed on its page while it runs."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string

from ...models import Job
from ...policy.states import State
from ..site.job_log import log_context
from ..site.labels import progress_bar
from ..site.page_admin import PageAdmin
from ..site.permissions import VIEW_ARGUMENTS, require_permission


def live_html(job: Job) -> str:
    """Return the refreshed part of the page, for who may see arguments; empty unless the job runs. One statement."""
    if job.state != State.RUNNING:
        return ""
    log = job.log
    context = {"progress": progress_bar(job, show_message=True), "log": log and log_context(log)}
    return render_to_string("admin/django_jobs/job/live.html", context)


def log_view(model_admin: PageAdmin[Job], request: HttpRequest, pk: int) -> HttpResponse:
    """Return the part as JSON: ``html`` and ``is_running``."""
    require_permission(request, VIEW_ARGUMENTS)
    job = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    return JsonResponse({"html": live_html(job), "is_running": job.state == State.RUNNING})
