"""The filters of the jobs' list, read from and written to its address; see ``policy/job_filter.py``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...models import CronSchedule, Queue
from ...policy.job_filter import JobFilter
from ..site.permissions import VIEW_ARGUMENTS, has_permission
from .labels import STATE_LABELS

MAX_CHOICES = 100
PERIODS = (("PT1H", _("Last hour")), ("P1D", _("Last day")), ("P7D", _("Last week")))


def read_filter(request: HttpRequest) -> JobFilter:
    """Return what the address asks for.

    Raises FilterError, and PermissionDenied where it asks about arguments or errors that the user may not see:
    what a search finds tells what is in them.
    """
    wanted = JobFilter.from_query(request.GET.dict(), zone=get_current_timezone())
    if (wanted.wanted_arguments or wanted.error) and not has_permission(request, VIEW_ARGUMENTS):
        raise PermissionDenied(f"the permission django_jobs.{VIEW_ARGUMENTS} is needed to search for these")
    return wanted


class ParametersFilter(admin.ListFilter):
    """Takes its parameters out of what Django would look up: others filter by them."""

    parameters: tuple[str, ...]

    def __init__(self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.request = request
        for name in self.parameters:
            if params.pop(name, None):
                self.used_parameters[name] = request.GET.get(name, "")

    def has_output(self) -> bool:
        """Tell that there is something to choose."""
        return True

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the same."""
        return queryset

    def expected_parameters(self) -> list[str | None]:
        """Return the names of the parameters."""
        return list(self.parameters)


class ChoicesFilter(ParametersFilter, ABC):
    """One parameter with a few values to choose from."""

    @abstractmethod
    def values(self) -> list[tuple[str, Any]]:
        """Return (value, text) pairs."""

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield what the template shows; a value that is none of the choices is shown as one."""
        (name,) = self.parameters
        chosen = self.request.GET.get(name, "")
        offered = self.values()
        if chosen and chosen not in dict(offered):
            offered.append((chosen, chosen))
        for value, text in [("", _("All")), *offered]:
            yield {
                "selected": value == chosen,
                "query_string": changelist.get_query_string({name: value or None}),
                "display": text,
            }


class StateFilter(ChoicesFilter):
    """By state."""

    title = _("state")
    parameters = ("state",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the seven states."""
        return [(state.value, text) for state, text in STATE_LABELS.items()]


class QueueFilter(ChoicesFilter):
    """By queue: those that workers have met, not those that the jobs have, which would be a look at all of them."""

    title = _("queue")
    parameters = ("queue",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the queues, up to a hundred."""
        names = Queue.objects.order_by("name").values_list("name", flat=True)[:MAX_CHOICES]
        return [(name, name) for name in names]


class TimeFilter(ChoicesFilter):
    """By when a job was enqueued."""

    title = _("time of enqueue")
    parameters = ("since",)

    def values(self) -> list[tuple[str, Any]]:
        """Return periods that end now."""
        return list(PERIODS)


class FilterForm(forms.Form):
    """What is typed. Values are judged by ``policy/job_filter.py``, not here."""

    name = forms.CharField(label=_("Job"), required=False)
    worker = forms.CharField(label=_("Worker (id)"), required=False)
    schedule = forms.ChoiceField(label=_("Schedule"), required=False)
    batch = forms.CharField(label=_("Batch (id)"), required=False)
    until = forms.CharField(label=_("Enqueued before"), required=False)
    argument = forms.CharField(label=_("Argument"), required=False)
    error = forms.CharField(label=_("Part of an error"), required=False)

    def __init__(self, *args: Any, can_view_arguments: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"].widget.attrs |= {"list": "job-names"}
        self.fields["worker"].widget.attrs |= {"inputmode": "numeric"}
        self.fields["batch"].widget.attrs |= {"inputmode": "numeric"}
        self.fields["until"].widget.attrs |= {"placeholder": "2026-03-01T09:30"}
        self.fields["argument"].widget.attrs |= {"placeholder": "user_id=7"}
        schedules = CronSchedule.objects.order_by("name").values_list("pk", "name")[:MAX_CHOICES]
        self.fields["schedule"].choices = [("", "---------"), *((str(pk), name) for pk, name in schedules)]  # type: ignore[attr-defined]
        if not can_view_arguments:
            del self.fields["argument"], self.fields["error"]


class MoreFilter(ParametersFilter):
    """Everything that is typed, in one form."""

    title = _("more")
    template = "admin/django_jobs/job/filter_form.html"
    parameters = ("name", "worker", "schedule", "batch", "until", "argument", "error", "ids")

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the form, the parameters that it keeps, and the names to pick from."""
        form = FilterForm(
            self.request.GET,
            can_view_arguments=has_permission(self.request, VIEW_ARGUMENTS),
            auto_id="filter-%s",
            use_required_attribute=False,
        )
        kept = [pair for pair in changelist.params.items() if pair[0] not in form.fields]
        names = [definition.name for definition in registry.all_definitions()]
        ids = self.request.GET.get("ids", "")
        without_ids = changelist.get_query_string({"ids": None})
        yield {"form": form, "kept": kept, "names": names, "ids": ids, "without_ids": without_ids}


FILTERS = (StateFilter, TimeFilter, QueueFilter, MoreFilter)
