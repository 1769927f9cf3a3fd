"""The admin of schedules and their ticks: staff write, pause, resume, run and delete schedules."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from ..exceptions import JobsError
from ..models import CronSchedule, Tick
from ..operations import delete_schedule, pause_schedule, resume_schedule, run_schedule, save_schedule
from ..policy.cron import CronError
from ..policy.cron_words import describe_cron
from ..policy.overlap import Overlap
from ..policy.schedule import CatchUp, ScheduleSpec, TickOutcome, TickPolicy, Timing
from ..redaction import redact_arguments
from ..schedules import check_stored_arguments, get_schedulable_job, schedulable_jobs, spec_of
from ..store.clock import database_now
from .site.arguments_field import ArgumentsField
from .site.labels import format_timestamp, render_json
from .site.page_admin import PageAdmin, ReadOnlyAdmin, actor, column

if TYPE_CHECKING:
    _Form = forms.ModelForm[CronSchedule]
else:
    _Form = forms.ModelForm

MAX_FIRINGS_SHOWN, MAX_TICKS_SHOWN = 5, 10
EDITABLE_FIELDS = (
    "name", "job_name", "arguments", "cron", "every", "timezone", "jitter", "overlap", "catch_up", "catch_up_limit",
)  # fmt: skip


class ScheduleForm(_Form):
    """A schedule of staff's own; each error is shown at its field."""

    job_name = forms.ChoiceField(
        label=_("Job"), help_text=_("Jobs with @job(schedulable=True) and those in the setting SCHEDULABLE.")
    )
    arguments = ArgumentsField(
        required=False,
        initial=dict,
        widget=forms.Textarea({"rows": 4, "cols": 60}),
        help_text=_('The job\'s keyword arguments as a JSON object, such as {"user_id": 7}.'),
    )
    timezone = forms.ChoiceField(initial="UTC", choices=[(zone, zone) for zone in sorted(available_timezones())])

    spec: ScheduleSpec
    """The schedule of a valid form."""

    class Meta:
        model = CronSchedule
        fields = EDITABLE_FIELDS
        help_texts = {
            "cron": _("Minute, hour, day of month, month, day of week; or @daily. Leave empty if a period is given."),
            "every": _("A period such as 0:00:10, or in seconds. Leave empty if a cron expression is given."),
            "jitter": _("Maximum random delay of each tick, to spread load."),
            "overlap": _("What to do with a tick while the previous job has not finished."),
            "catch_up": _("Which missed ticks fire after an outage."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "job_name" in self.fields:
            names = {definition.name for definition in schedulable_jobs()}
            if self.instance.pk is not None:
                names.add(self.instance.job_name)
            self.fields["job_name"].choices = [(name, name) for name in sorted(names)]  # type: ignore[attr-defined]
        if "timezone" in self.fields and self.instance.pk is not None:
            # Otherwise a row with an unknown zone would be shown, and saved, with the first choice.
            zones = available_timezones() | {self.instance.timezone}
            self.fields["timezone"].choices = [(zone, zone) for zone in sorted(zones)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Check the schedule as a whole."""
        data = super().clean() or self.cleaned_data
        if not self.fields or self.errors.keys() & {"cron", "every", "jitter", "timezone"}:
            return data
        timing = self._checked(
            Timing(
                name=data.get("name", ""),
                cron=data.get("cron") or "",
                every=data.get("every"),
                timezone=data.get("timezone", "UTC"),
                jitter=data.get("jitter") or timedelta(0),
            )
        )
        tick_policy = self._checked(
            TickPolicy(
                overlap=Overlap(data.get("overlap", Overlap.SKIP)),
                catch_up=CatchUp(data.get("catch_up", CatchUp.LATEST)),
                catch_up_limit=data.get("catch_up_limit") or 0,
            )
        )
        if "job_name" in data and not self.errors:
            self._find_spec(data, timing, tick_policy)
        return data

    def _checked(self, part: Any) -> Any:
        try:
            part.check()
        except CronError as error:
            option, colon, text = str(error).partition(": ")
            if colon and option in self.fields:
                self.add_error(option, text)
            else:
                self.add_error("cron", str(error))
        return part

    def _find_spec(self, data: dict[str, Any], timing: Timing, tick_policy: TickPolicy) -> None:
        try:
            definition = get_schedulable_job(data["job_name"])
        except JobsError as error:
            self.add_error("job_name", str(error))
            return
        try:
            arguments = check_stored_arguments(definition, {} if data["arguments"] is None else data["arguments"])
        except (JobsError, ValueError, TypeError) as error:
            self.add_error("arguments", str(error))
            return
        self.spec = spec_of(definition, arguments=arguments, timing=timing, tick_policy=tick_policy)


@admin.register(CronSchedule)
class CronScheduleAdmin(PageAdmin[CronSchedule]):
    """Lists schedules; those defined in code can be paused and run, but not changed."""

    form = ScheduleForm
    list_display = ("name", "status_display", "meaning", "next_due", "is_from_code")
    list_filter = ("is_from_code", "overlap", "project")
    search_fields = ("name", "job_name")
    ordering = ("name",)
    actions = ("pause_selected", "resume_selected", "run_selected")
    readonly_fields = ("readable_arguments", "status_display", "meaning", "firings", "ticks")
    fieldsets = (
        (None, {"fields": ("name", "job_name", "arguments")}),
        (_("Timing"), {"fields": ("cron", "every", "timezone", "jitter", "meaning", "firings")}),
        (_("Policy"), {"fields": ("overlap", "catch_up", "catch_up_limit")}),
        (_("Status"), {"fields": ("status_display", "ticks")}),
    )

    change_form_template = "admin/django_jobs/change_form.html"

    def get_readonly_fields(self, request: HttpRequest, obj: CronSchedule | None = None) -> list[str]:
        """Make schedules defined in code read-only."""
        is_code_defined = obj is not None and obj.is_from_code
        return [*EDITABLE_FIELDS, *self.readonly_fields] if is_code_defined else list(self.readonly_fields)

    def get_fieldsets(self, request: HttpRequest, obj: CronSchedule | None = None) -> Any:
        """Show masked arguments to users who cannot change them."""
        if obj is None or (not obj.is_from_code and self.has_change_permission(request, obj)):
            return self.fieldsets
        return ((None, {"fields": ("name", "job_name", "readable_arguments")}), *self.fieldsets[1:])

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
        lambda schedule: "-" if schedule.next_due_at is None else _in_zone(schedule.next_due_at, schedule.timezone),
        ordering="next_due_at",
    )

    @admin.display(description=_("next firings"))
    def firings(self, schedule: CronSchedule) -> str | SafeString:
        """Return the next five instants in the schedule's own zone and in UTC."""
        if schedule._state.adding:
            return str(_("Shown after saving."))
        try:
            instants = list(islice(schedule.timing.upcoming(database_now()), MAX_FIRINGS_SHOWN))
        except CronError as error:
            return str(error)
        rows = ((_in_zone(instant, schedule.timezone), f"{instant:%Y-%m-%d %H:%M:%S} UTC") for instant in instants)
        return format_html("<table>{}</table>", format_html_join("", "<tr><td>{}</td><td>{}</td></tr>", rows))

    @admin.display(description=_("recent ticks"))
    def ticks(self, schedule: CronSchedule) -> str | SafeString:
        """Return the newest ticks, with a link to all."""
        if schedule._state.adding:
            return "-"
        newest = Tick.objects.filter(schedule=schedule.pk).order_by("-due_at")[:MAX_TICKS_SHOWN]
        rows = (
            (format_timestamp(tick.due_at), tick.outcome, _late(tick), _job_link(self, tick), tick.reason)
            for tick in newest
        )
        table = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        link = self.url("tick_changelist")
        return format_html(
            '<table>{}</table><a href="{}?schedule__id__exact={}">{}</a>',
            table,
            link,
            schedule.pk,
            _("All ticks"),
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
        return [act, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """Add the buttons, and leave out those that save a schedule defined in code."""
        schedule = context.get("original")
        if schedule is not None and self.has_change_permission(request):
            pause = ("resume", _("Resume")) if schedule.paused_at else ("pause", _("Pause"))
            context["buttons"] = [
                (self.url("cronschedule_act", schedule.pk, key), label) for key, label in (("run", _("Run now")), pause)
            ]
        if schedule is not None and schedule.is_from_code:
            context.update(show_save=False, show_save_and_continue=False, show_save_and_add_another=False)
        return super().render_change_form(request, context, *args, **kwargs)


def _action_view(model_admin: PageAdmin[CronSchedule], request: HttpRequest, pk: int, key: str) -> HttpResponse:
    """Pause, resume or run a schedule."""
    if request.method != "POST" or key not in {"pause", "resume", "run"}:
        raise Http404
    schedule = model_admin.get_object(request, str(pk))
    if schedule is None:
        raise Http404
    if not model_admin.has_change_permission(request, schedule):
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


def _late(tick: Tick) -> str:
    return f"{tick.late_by.total_seconds():.3f} s"


@admin.register(Tick)
class TickAdmin(ReadOnlyAdmin[Tick]):
    """Lists ticks: when each was due, how late it was decided, its outcome and the reason."""

    list_display = ("due", "schedule", "outcome", "late", "job_link", "reason", "requested_by")
    list_filter = ("outcome",)
    search_fields = ("schedule__name",)
    search_help_text = _("Part of a schedule name")
    list_select_related = ("schedule",)
    ordering = ("-id",)
    readonly_fields = ("late", "job_link")
    fields = ("schedule", "due_at", "decided_at", "late", "outcome", "reason", "job_link", "requested_by")

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Allow the link from a schedule's page."""
        return lookup == "schedule__id__exact" or super().lookup_allowed(lookup, value, request)

    due = column(_("due"), lambda tick: format_timestamp(tick.due_at), ordering="due_at")
    late = column(_("late by"), _late)

    @admin.display(description=_("job"))
    def job_link(self, tick: Tick) -> str | SafeString:
        """Return a link to the job that it fired, which may have been pruned since."""
        return _job_link(self, tick)


def _job_link(model_admin: PageAdmin[Any], tick: Tick) -> str | SafeString:
    if tick.job_id is None:
        return "-"
    return format_html('<a href="{}">{}</a>', model_admin.url("job_change", tick.job_id), tick.job_id)


def _in_zone(instant: datetime, zone: str) -> str:
    try:
        local = instant.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):
        return format_timestamp(instant)
    return f"{local:%a %Y-%m-%d %H:%M:%S} {zone}"
