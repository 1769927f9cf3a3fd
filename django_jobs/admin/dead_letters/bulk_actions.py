"""Doing one thing to all letters that match: a dry run, a job of the engine's own, its progress, and a stop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Count
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...models import Job
from ...operations import why_not_running
from ...policy.dead_letter_filter import DeadLetterFilter
from ...policy.states import FINAL_STATES, State
from ...reasons import render_reason
from ...store.clock import database_now
from ...store.dead_letters.search import BoundedCount, count_open_dead_letters, newest_dead_letter_ids
from ..jobs.labels import state_label
from ..site.base import actor, format_timestamp
from ..site.permissions import has_permission, require_permission
from .actions import ACTIONS, DeadLetterAction
from .filters import read_dead_letter_filter

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

MAX_SAMPLE_SIZE = 1_000
MAX_JOBS_SHOWN = 100
"""Of the few: so many jobs, the newest."""
MAX_DELAY_MINUTES = 7 * 24 * 60
MAX_PER_SECOND = 500
ACTION_BY_JOB_NAME = {verb.bulk_job.name: key for key, verb in ACTIONS.items()}


class BulkOptionsForm(forms.Form):
    """How to go about it: only a few first, and how fast."""

    first = forms.IntegerField(
        label=_("Only the newest"), required=False, min_value=1, max_value=MAX_SAMPLE_SIZE,
        help_text=_("Such as 10, to see how they end. Empty: all."),
    )  # fmt: skip
    per_second = forms.FloatField(
        label=_("At most so many a second"), required=False, min_value=0.01, max_value=MAX_PER_SECOND,
        help_text=_("So that a service that has just come back is not flooded. Empty: as fast as it goes."),
    )  # fmt: skip
    delay = forms.IntegerField(
        label=_("Begin in so many minutes"), required=False, min_value=1, max_value=MAX_DELAY_MINUTES,
        help_text=_("Empty: now."),
    )  # fmt: skip


def bulk_action_links(
    model_admin: DeadLetterAdmin, request: HttpRequest, wanted: DeadLetterFilter
) -> list[tuple[Any, str]]:
    """Return label and address of what the user may do to all that match."""
    query = urlencode(wanted.to_query())
    return [
        (verb.bulk_label, model_admin.url("deadletter_matching", key) + (f"?{query}" if query else ""))
        for key, verb in ACTIONS.items()
        if has_permission(request, verb.permission)
    ]


def confirm_view(model_admin: DeadLetterAdmin, request: HttpRequest, verb: str) -> HttpResponse:
    """Say how many match, ask how, and start the job."""
    if verb not in ACTIONS:
        raise Http404
    chosen = ACTIONS[verb]
    require_permission(request, chosen.permission)
    wanted = read_dead_letter_filter(request)
    form = BulkOptionsForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        job = _enqueue_bulk_job(request, chosen, wanted, form.cleaned_data)
        if job is None:
            model_admin.message_user(request, gettext("No open letter matches any more."), messages.WARNING)
            return HttpResponseRedirect(model_admin.url("deadletter_changelist"))
        return HttpResponseRedirect(model_admin.url("deadletter_bulk", job.pk))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": chosen.bulk_label,
        "verb": verb,
        "warning": chosen.warning,
        "label": chosen.label,
        "number": _number(count_open_dead_letters(wanted)),
        "filter": list(wanted.to_query().items()),
        "form": form,
        "fields": [form["first"], form["per_second"], form["delay"]]
        if verb == "redrive"
        else [form["first"]],
        "is_rest": wanted.up_to_id is not None,
        "back": model_admin.url("deadletter_changelist")
        + f"?{urlencode(replace(wanted, up_to_id=None).to_query())}",
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/ask.html", context)


def _enqueue_bulk_job(
    request: HttpRequest, verb: DeadLetterAction, wanted: DeadLetterFilter, how: dict[str, Any]
) -> Job | None:
    wanted = wanted.frozen(database_now())
    counted = count_open_dead_letters(wanted)
    wanted = replace(wanted, up_to_id=counted.up_to_id)
    letters, total = wanted, None if counted.is_more else counted.number
    if how["first"]:
        ids = newest_dead_letter_ids(wanted, how["first"])
        letters, total = DeadLetterFilter(ids=tuple(ids)), len(ids)
    if total == 0:
        return None
    arguments: dict[str, Any] = {
        "dead_letter_filter": letters.as_json(),
        "by": actor(request),
        "total": total,
    }
    if verb is ACTIONS["redrive"]:
        arguments["per_second"] = how["per_second"]
    delay = timedelta(minutes=how["delay"]) if how["delay"] else None
    job = verb.bulk_job.using(metadata={"filter": wanted.to_query()}, run_after=delay).enqueue(**arguments)
    said = gettext("%(verb)s: %(number)s letters, filter %(filter)s") % {
        "verb": verb.label,
        "number": _number(counted) if total is None else total,
        "filter": wanted.to_query() or "-",
    }
    LogEntry.objects.log_actions(request.user.pk, [job], CHANGE, change_message=said)  # type: ignore[arg-type]
    return job


def progress_view(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far such a job is; of a few, how each of them ends."""
    job, verb = _get_bulk_job(pk)
    require_permission(request, ACTIONS[verb].permission)
    letters = job.arguments["dead_letter_filter"]
    wanted = DeadLetterFilter.from_query(job.metadata.get("filter") or {})
    few = _sample_status(letters, model_admin)
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "media": model_admin.media,
        "title": ACTIONS[verb].bulk_label
        if few is None
        else gettext("%(verb)s: a few first") % {"verb": ACTIONS[verb].label},
        "job": job,
        "filter": list(replace(wanted, up_to_id=None).to_query().items()),
        "status": progress_status(job, verb),
        "few": few,
        "now_url": model_admin.url("deadletter_bulk_now", pk),
        "stop_url": model_admin.url("deadletter_bulk_stop", pk),
        "rest": _remaining_url(model_admin, verb, wanted) if few is not None and job.is_final else None,
        "job_url": model_admin.url("job_change", pk),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/bulk.html", context)


def progress_json_view(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int) -> JsonResponse:
    """Return how far it is and, of a few, how each of them ends, for the page's script."""
    job, verb = _get_bulk_job(pk)
    require_permission(request, ACTIONS[verb].permission)
    answer = JsonResponse(
        {
            **progress_status(job, verb),
            "few": _sample_status(job.arguments["dead_letter_filter"], model_admin),
        }
    )
    answer["Cache-Control"] = "no-store"
    return answer


def stop_view(model_admin: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Have it stop before its next step."""
    if request.method != "POST":
        raise Http404
    job, verb = _get_bulk_job(pk)
    require_permission(request, ACTIONS[verb].permission)
    if job.cancel(by=actor(request)):
        LogEntry.objects.log_actions(request.user.pk, [job], CHANGE, change_message=gettext("Stopped."))  # type: ignore[arg-type]
        model_admin.message_user(request, gettext("It stops before its next step."), messages.SUCCESS)
    else:
        model_admin.message_user(
            request, gettext("It has ended already, or was stopped before."), messages.WARNING
        )
    return HttpResponseRedirect(model_admin.url("deadletter_bulk", pk))


def progress_status(job: Job, verb: str) -> dict[str, Any]:
    """Return the progress in numbers and in one sentence."""
    done = job.progress_done or 0
    values = {"done": number_format(done, force_grouping=True), "past": ACTIONS[verb].past}
    text = gettext("%(done)s %(past)s so far.") % values
    if job.is_final:
        text = gettext("%(done)s %(past)s. The job has %(state)s.") % {
            **values,
            "state": state_label(job.state),
        }
    elif not done and (reason := why_not_running(job)) is not None:
        text = render_reason(reason, instant=format_timestamp)
    return {"done": done, "total": job.progress_total, "is_final": job.is_final, "text": text}


def _get_bulk_job(pk: int) -> tuple[Job, str]:
    job = Job.objects.filter(pk=pk, name__in=list(ACTION_BY_JOB_NAME)).first()
    if job is None or not isinstance(job.arguments.get("dead_letter_filter"), dict):
        raise Http404(gettext("There is no such job."))
    return job, ACTION_BY_JOB_NAME[job.name]


def _sample_status(letters: dict[str, Any], model_admin: DeadLetterAdmin) -> dict[str, Any] | None:
    """Return how the jobs of a few letters end: a sum in words, the newest hundred, and whether all are over."""
    if not letters.get("ids"):
        return None
    jobs = Job.objects.filter(dead_letters__in=letters["ids"][:MAX_SAMPLE_SIZE])
    counts = dict(jobs.order_by().values_list("state").annotate(Count("pk")))
    newest = jobs.order_by("-pk").values_list("pk", "name", "state")[:MAX_JOBS_SHOWN]
    return {
        "text": ", ".join(
            f"{number_format(counts[state])} {state_label(state)}" for state in State if state in counts
        ),
        "jobs": [
            {
                "id": pk,
                "name": f"{name} #{pk}",
                "state": state_label(state),
                "address": model_admin.url("job_change", pk),
            }
            for pk, name, state in newest
        ],
        "are_over": FINAL_STATES.issuperset(counts),
    }


def _remaining_url(model_admin: DeadLetterAdmin, verb: str, wanted: DeadLetterFilter) -> str:
    query = urlencode(wanted.to_query())
    return model_admin.url("deadletter_matching", verb) + (f"?{query}" if query else "")


def _number(counted: BoundedCount) -> str:
    return number_format(counted.number, force_grouping=True) + ("+" if counted.is_more else "")
