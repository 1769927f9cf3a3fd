"""The admin of schedules: staff write, pause, resume, run and delete schedules."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ...conf import get_settings
from ...exceptions import JobsError
from ...models import CronSchedule
from ...operations import delete_schedule, pause_schedule, resume_schedule, run_schedule, save_schedule
from ...policy.cron_words import describe_cron
from ...policy.schedule import TickOutcome
from ...redaction import redact_arguments
from ..site.labels import render_json
from ..site.page_admin import PageAdmin, actor, column
from . import firings
from .form import EDITABLE_FIELDS, PREVIEW, ScheduleForm
from .preview import in_zone, preview, preview_view


class ScheduleChangeList(ChangeList):
    """A page of schedules with their newest ticks: three more statements for all of them."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the schedules and their ticks."""
        super().get_results(request)
        self.result_list: Any = list(self.result_list)
        firings.attach_ticks(self.result_list)


@admin.register(CronSchedule)
class CronScheduleAdmin(PageAdmin[CronSchedule]):
    """Lists schedules; those defined in code can be paused and run, but not changed."""

    form = ScheduleForm
    list_display = ("name", "status_display", "meaning", "last_firing", "strip", "next_due")
    list_filter = ("is_from_code", "overlap", "project")
    search_fields = ("name", "job_name")
    ordering = ("name",)
    actions = ("pause_selected", "resume_selected", "run_selected")
    readonly_fields = ("readable_arguments", "status_display", "next_firings", "last_firing", "ticks")
    fieldsets = (
        (None, {"fields": ("name", "job_name", "arguments")}),
        (_("Timing"), {"fields": ("cron", "every", "timezone", "jitter", "next_firings")}),
        (_("Policy"), {"fields": ("overlap", "catch_up", "catch_up_limit")}),
        (_("Status"), {"fields": ("status_display", "last_firing", "ticks")}),
    )

    change_form_template = "admin/django_jobs/cronschedule/change_form.html"

    def only_database(self) -> str | None:
        """Return that of the schedules."""
        return get_settings().database_of_schedules

    def get_readonly_fields(self, request: HttpRequest, obj: CronSchedule | None = None) -> list[str]:
        """Make schedules defined in code read-only."""
        is_code_defined = obj is not None and obj.is_from_code
        return [*EDITABLE_FIELDS, *self.readonly_fields] if is_code_defined else list(self.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: CronSchedule | None = None) -> Any:
        """Show masked arguments to users who cannot change them."""
        if obj is None or (not obj.is_from_code and self.has_change_permission(request, obj)):
            return self.fieldsets
        return ((None, {"fields": ("name", "job_name", "readable_arguments")}), *self.fieldsets[1:])

    def has_change_permission(self, request: HttpRequest, obj: CronSchedule | None = None) -> bool:
        """Refuse for schedules defined in code; without one, tell who may pause, resume and run any."""
        return not (obj is not None and obj.is_from_code) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: CronSchedule | None = None) -> bool:
        """Refuse for schedules defined in code, unless the code no longer defines them."""
        is_code_defined = obj is not None and obj.is_from_code and obj.disabled_at is None
        return not is_code_defined and super().has_delete_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: CronSchedule, form: Any, change: bool) -> None:
        """Write by the store's function."""
        if obj.is_from_code:
            return
        row = save_schedule(form.spec, replaces=obj if change else None)
        obj.__dict__.update(row.__dict__)

    def delete_model(self, request: HttpRequest, obj: CronSchedule) -> None:
        """Delete by the store's function."""
        delete_schedule(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[CronSchedule]) -> None:
        """Delete by the store's function, one by one; schedules defined in code are kept."""
        for schedule in queryset:
            try:
                delete_schedule(schedule)
            except JobsError as error:
                self.message_user(request, str(error), messages.WARNING)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """List the schedules only: they may have a million ticks."""
        return [str(schedule) for schedule in objs], {self.opts.verbose_name_plural: len(objs)}, set(), []

    @admin.display(description=_("status"))
    def status_display(self, schedule: CronSchedule) -> str:
        """Return whether it fires, and why not."""
        match schedule.status:
            case "broken":
                return _("broken: %s") % schedule.problem
            case "disabled":
                return str(_("disabled: no longer defined in code"))
            case "paused":
                return _("paused by %s") % schedule.paused_by if schedule.paused_by else str(_("paused"))
            case _:
                return str(_("active"))

    readable_arguments = column(
        _("arguments"), lambda schedule: render_json(redact_arguments(schedule.job_name, schedule.arguments))
    )
    meaning = column(_("meaning"), lambda schedule: describe_cron(schedule.cron, every=schedule.every) or "-")
    next_due = column(
        _("next due"),
        lambda schedule: "-" if schedule.next_due_at is None else in_zone(schedule.next_due_at, schedule),
        ordering="next_due_at",
    )
    strip = column(_("last ticks"), firings.strip)

    @admin.display(description=_("last firing"))
    def last_firing(self, schedule: CronSchedule) -> str | SafeString:
        """Return when it last fired, and how its job ended."""
        return "-" if schedule._state.adding else firings.last_firing(self, schedule)

    @admin.display(description=_("recent ticks"))
    def ticks(self, schedule: CronSchedule) -> str | SafeString:
        """Return the newest ticks, with a link to all."""
        if schedule._state.adding:
            return "-"
        return format_html("{}{}", firings.strip(schedule), firings.table(self, schedule))

    @admin.display(description=_("next firings"))
    def next_firings(self, schedule: CronSchedule) -> SafeString:
        """Return the next instants of the form as it is, which a script renews while it is filled in."""
        timing = vars(schedule).get("previewed_timing", schedule.timing)
        is_empty = timing is None or not (timing.cron or timing.every is not None)
        return format_html(
            '<div id="schedule-preview" data-url="{}" aria-live="polite">{}</div>',
            self.url("cronschedule_preview"),
            "-" if is_empty else preview(timing),
        )

    @admin.action(description=_("Pause"), permissions=["change"])
    def pause_selected(self, request: HttpRequest, schedules: QuerySet[CronSchedule]) -> None:
        """Pause the selected schedules."""
        for schedule in schedules:
            _apply_action(self, request, schedule, "pause")

    @admin.action(description=_("Resume: missed ticks are skipped"), permissions=["change"])
    def resume_selected(self, request: HttpRequest, schedules: QuerySet[CronSchedule]) -> None:
        """Resume the selected schedules."""
        for schedule in schedules:
            _apply_action(self, request, schedule, "resume")

    @admin.action(description=_("Run now"), permissions=["change"])
    def run_selected(self, request: HttpRequest, schedules: QuerySet[CronSchedule]) -> None:
        """Fire the selected schedules now."""
        for schedule in schedules:
            _apply_action(self, request, schedule, "run")

    def get_urls(self) -> list[Any]:
        """Add the address of the buttons."""
        act = self.page_path("<int:pk>/<str:key>/now/", _action_view, "cronschedule_act")
        preview = self.page_path("preview/", preview_view, "cronschedule_preview")
        return [act, preview, *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with the newest ticks."""
        return ScheduleChangeList

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Begin with the project's time zone."""
        return {"timezone": get_default_timezone_name(), **super().get_changeform_initial_data(request)}

    def _may_write(self, request: HttpRequest, schedule: CronSchedule | None) -> bool:
        return self.has_add_permission(request) if schedule is None else self.has_change_permission(request, schedule)

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the buttons, and leave out those that save a schedule defined in code."""
        schedule = context.get("original")
        if schedule is not None and self.has_change_permission(request):
            pause = ("resume", _("Resume")) if schedule.paused_at else ("pause", _("Pause"))
            context["buttons"] = [
                (self.url("cronschedule_act", schedule.pk, key), label) for key, label in (("run", _("Run now")), pause)
            ]
        is_from_code = schedule is not None and schedule.is_from_code
        context["preview_name"] = None if is_from_code or not self._may_write(request, schedule) else PREVIEW
        if is_from_code:
            context.update(show_save=False, show_save_and_continue=False, show_save_and_add_another=False)
        return super().render_change_form(request, context, *args, **kwargs)


def _action_view(model_admin: PageAdmin[CronSchedule], request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Pause, resume or run a schedule."""
    if request.method != "POST" or key not in {"pause", "resume", "run"}:
        raise Http404
    schedule = model_admin.get_object(request, str(pk))
    if schedule is None:
        raise Http404
    if not model_admin.has_change_permission(request):
        raise PermissionDenied
    _apply_action(model_admin, request, schedule, key)
    return HttpResponseRedirect(model_admin.url("cronschedule_change", pk))


def _apply_action(model_admin: PageAdmin[CronSchedule], request: HttpRequest, schedule: CronSchedule, key: str) -> None:
    """Apply the action and show the result."""
    try:
        if key == "run":
            tick = run_schedule(schedule, by=actor(request))
            is_done = tick.outcome is TickOutcome.FIRED
            result = gettext("job %(id)s") % {"id": tick.job_id} if is_done else tick.reason
            text = f"{schedule}: {tick.outcome.value}, {result}"
        elif key == "pause":
            is_done = pause_schedule(schedule, by=actor(request))
            text = gettext("%s: paused") if is_done else gettext("%s was already paused")
            text %= schedule
        else:
            is_done = resume_schedule(schedule)
            text = gettext("%s: resumed") if is_done else gettext("%s was not paused")
            text %= schedule
    except (JobsError, ValueError) as error:
        model_admin.message_user(request, str(error), messages.ERROR)
    else:
        model_admin.message_user(request, text, messages.SUCCESS if is_done else messages.WARNING)
