"""What a running job says, for its page: how far it is and what it has logged, renewed while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string

from ...models import Job
from ...policy.states import State
from ..site.permissions import VIEW_ARGUMENTS, require_permission
from .labels import progress_bar

if TYPE_CHECKING:
    from .admin import JobAdmin


def running_part(job: Job) -> str:
    """Return the part of the page that is renewed; empty where the job does not run. At most one statement."""
    if job.state != State.RUNNING:
        return ""
    context = {"progress": progress_bar(job), "log": job.log}
    return render_to_string("admin/django_jobs/job/running.html", context)


def log_view(model_admin: JobAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Return that part as JSON: ``part`` and whether the job still ``runs``."""
    require_permission(request, VIEW_ARGUMENTS)
    job = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    return JsonResponse({"part": running_part(job), "runs": job.state == State.RUNNING})
