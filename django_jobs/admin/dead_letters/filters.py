"""The filters of the letters' list; each is a parameter of its address, so that a view can be kept and sent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...models import DeadLetter, Queue
from ...policy.dead_letter_filter import DeadLetterFilter
from ...policy.outcomes import DeathReason
from ...store.dead_letters.search import died_within
from ..jobs.filters import PERIODS, ParametersFilter
from ..site.permissions import VIEW_ARGUMENTS, has_permission

REASON_LABELS = {
    DeathReason.ATTEMPTS_USED_UP: _("attempts used up"),
    DeathReason.NOT_RETRYABLE: _("not to be tried again"),
    DeathReason.DISCARDED: _("discarded by the job"),
    DeathReason.UNKNOWN_JOB: _("no worker knew the job"),
    DeathReason.UNREADABLE: _("unreadable"),
    DeathReason.QUARANTINED: _("killed its workers"),
}
MAX_QUEUES = 100


def reason_label(reason: str) -> str:
    """Return why a job died in the current language."""
    return str(REASON_LABELS[DeathReason(reason)]) if reason in set(DeathReason) else reason


def read_dead_letter_filter(request: HttpRequest) -> DeadLetterFilter:
    """Return the filter that an address says. Texts of errors are searched for those who may read them only.

    Raises FilterError for a time that is none.
    """
    parameters = request.GET if request.method != "POST" else request.POST
    given = {key: value for key, value in parameters.items() if isinstance(value, str)}
    if not has_permission(request, VIEW_ARGUMENTS):
        given.pop("error", None)
    return DeadLetterFilter.from_query(given, zone=get_current_timezone())


def requested_status(request: HttpRequest) -> str | None:
    """Return the status that an address asks for, the open ones where it asks for none; None: all."""
    status = request.GET.get("status") or "open"
    return None if status == "all" else status


class StatusFilter(SimpleListFilter):
    """Open letters unless another status is asked for."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return what can be chosen beside the open ones."""
        return [*((str(status.value), status.label) for status in DeadLetter.Status), ("all", _("All"))]

    def choices(self, changelist: Any) -> Any:
        """Yield the statuses; the open ones are chosen where the address says nothing."""
        for value, label in self.lookup_choices:
            yield {
                "selected": (self.value() or "open") == value,
                "query_string": changelist.get_query_string({self.parameter_name: value}),
                "display": label,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the letters of that status."""
        value = self.value() or "open"
        return queryset if value == "all" else queryset.filter(status=value)


class _FieldFilter(SimpleListFilter):
    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the letters with that value."""
        value = self.value()
        return queryset if value is None else queryset.filter(**{str(self.parameter_name): value})

    def _with_chosen(self, known: Iterable[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """Return the choices, and the one of the address where it is none of them."""
        choices = list(known)
        value = self.value()
        if value is not None and value not in {key for key, _label in choices}:
            choices.append((value, value))
        return choices


class ReasonFilter(_FieldFilter):
    """Why the job died."""

    title = _("reason")
    parameter_name = "reason"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the reasons."""
        return [(reason.value, words) for reason, words in REASON_LABELS.items()]


class JobNameFilter(_FieldFilter):
    """Which job it was, of those that this process knows."""

    title = _("job")
    parameter_name = "job_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the registered names."""
        return self._with_chosen(
            (definition.name, definition.name) for definition in registry.all_definitions()
        )


class QueueFilter(_FieldFilter):
    """Which queue it was in."""

    title = _("queue")
    parameter_name = "queue_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the queues that workers have met."""
        names = Queue.objects.order_by("name").values_list("name", flat=True)[:MAX_QUEUES]
        return self._with_chosen((name, name) for name in names)


class FingerprintFilter(_FieldFilter):
    """One error: shown only where the address says so."""

    title = _("error")
    parameter_name = "fingerprint"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one that was asked for."""
        return self._with_chosen([])


class ErrorTextFilter(_FieldFilter):
    """Part of the error: shown only where the address says so."""

    title = _("text of the error")
    parameter_name = "error"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        """Return the one that was asked for."""
        return self._with_chosen([])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the letters whose error has the text, for those who may read it."""
        text = self.value()
        if not text or not has_permission(request, VIEW_ARGUMENTS):
            return queryset
        return queryset.filter(Q(error_class__icontains=text) | Q(error_message__icontains=text))


class TimesForm(forms.Form):
    """From and until when, as they are typed; ``policy/filter_values.py`` judges them."""

    since = forms.CharField(label=_("From"), required=False)
    until = forms.CharField(label=_("Until"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs |= {"placeholder": "2026-03-01T09:30"}


class TimesFilter(ParametersFilter):
    """When the job died: a period that ends now, or from and until as typed."""

    title = _("time of death")
    template = "admin/django_jobs/deadletter/times_filter.html"
    parameters = ("since", "until")

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the letters of that time."""
        return died_within(queryset, read_dead_letter_filter(request))

    def choices(self, changelist: Any) -> Any:
        """Yield the periods and the form, with the parameters that it keeps."""
        given = self.request.GET
        periods = [
            {
                "selected": given.get("since", "") == value and not given.get("until"),
                "query_string": changelist.get_query_string({"since": value or None}, ["until"]),
                "display": text,
            }
            for value, text in (("", _("All")), *PERIODS)
        ]
        kept = [pair for pair in changelist.params.items() if pair[0] not in self.parameters]
        yield {
            "periods": periods,
            "form": TimesForm(given, auto_id="times-%s", use_required_attribute=False),
            "kept": kept,
        }


FILTERS = (
    StatusFilter,
    TimesFilter,
    ReasonFilter,
    JobNameFilter,
    QueueFilter,
    FingerprintFilter,
    ErrorTextFilter,
)
