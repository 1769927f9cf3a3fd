"""Filters of the dead letter list; each is a parameter of its address, so that a view can be bookmarked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.admin.views.main import ChangeList
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...models import DeadLetter
from ...policy.dead_letter_filter import DeadLetterFilter
from ...policy.filter_values import as_id
from ...store.dead_letters.search import died_within, of_batch
from ..site.filters import PERIODS, FieldFilter, ParametersFilter, queue_choices
from ..site.labels import DEATH_REASON_LABELS
from ..site.permissions import VIEW_ARGUMENTS, has_permission


def read_dead_letter_filter(request: HttpRequest) -> DeadLetterFilter:
    """Return the filter of the address, without the error text for users who may not read errors.

    Raises FilterError for an invalid time.
    """
    parameters = request.GET if request.method != "POST" else request.POST
    given = {key: value for key, value in parameters.items() if isinstance(value, str)}
    if not has_permission(request, VIEW_ARGUMENTS):
        given.pop("error", None)
    return DeadLetterFilter.from_query(given, zone=get_current_timezone())


def requested_status(request: HttpRequest) -> str | None:
    """Return the status of the address, ``open`` by default, None for all."""
    status = request.GET.get("status") or "open"
    return None if status == "all" else status


class StatusFilter(FieldFilter):
    """By status, open by default."""

    title = _("status")
    parameters = ("status",)
    default = "open"

    def values(self) -> list[tuple[str, Any]]:
        """Return the statuses, and all."""
        return [*((str(status.value), status.label) for status in DeadLetter.Status), ("all", _("All"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the dead letters of the status."""
        return queryset if self.value() == "all" else super().queryset(request, queryset)


class ReasonFilter(FieldFilter):
    """By reason."""

    title = _("reason")
    parameters = ("reason",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the reasons."""
        return [(reason.value, label) for reason, label in DEATH_REASON_LABELS.items()]


class JobNameFilter(FieldFilter):
    """By job, among those that this process knows."""

    title = _("job")
    parameters = ("job_name",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the registered names."""
        return [(definition.name, definition.name) for definition in registry.all_definitions()]


class QueueFilter(FieldFilter):
    """By queue."""

    title = _("queue")
    parameters = ("queue_name",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the queues."""
        return queue_choices()


class FingerprintFilter(FieldFilter):
    """By error, shown only if the address has it."""

    title = _("error")
    parameters = ("fingerprint",)

    def has_output(self) -> bool:
        """Tell whether the address has it."""
        return bool(self.value())

    def values(self) -> list[tuple[str, Any]]:
        """Offer nothing but the value of the address."""
        return []


class ErrorTextFilter(FingerprintFilter):
    """By part of the error, shown only if the address has it."""

    title = _("error text")
    parameters = ("error",)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the dead letters whose error contains the text, for users who may read errors."""
        text = self.value()
        if not text or not has_permission(request, VIEW_ARGUMENTS):
            return queryset
        return queryset.filter(Q(error_class__icontains=text) | Q(error_message__icontains=text))


class BatchFilter(FingerprintFilter):
    """By batch of their jobs, shown only if the address has it."""

    title = _("batch")
    parameters = ("batch",)

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the dead letters of the batch's jobs."""
        batch_id = as_id("batch", self.value())
        return queryset if batch_id is None else of_batch(queryset, batch_id)


class TimesForm(forms.Form):
    """Typed times; ``policy/filter_values.py`` checks them."""

    since = forms.CharField(label=_("From"), required=False)
    until = forms.CharField(label=_("Until"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"placeholder": "2026-03-01T09:30"}


class TimesFilter(ParametersFilter):
    """By time of death: a period that ends now, or typed times."""

    title = _("died at")
    template = "admin/django_jobs/deadletter/times_filter.html"
    parameters = ("since", "until")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the dead letters of that time."""
        return died_within(queryset, read_dead_letter_filter(request))

    def choices(self, changelist: ChangeList) -> Any:
        """Yield the periods and the form, with the parameters that it keeps."""
        given = self.request.GET
        periods = [
            {
                "selected": given.get("since", "") == value and not given.get("until"),
                "query_string": changelist.get_query_string({"since": value or None}, ["until"]),
                "display": label,
            }
            for value, label in (("", _("All")), *PERIODS)
        ]
        kept = [(name, value) for name, value in changelist.params.items() if name not in self.parameters]
        form = TimesForm(given, auto_id="times-%s", use_required_attribute=False)
        yield {"periods": periods, "form": form, "kept": kept}


FILTERS: tuple[type[ParametersFilter], ...] = (
    StatusFilter,
    TimesFilter,
    ReasonFilter,
    JobNameFilter,
    QueueFilter,
    FingerprintFilter,
    ErrorTextFilter,
    BatchFilter,
)
