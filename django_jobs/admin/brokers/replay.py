"""Replay a source: a form for the range, a job that counts it, a page that asks, and a job that enqueues again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.models import CHANGE
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...brokers.replay_jobs import COUNT_MESSAGES, REPLAY_MESSAGES, count_messages, replay_messages
from ...brokers.subscriptions import find_consumption
from ...conf.database import current_database
from ...models import Job, MessageSource
from ...models.message import MAX_POSITION_LENGTH
from ...operations import cancel
from ..site.links import page_url
from ..site.page_admin import PageAdmin, actor, log_rows
from ..site.permissions import PAUSE_SOURCE, require_permission
from .replay_texts import (
    NAMES,
    counted_of,
    counted_text,
    details_of,
    job_name_of,
    key_of,
    label_of,
    progress_status,
    ranges_of,
    source_rows,
    trail_of,
)

MAX_RANGES = 50
"""Partitions that are listed."""
KEPT = timedelta(days=30)
"""So long a count leads to one replay only."""


class RangeForm(forms.Form):
    """The messages to replay, by time in all partitions or by position in one; ``wanted()`` are texts."""

    since = forms.DateTimeField(
        label=NAMES["since"], required=False, help_text=_("The time at the broker, in %(zone)s. Empty: the first kept.")
    )
    until = forms.DateTimeField(label=NAMES["until"], required=False, help_text=_("Empty: up to now."))
    partition = forms.ChoiceField(label=NAMES["partition"], required=False)
    start = forms.CharField(
        label=NAMES["start"], required=False, max_length=MAX_POSITION_LENGTH, help_text=_("Of one partition only.")
    )
    end = forms.CharField(
        label=NAMES["end"], required=False, max_length=MAX_POSITION_LENGTH, help_text=_("This one is not replayed.")
    )

    def __init__(self, data: Any, partitions: list[str], *, zone: str) -> None:
        super().__init__(data)
        choices = [("", _("all")), *((name, name) for name in partitions)]
        self.fields["partition"].choices = choices  # type: ignore[attr-defined]  # a ChoiceField
        self.fields["since"].help_text = self.fields["since"].help_text % {"zone": zone}
        for name in ("since", "until"):
            self.fields[name].widget = forms.DateTimeInput(
                attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S"
            )

    def clean(self) -> dict[str, Any]:
        """Refuse positions without a partition, and a range that ends before it begins."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if (data.get("start") or data.get("end")) and not data.get("partition"):
            raise forms.ValidationError(gettext("Positions are those of one partition: choose it."))
        if data.get("since") and data.get("until") and data["since"] >= data["until"]:
            raise forms.ValidationError(gettext("The range ends before it begins."))
        return data

    def wanted(self) -> dict[str, str]:
        """Return what was filled in, instants in ISO 8601."""
        texts = {}
        for name, value in self.cleaned_data.items():
            if value:
                texts[name] = value.isoformat() if name in ("since", "until") else str(value)
        return texts


def replay_paths(model_admin: PageAdmin[MessageSource]) -> list[URLPattern]:
    """Return the addresses of a replay."""
    return [
        model_admin.page_path("<int:pk>/replay/", form_view, "messagesource_replay"),
        model_admin.page_path("replay/<int:pk>/", progress_view, "messagesource_replay_job"),
        model_admin.page_path("replay/<int:pk>/now/", now_view, "messagesource_replay_now"),
        model_admin.page_path("replay/<int:pk>/stop/", stop_view, "messagesource_replay_stop"),
        model_admin.page_path("replay/<int:pk>/confirm/", confirm_view, "messagesource_replay_confirm"),
    ]


def form_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for the range; then start the job that counts it. The broker is not asked here: it may be slow, or down."""
    require_permission(request, PAUSE_SOURCE)
    source = MessageSource.objects.filter(pk=pk).first()
    if source is None:
        return model_admin.redirect_missing(request, gettext("No such source."))
    partitions = list(source.partitions.order_by("partition").values_list("partition", flat=True))
    problem = find_obstacle(source, partitions)
    form = RangeForm(request.POST if request.method == "POST" else None, partitions, zone=get_current_timezone_name())
    if request.method == "POST" and problem is None and form.is_valid():
        wanted = form.wanted()
        job = count_messages.using(metadata={"by": actor(request)}, database=current_database()).enqueue(
            source=key_of(source), wanted=wanted
        )
        text = gettext("Messages are counted for a replay: %(range)s") % {"range": wanted or "-"}
        log_rows(request, [source, job], CHANGE, text)
        return HttpResponseRedirect(model_admin.url("messagesource_replay_job", job.pk))
    change_url = model_admin.url("messagesource_change", pk)
    context = model_admin.page_context(
        request,
        title=gettext("Replay"),
        subtitle=str(source),
        trail=[(change_url, str(source))],
        form=form,
        problem=problem,
        back=change_url,
    )
    return TemplateResponse(request, "admin/django_jobs/messagesource/replay.html", context)


def find_obstacle(source: MessageSource, partitions: list[str]) -> Any:
    """Return why the source cannot be replayed, as far as that is known without its broker; else None."""
    if find_consumption(source.broker, source.name, source.group) is None:
        return gettext("No job of this code consumes the source, so there is no job to enqueue again.")
    if not partitions:
        if source.received:
            return gettext(
                "Its broker forgets a message once it is acknowledged, so a queue cannot be replayed. Kafka, RabbitMQ"
                " streams and Redis Streams without a group keep them."
            )
        return gettext("No consumer has read it yet, so there is nothing to replay.")
    return None


def progress_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int) -> HttpResponse:
    """Show how far a count or a replay is; after a count with the button that leads on."""
    job = _find_job(request, pk)
    counted = counted_of(job)
    next_url = None
    if counted is not None and counted["jobs"] + counted["poison"]:
        next_url = model_admin.url("messagesource_replay_confirm", pk)
    ranges = ranges_of(counted, job)
    context = model_admin.page_context(
        request,
        title=gettext("Replay: count") if job.name == COUNT_MESSAGES else gettext("Replay"),
        subtitle=label_of(job),
        trail=trail_of(model_admin, job),
        job=job,
        details=details_of(job),
        status=progress_status(request, job),
        now_url=model_admin.url("messagesource_replay_now", pk),
        stop_url=model_admin.url("messagesource_replay_stop", pk),
        next_url=next_url,
        next_label=gettext("Replay these"),
        job_url=page_url(request, model_admin.admin_site, "job", pk),
        ranges=ranges[:MAX_RANGES],
        more_ranges=max(len(ranges) - MAX_RANGES, 0),
    )
    return TemplateResponse(request, "admin/django_jobs/messagesource/replay_progress.html", context)


def now_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int) -> JsonResponse:
    """Return the progress for the page's script."""
    response = JsonResponse(progress_status(request, _find_job(request, pk)) | {"sample": None})
    response["Cache-Control"] = "no-store"
    return response


def stop_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a count or a replay before its next step."""
    if request.method != "POST":
        raise Http404
    job = _find_job(request, pk)
    if cancel(job, by=actor(request)):
        log_rows(request, [job], CHANGE, gettext("Stopped."))
        model_admin.message_user(request, gettext("Stops before the next step."), messages.SUCCESS)
    else:
        text = gettext("Nothing was changed: it has finished, or was stopped before.")
        model_admin.message_user(request, text, messages.WARNING)
    return HttpResponseRedirect(model_admin.url("messagesource_replay_job", pk))


def confirm_view(model_admin: PageAdmin[MessageSource], request: HttpRequest, pk: int) -> HttpResponse:
    """Ask with the numbers of a count; then start the replay of its ranges, once however often it is asked."""
    count = _find_job(request, pk)
    counted = counted_of(count)
    if counted is None:
        raise Http404(gettext("No such count."))
    source = count.arguments["source"]
    if request.method == "POST":
        definition = replay_messages.using(
            metadata={"by": actor(request)},
            idempotency_key=f"count-{count.pk}",
            idempotency_window=KEPT,
            database=current_database(),
        )
        job = definition.enqueue(source=source, ranges=counted["ranges"], total=counted["jobs"])
        if not job.is_duplicate:
            text = gettext("Replay of %(number)s messages: %(range)s") % {
                "number": counted["jobs"] + counted["poison"],
                "range": count.arguments["wanted"] or "-",
            }
            log_rows(request, [*source_rows(source), job], CHANGE, text)
        return HttpResponseRedirect(model_admin.url("messagesource_replay_job", job.pk))
    back = model_admin.url("messagesource_replay_job", pk)
    notes = [
        gettext("The jobs' metadata says that they are a replay. Whatever they did the first time they do again."),
        gettext(
            "A background job does this in small steps, with progress; it can be stopped. What has arrived since the"
            " count is left out."
        ),
    ]
    return model_admin.confirm(
        request,
        title=gettext("Replay"),
        subtitle=label_of(count),
        headline=counted_text(counted),
        text=gettext("A job of %(name)s is enqueued for each.") % {"name": job_name_of(source)},
        details=details_of(count),
        notes=notes,
        label=gettext("Yes, replay"),
        back=back,
        trail=[*trail_of(model_admin, count), (back, gettext("Count"))],
    )


def _find_job(request: HttpRequest, pk: int) -> Job:
    require_permission(request, PAUSE_SOURCE)
    job = Job.objects.filter(pk=pk, name__in=[COUNT_MESSAGES, REPLAY_MESSAGES]).first()
    if job is None:
        raise Http404(gettext("No such job."))
    return job
