"""The page of a bulk action: its progress, a stop button, and of a sample the state of each job."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.translation import gettext

from ...models import Job
from ...operations import cancel, why_not_running
from ...policy.states import FINAL_STATES, State
from ...reasons import render_reason
from ..site.databases import row_text
from ..site.labels import state_label
from ..site.links import page_url
from ..site.page_admin import PageAdmin, actor, log_rows
from ..site.permissions import require_permission
from ..site.times import time_text
from .confirm import bulk_url
from .subject import BulkAction, BulkSubject, may_see_filter, shown_details

MAX_JOBS_SHOWN = 100
"""Jobs of a sample that are listed, the newest."""


def progress_view(model_admin: PageAdmin[Any], request: HttpRequest, subject: BulkSubject, pk: int) -> HttpResponse:
    """Show the progress of a bulk action, and of a sample the state of each job."""
    job, key = _get_bulk_job(request, subject, pk)
    action = subject.actions[key]
    wanted = subject.parse_filter(job.metadata.get("filter") or {})
    sample = _sample_status(model_admin, request, subject, job)
    has_rest = sample and job.is_final and may_see_filter(subject, wanted, request)
    context = model_admin.page_context(
        request,
        title=gettext("%(action)s: sample") % {"action": action.label} if sample else action.bulk_label,
        job=job,
        details=shown_details(subject, subject.without_bound(wanted), request),
        status=progress_status(job, action),
        sample=sample,
        now_url=model_admin.url(f"{subject.prefix}_bulk_now", pk),
        stop_url=model_admin.url(f"{subject.prefix}_bulk_stop", pk),
        rest_url=bulk_url(model_admin, subject, key, wanted) if has_rest else None,
        job_url=page_url(request, model_admin.admin_site, "job", pk),
    )
    return TemplateResponse(request, "admin/django_jobs/bulk.html", context)


def progress_json_view(
    model_admin: PageAdmin[Any], request: HttpRequest, subject: BulkSubject, pk: int
) -> JsonResponse:
    """Return the progress, and of a sample the state of each job, for the page's script."""
    job, key = _get_bulk_job(request, subject, pk)
    status = progress_status(job, subject.actions[key])
    response = JsonResponse({**status, "sample": _sample_status(model_admin, request, subject, job)})
    response["Cache-Control"] = "no-store"
    return response


def stop_view(model_admin: PageAdmin[Any], request: HttpRequest, subject: BulkSubject, pk: int) -> HttpResponse:
    """Stop the job before its next step."""
    if request.method != "POST":
        raise Http404
    job, _key = _get_bulk_job(request, subject, pk)
    if cancel(job, by=actor(request)):
        log_rows(request, [job], CHANGE, gettext("Stopped."))
        model_admin.message_user(request, gettext("Stops before the next step."), messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: it has finished, or was stopped before.")
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url(f"{subject.prefix}_bulk", pk))


def progress_status(job: Job, action: BulkAction) -> dict[str, Any]:
    """Return the progress in numbers and as a sentence."""
    done = job.progress_done or 0
    values = {"done": number_format(done, force_grouping=True), "past": action.past}
    text = gettext("%(done)s %(past)s so far.") % values
    if job.is_final:
        values["state"] = state_label(job.state)
        text = gettext("%(done)s %(past)s. Job %(state)s.") % values
    elif not done and (reason := why_not_running(job)) is not None:
        text = render_reason(reason, instant=time_text)
    return {"done": done, "total": job.progress_total, "is_final": job.is_final, "text": text}


def _get_bulk_job(request: HttpRequest, subject: BulkSubject, pk: int) -> tuple[Job, str]:
    keys = {action.job.name: key for key, action in subject.actions.items()}
    job = Job.objects.filter(pk=pk, name__in=list(keys)).first()
    if job is None or not isinstance(job.arguments.get(subject.argument), dict):
        raise Http404(gettext("No such job."))
    key = keys[job.name]
    require_permission(request, subject.actions[key].permission)
    return job, key


def _sample_status(
    model_admin: PageAdmin[Any], request: HttpRequest, subject: BulkSubject, bulk_job: Job
) -> dict[str, Any] | None:
    """Return the states of a sample's jobs: a sum as text, the newest hundred, and whether all are final."""
    jobs = subject.sampled_jobs(bulk_job.arguments[subject.argument])
    if jobs is None:
        return None
    counts = dict(jobs.order_by().values_list("state").annotate(Count("pk")))
    newest = jobs.order_by("-pk").values_list("pk", "name", "state")[:MAX_JOBS_SHOWN]
    return {
        "text": ", ".join(f"{number_format(counts[state])} {state_label(state)}" for state in State if state in counts),
        "jobs": [
            {
                "id": pk,
                "name": f"{name} {row_text(pk)}",
                "state": state_label(state),
                "url": page_url(request, model_admin.admin_site, "job", pk),
            }
            for pk, name, state in newest
        ],
        "is_final": FINAL_STATES.issuperset(counts),
    }
