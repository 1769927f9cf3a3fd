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
from ...policy.dead_letter_filter import LetterFilter
from ...policy.states import FINAL_STATES, State
from ...redaction import sentence
from ...store.clock import database_now
from ...store.dead_letters.search import Counted, count_open, newest_ids
from ...store.doctor.why_not_running import explain
from ...store.lifecycle.cancel import request_cancel
from ..jobs.labels import state_words
from ..site.base import actor, exactly
from ..site.permissions import may, require
from .actions import VERBS, LetterVerb
from .filters import filter_of

if TYPE_CHECKING:
    from .admin import DeadLetterAdmin

MOST_FIRST = 1_000
MOST_SHOWN = 100
"""Of the few: so many jobs, the newest."""
LONGEST_DELAY_MINUTES = 7 * 24 * 60
FASTEST = 500
BULK = {verb.in_bulk.name: key for key, verb in VERBS.items()}


class HowForm(forms.Form):
    """How to go about it: only a few first, and how fast."""

    first = forms.IntegerField(
        label=_("Only the newest"), required=False, min_value=1, max_value=MOST_FIRST,
        help_text=_("Such as 10, to see how they end. Empty: all."),
    )  # fmt: skip
    per_second = forms.FloatField(
        label=_("At most so many a second"), required=False, min_value=0.01, max_value=FASTEST,
        help_text=_("So that a service that has just come back is not flooded. Empty: as fast as it goes."),
    )  # fmt: skip
    delay = forms.IntegerField(
        label=_("Begin in so many minutes"), required=False, min_value=1, max_value=LONGEST_DELAY_MINUTES,
        help_text=_("Empty: now."),
    )  # fmt: skip


def links(page: DeadLetterAdmin, request: HttpRequest, wanted: LetterFilter) -> list[tuple[Any, str]]:
    """Return label and address of what the user may do to all that match."""
    query = urlencode(wanted.as_address())
    return [
        (verb.all_label, page.url("deadletter_matching", key) + (f"?{query}" if query else ""))
        for key, verb in VERBS.items()
        if may(request, verb.permission)
    ]


def ask_view(page: DeadLetterAdmin, request: HttpRequest, verb: str) -> HttpResponse:
    """Say how many match, ask how, and start the job."""
    if verb not in VERBS:
        raise Http404
    chosen = VERBS[verb]
    require(request, chosen.permission)
    wanted = filter_of(request)
    form = HowForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        job = _start(request, chosen, wanted, form.cleaned_data)
        if job is None:
            page.message_user(request, gettext("No open letter matches any more."), messages.WARNING)
            return HttpResponseRedirect(page.url("deadletter_changelist"))
        return HttpResponseRedirect(page.url("deadletter_bulk", job.pk))
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": chosen.all_label,
        "verb": verb,
        "warning": chosen.warning,
        "label": chosen.label,
        "number": _number(count_open(wanted)),
        "filter": list(wanted.as_address().items()),
        "form": form,
        "fields": [form["first"], form["per_second"], form["delay"]]
        if verb == "redrive"
        else [form["first"]],
        "is_rest": wanted.up_to_id is not None,
        "back": page.url("deadletter_changelist")
        + f"?{urlencode(replace(wanted, up_to_id=None).as_address())}",
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/ask.html", context)


def _start(request: HttpRequest, verb: LetterVerb, wanted: LetterFilter, how: dict[str, Any]) -> Job | None:
    wanted = wanted.frozen(database_now())
    counted = count_open(wanted)
    wanted = replace(wanted, up_to_id=counted.up_to_id)
    letters, total = wanted, None if counted.is_more else counted.number
    if how["first"]:
        ids = newest_ids(wanted, how["first"])
        letters, total = LetterFilter(ids=tuple(ids)), len(ids)
    if total == 0:
        return None
    arguments: dict[str, Any] = {"letters": letters.as_json(), "by": actor(request), "total": total}
    if verb is VERBS["redrive"]:
        arguments["per_second"] = how["per_second"]
    delay = timedelta(minutes=how["delay"]) if how["delay"] else None
    job = verb.in_bulk.using(metadata={"filter": wanted.as_address()}, run_after=delay).enqueue(**arguments)
    said = gettext("%(verb)s: %(number)s letters, filter %(filter)s") % {
        "verb": verb.label,
        "number": _number(counted) if total is None else total,
        "filter": wanted.as_address() or "-",
    }
    LogEntry.objects.log_actions(request.user.pk, [job], CHANGE, change_message=said)  # type: ignore[arg-type]
    return job


def progress_view(page: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far such a job is; of a few, how each of them ends."""
    job, verb = _bulk_job(pk)
    require(request, VERBS[verb].permission)
    letters = job.arguments["letters"]
    wanted = LetterFilter.from_address(job.metadata.get("filter") or {})
    few = _few(letters, page)
    context = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "media": page.media,
        "title": VERBS[verb].all_label
        if few is None
        else gettext("%(verb)s: a few first") % {"verb": VERBS[verb].label},
        "job": job,
        "filter": list(replace(wanted, up_to_id=None).as_address().items()),
        "status": status_of(job, verb),
        "few": few,
        "now_address": page.url("deadletter_bulk_now", pk),
        "stop_address": page.url("deadletter_bulk_stop", pk),
        "rest": _rest(page, verb, wanted) if few is not None and job.is_final else None,
        "job_address": page.url("job_change", pk),
    }
    return TemplateResponse(request, "admin/django_jobs/deadletter/bulk.html", context)


def now_view(page: DeadLetterAdmin, request: HttpRequest, pk: int) -> JsonResponse:
    """Return how far it is and, of a few, how each of them ends, for the page's script."""
    job, verb = _bulk_job(pk)
    require(request, VERBS[verb].permission)
    answer = JsonResponse({**status_of(job, verb), "few": _few(job.arguments["letters"], page)})
    answer["Cache-Control"] = "no-store"
    return answer


def stop_view(page: DeadLetterAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Have it stop before its next step."""
    if request.method != "POST":
        raise Http404
    job, verb = _bulk_job(pk)
    require(request, VERBS[verb].permission)
    if request_cancel(job):
        LogEntry.objects.log_actions(request.user.pk, [job], CHANGE, change_message=gettext("Stopped."))  # type: ignore[arg-type]
        page.message_user(request, gettext("It stops before its next step."), messages.SUCCESS)
    else:
        page.message_user(request, gettext("It has ended already, or was stopped before."), messages.WARNING)
    return HttpResponseRedirect(page.url("deadletter_bulk", pk))


def status_of(job: Job, verb: str) -> dict[str, Any]:
    """Return the progress in numbers and in one sentence."""
    done = job.progress_done or 0
    values = {"done": number_format(done, force_grouping=True), "past": VERBS[verb].past}
    text = gettext("%(done)s %(past)s so far.") % values
    if job.is_final:
        text = gettext("%(done)s %(past)s. The job has %(state)s.") % {
            **values,
            "state": state_words(job.state),
        }
    elif not done and (reason := explain(job)) is not None:
        text = sentence(reason, instant=exactly)
    return {"done": done, "total": job.progress_total, "is_final": job.is_final, "text": text}


def _bulk_job(pk: int) -> tuple[Job, str]:
    job = Job.objects.filter(pk=pk, name__in=list(BULK)).first()
    if job is None or not isinstance(job.arguments.get("letters"), dict):
        raise Http404(gettext("There is no such job."))
    return job, BULK[job.name]


def _few(letters: dict[str, Any], page: DeadLetterAdmin) -> dict[str, Any] | None:
    """Return how the jobs of a few letters end: a sum in words, the newest hundred, and whether all are over."""
    if not letters.get("ids"):
        return None
    jobs = Job.objects.filter(dead_letters__in=letters["ids"][:MOST_FIRST])
    counts = dict(jobs.order_by().values_list("state").annotate(Count("pk")))
    newest = jobs.order_by("-pk").values_list("pk", "name", "state")[:MOST_SHOWN]
    return {
        "text": ", ".join(
            f"{number_format(counts[state])} {state_words(state)}" for state in State if state in counts
        ),
        "jobs": [
            {
                "id": pk,
                "name": f"{name} #{pk}",
                "state": state_words(state),
                "address": page.url("job_change", pk),
            }
            for pk, name, state in newest
        ],
        "are_over": FINAL_STATES.issuperset(counts),
    }


def _rest(page: DeadLetterAdmin, verb: str, wanted: LetterFilter) -> str:
    query = urlencode(wanted.as_address())
    return page.url("deadletter_matching", verb) + (f"?{query}" if query else "")


def _number(counted: Counted) -> str:
    return number_format(counted.number, force_grouping=True) + ("+" if counted.is_more else "")
