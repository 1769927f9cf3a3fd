"""Bulk actions on all dead letters that match: a count first, then a job with progress and a stop button."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from ...models import DeadLetter, Job
from ...operations import cancel, why_not_running
from ...policy.dead_letter_filter import DeadLetterFilter
from ...policy.states import FINAL_STATES, State
from ...reasons import render_reason
from ...store.clock import database_now
from ...store.dead_letters.search import BoundedCount, count_open_dead_letters, newest_dead_letter_ids
from ..site.labels import format_timestamp, state_label
from ..site.page_admin import PageAdmin, actor, log_rows
from ..site.permissions import has_permission, require_permission
from .actions import ACTIONS, DeadLetterAction
from .filters import read_dead_letter_filter

MAX_SAMPLE_SIZE = 1_000
MAX_JOBS_SHOWN = 100
"""Jobs of a sample that are listed, the newest."""
MAX_DELAY_MINUTES = 7 * 24 * 60
MAX_PER_SECOND = 500
ACTION_BY_JOB_NAME = {action.bulk_job.name: key for key, action in ACTIONS.items()}


class BulkOptionsForm(forms.Form):
    """Options of a bulk action: a sample only, a rate, a delay."""

    first = forms.IntegerField(
        label=_("Only the newest"), required=False, min_value=1, max_value=MAX_SAMPLE_SIZE,
        help_text=_("A sample, such as 10, to see how the jobs end. Empty: all."),
    )  # fmt: skip
    per_second = forms.FloatField(
        label=_("Maximum per second"), required=False, min_value=0.01, max_value=MAX_PER_SECOND,
        help_text=_("Spares a service that has just recovered. Empty: no limit."),
    )  # fmt: skip
    delay = forms.IntegerField(
        label=_("Start in minutes"), required=False, min_value=1, max_value=MAX_DELAY_MINUTES,
        help_text=_("Empty: now."),
    )  # fmt: skip


def bulk_action_links(
    model_admin: PageAdmin[DeadLetter], request: HttpRequest, wanted: DeadLetterFilter
) -> list[tuple[str, Any]]:
    """Return (address, label) of the bulk actions that the user may apply to all that match."""
    return [
        (_bulk_url(model_admin, key, wanted), action.bulk_label)
        for key, action in ACTIONS.items()
        if has_permission(request, action.permission)
    ]


def confirm_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, key: str) -> HttpResponse:
    """Ask with the number of matches and the options; then start the job."""
    if key not in ACTIONS:
        raise Http404
    action = ACTIONS[key]
    require_permission(request, action.permission)
    wanted = read_dead_letter_filter(request)
    form = BulkOptionsForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        job = _enqueue_bulk_job(request, action, wanted, form.cleaned_data)
        if job is None:
            text = gettext("No open dead letter matches any more.")
            return model_admin.redirect_missing(request, text)
        return HttpResponseRedirect(model_admin.url("deadletter_bulk", job.pk))
    counted = count_open_dead_letters(wanted)
    details = list(wanted.to_query().items())
    notes = [] if details else [gettext("There is no filter: these are all open dead letters.")]
    if wanted.up_to_id is not None:
        notes.append(gettext("Dead letters that came after the sample was chosen are left out."))
    notes.append(
        gettext(
            "A background job does this in small steps, with progress; it can be stopped. Dead letters that come"
            " later are left out."
        )
    )
    back = urlencode(replace(wanted, up_to_id=None).to_query())
    return model_admin.confirm(
        request,
        title=action.bulk_label,
        headline=ngettext("%(number)s open dead letter matches.", "%(number)s open dead letters match.", counted.number)
        % {"number": _number(counted)},
        text=action.warning,
        details=details,
        notes=notes,
        fields=details,
        form_fields=[form[name] for name in ("first", "per_second", "delay") if key == "redrive" or name == "first"],
        label=action.label,
        is_destructive=key == "purge",
        back=f"{model_admin.url('deadletter_changelist')}?{back}",
    )


def _enqueue_bulk_job(
    request: HttpRequest, action: DeadLetterAction, wanted: DeadLetterFilter, options: dict[str, Any]
) -> Job | None:
    wanted = wanted.frozen(database_now())
    counted = count_open_dead_letters(wanted)
    wanted = replace(wanted, up_to_id=counted.up_to_id)
    chosen, total = wanted, None if counted.is_more else counted.number
    if options["first"]:
        ids = newest_dead_letter_ids(wanted, options["first"])
        chosen, total = DeadLetterFilter(ids=tuple(ids)), len(ids)
    if total == 0:
        return None
    arguments: dict[str, Any] = {
        "dead_letter_filter": chosen.as_json(),
        "by": actor(request),
        "total": total,
    }
    if action is ACTIONS["redrive"]:
        arguments["per_second"] = options["per_second"]
    delay = timedelta(minutes=options["delay"]) if options["delay"] else None
    job = action.bulk_job.using(metadata={"filter": wanted.to_query()}, run_after=delay).enqueue(**arguments)
    text = gettext("%(action)s: %(number)s dead letters, filter %(filter)s") % {
        "action": action.label,
        "number": _number(counted) if total is None else total,
        "filter": wanted.to_query() or "-",
    }
    log_rows(request, [job], CHANGE, text)
    return job


def progress_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int) -> HttpResponse:
    """Show the progress of a bulk action, and of a sample the state of each job."""
    job, key = _get_bulk_job(request, pk)
    action = ACTIONS[key]
    wanted = DeadLetterFilter.from_query(job.metadata.get("filter") or {})
    sample = _sample_status(model_admin, job)
    context = model_admin.page_context(
        request,
        title=gettext("%(action)s: sample") % {"action": action.label} if sample else action.bulk_label,
        job=job,
        details=list(replace(wanted, up_to_id=None).to_query().items()),
        status=progress_status(job, key),
        sample=sample,
        now_url=model_admin.url("deadletter_bulk_now", pk),
        stop_url=model_admin.url("deadletter_bulk_stop", pk),
        rest_url=_bulk_url(model_admin, key, wanted) if sample and job.is_final else None,
        job_url=model_admin.url("job_change", pk),
    )
    return TemplateResponse(request, "admin/django_jobs/deadletter/bulk.html", context)


def progress_json_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int) -> JsonResponse:
    """Return the progress, and of a sample the state of each job, for the page's script."""
    job, key = _get_bulk_job(request, pk)
    response = JsonResponse({**progress_status(job, key), "sample": _sample_status(model_admin, job)})
    response["Cache-Control"] = "no-store"
    return response


def stop_view(model_admin: PageAdmin[DeadLetter], request: HttpRequest, pk: int) -> HttpResponse:
    """Stop the job before its next step."""
    if request.method != "POST":
        raise Http404
    job, _key = _get_bulk_job(request, pk)
    if cancel(job, by=actor(request)):
        log_rows(request, [job], CHANGE, gettext("Stopped."))
        model_admin.message_user(request, gettext("Stops before the next step."), messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: it has finished, or was stopped before.")
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("deadletter_bulk", pk))


def progress_status(job: Job, key: str) -> dict[str, Any]:
    """Return the progress in numbers and as a sentence."""
    done = job.progress_done or 0
    values = {"done": number_format(done, force_grouping=True), "past": ACTIONS[key].past}
    text = gettext("%(done)s %(past)s so far.") % values
    if job.is_final:
        values["state"] = state_label(job.state)
        text = gettext("%(done)s %(past)s. Job %(state)s.") % values
    elif not done and (reason := why_not_running(job)) is not None:
        text = render_reason(reason, instant=format_timestamp)
    return {"done": done, "total": job.progress_total, "is_final": job.is_final, "text": text}


def _get_bulk_job(request: HttpRequest, pk: int) -> tuple[Job, str]:
    job = Job.objects.filter(pk=pk, name__in=list(ACTION_BY_JOB_NAME)).first()
    if job is None or not isinstance(job.arguments.get("dead_letter_filter"), dict):
        raise Http404(gettext("No such job."))
    key = ACTION_BY_JOB_NAME[job.name]
    require_permission(request, ACTIONS[key].permission)
    return job, key


def _sample_status(model_admin: PageAdmin[DeadLetter], bulk_job: Job) -> dict[str, Any] | None:
    """Return the states of a sample's jobs: a sum as text, the newest hundred, and whether all are final."""
    ids = bulk_job.arguments["dead_letter_filter"].get("ids")
    if not ids:
        return None
    jobs = Job.objects.filter(dead_letters__in=ids[:MAX_SAMPLE_SIZE])
    counts = dict(jobs.order_by().values_list("state").annotate(Count("pk")))
    newest = jobs.order_by("-pk").values_list("pk", "name", "state")[:MAX_JOBS_SHOWN]
    return {
        "text": ", ".join(f"{number_format(counts[state])} {state_label(state)}" for state in State if state in counts),
        "jobs": [
            {
                "id": pk,
                "name": f"{name} #{pk}",
                "state": state_label(state),
                "url": model_admin.url("job_change", pk),
            }
            for pk, name, state in newest
        ],
        "is_final": FINAL_STATES.issuperset(counts),
    }


def _bulk_url(model_admin: PageAdmin[DeadLetter], key: str, wanted: DeadLetterFilter) -> str:
    query = urlencode(wanted.to_query())
    return model_admin.url("deadletter_bulk_start", key) + (f"?{query}" if query else "")


def _number(counted: BoundedCount) -> str:
    return number_format(counted.number, force_grouping=True) + ("+" if counted.is_more else "")
