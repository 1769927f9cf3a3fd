"""The admin of ticks: when each was due, how late it was decided, its outcome and its job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from ...conf import get_settings
from ...models import CronSchedule, Tick
from ..site.labels import format_duration
from ..site.links import page_link, request_of
from ..site.page_admin import ReadOnlyAdmin, column
from ..site.times import format_timestamp

if TYPE_CHECKING:
    _Form = forms.ModelForm[CronSchedule]
else:
    _Form = forms.ModelForm


def late_text(tick: Tick) -> str:
    """Return how much later than due a tick was decided."""
    return format_duration(tick.late_by)


@admin.register(Tick)
class TickAdmin(ReadOnlyAdmin[Tick]):
    """Lists ticks: when each was due, how late it was decided, its outcome and the reason."""

    list_display = ("due", "schedule_link", "outcome", "late", "job_link", "reason", "requested_by")
    list_filter = ("outcome",)
    search_fields = ("schedule__name",)
    search_help_text = _("Part of a schedule name")
    list_select_related = ("schedule",)
    ordering = ("-id",)
    readonly_fields = ("schedule_link", "due", "decided", "late", "job_link")
    fields = ("schedule_link", "due", "decided", "late", "outcome", "reason", "job_link", "requested_by")

    def only_database(self) -> str | None:
        """Return that of the schedules."""
        return get_settings().database_of_schedules

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Allow the link from a schedule's page."""
        return lookup == "schedule__id__exact" or super().lookup_allowed(lookup, value, request)

    due = column(_("due"), lambda tick: format_timestamp(tick.due_at), ordering="due_at")
    decided = column(_("decided at"), lambda tick: format_timestamp(tick.decided_at))
    late = column(_("late by"), late_text)

    @admin.display(description=_("job"))
    def job_link(self, tick: Tick) -> str | SafeString:
        """Return a link to the job that it fired, which may have been pruned since."""
        return page_link(request_of(tick), self.admin_site, "job", tick.job_id, tick.job_id)

    @admin.display(description=_("schedule"))
    def schedule_link(self, tick: Tick) -> str | SafeString:
        """Return a link to its schedule; Django's own would lead users without the permission to an error."""
        return page_link(request_of(tick), self.admin_site, "cronschedule", tick.schedule_id, tick.schedule)
