"""Filters of the job list, read from and written to its address; see ``policy/job_filter.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from django import forms
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from ... import registry
from ...conf.database import current_database
from ...models import CronSchedule
from ...models.labels import STATE_LABELS
from ...policy.job_filter import JobFilter
from ..site.databases import find_named_job
from ..site.filters import MAX_CHOICES, PERIODS, ChoicesFilter, ParametersFilter, queue_choices
from ..site.permissions import VIEW_ARGUMENTS, has_permission


def read_filter(request: HttpRequest) -> JobFilter:
    """Return the filter of the address.

    Raises FilterError, and PermissionDenied if it is about arguments or errors that the user may not see: the result
    of a search tells what is in them. An id of a job in another database matches none of this one.
    """
    wanted = JobFilter.from_query(request.GET.dict(), zone=get_current_timezone())
    if (wanted.wanted_arguments or wanted.error) and not has_permission(request, VIEW_ARGUMENTS):
        raise PermissionDenied(f"the permission django_jobs.{VIEW_ARGUMENTS} is needed to search for these")
    named = find_named_job(wanted.q)
    is_here = named is not None and named.database == current_database()
    return replace(wanted, q=str(named.number)) if named is not None and is_here else wanted


class StateFilter(ChoicesFilter):
    """By state."""

    title = _("state")
    parameters = ("state",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the seven states."""
        return [(state.value, text) for state, text in STATE_LABELS.items()]


class QueueFilter(ChoicesFilter):
    """By queue."""

    title = _("queue")
    parameters = ("queue",)

    def values(self) -> list[tuple[str, Any]]:
        """Return the queues."""
        return queue_choices()


class TimeFilter(ChoicesFilter):
    """By time of enqueue."""

    title = _("enqueued at")
    parameters = ("since",)

    def values(self) -> list[tuple[str, Any]]:
        """Return periods that end now."""
        return list(PERIODS)


class FilterForm(forms.Form):
    """Typed filters. ``policy/job_filter.py`` checks the values."""

    name = forms.CharField(label=_("Job"), required=False)
    worker = forms.CharField(label=_("Worker (id)"), required=False)
    schedule = forms.ChoiceField(label=_("Schedule"), required=False)
    batch = forms.CharField(label=_("Batch (id)"), required=False)
    until = forms.CharField(label=_("Enqueued before"), required=False)
    argument = forms.CharField(label=_("Argument"), required=False)
    error = forms.CharField(label=_("Error contains"), required=False)

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
    """All typed filters, in one form."""

    title = _("more")
    template = "admin/django_jobs/job/filter_form.html"
    parameters = ("name", "worker", "schedule", "batch", "until", "argument", "error", "ids")

    def choices(self, changelist: ChangeList) -> Iterator[Any]:
        """Yield the form, the parameters that it keeps, and the known job names."""
        form = FilterForm(
            self.request.GET,
            can_view_arguments=has_permission(self.request, VIEW_ARGUMENTS),
            auto_id="filter-%s",
            use_required_attribute=False,
        )
        kept = [(name, value) for name, value in changelist.params.items() if name not in form.fields]
        names = [definition.name for definition in registry.all_definitions()]
        ids = self.request.GET.get("ids", "")
        without_ids = changelist.get_query_string({"ids": None})
        yield {"form": form, "kept": kept, "names": names, "ids": ids, "without_ids": without_ids}


FILTERS = (StateFilter, TimeFilter, QueueFilter, MoreFilter)
