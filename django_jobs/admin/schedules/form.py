"""The form of a schedule: each error is shown at its field, and the next firings before it is saved."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.utils.timezone import get_default_timezone_name
from django.utils.translation import gettext_lazy as _

from ...conf.readers import MAX_NAME_LENGTH
from ...exceptions import JobsError
from ...models import CronSchedule
from ...models.schedule import MAX_ZONE_LENGTH
from ...policy.cron import MAX_EXPRESSION_LENGTH, CronError
from ...policy.overlap import Overlap
from ...policy.schedule import CatchUp, ScheduleSpec, TickPolicy, Timing
from ...schedules import check_stored_arguments, get_schedulable_job, schedulable_jobs, spec_of
from ..site.arguments_field import ArgumentsField

if TYPE_CHECKING:
    _Form = forms.ModelForm[CronSchedule]
else:
    _Form = forms.ModelForm


EDITABLE_FIELDS = (
    "name", "job_name", "arguments", "cron", "every", "timezone", "jitter", "overlap", "catch_up", "catch_up_limit",
)  # fmt: skip
PREVIEW = "_preview"
"""The name of the button that shows the form again with its next firings."""
TIMING_FIELDS = frozenset({"cron", "every", "timezone", "jitter"})


class TimingForm(forms.Form):
    """The fields of a schedule that say when it fires; each error is shown at its field."""

    name = forms.CharField(required=False, max_length=MAX_NAME_LENGTH)
    cron = forms.CharField(required=False, max_length=MAX_EXPRESSION_LENGTH)
    every = forms.DurationField(required=False)
    timezone = forms.CharField(required=False, max_length=MAX_ZONE_LENGTH)
    jitter = forms.DurationField(required=False)

    timing: Timing
    """The timing of a valid form."""

    def clean(self) -> dict[str, Any]:
        """Check the timing."""
        data = super().clean() or self.cleaned_data
        timing = checked_timing(self, data)
        if timing is not None:
            self.timing = timing
        return data


class ScheduleForm(_Form):
    """A schedule of staff's own; each error is shown at its field."""

    job_name = forms.ChoiceField(
        label=_("Job"), help_text=_("Jobs with @job(schedulable=True) and those in the setting SCHEDULABLE.")
    )
    arguments = ArgumentsField(
        label=_("Arguments"),
        required=False,
        initial=dict,
        widget=forms.Textarea({"rows": 4, "cols": 60}),
        help_text=_('The job\'s keyword arguments as a JSON object, such as {"user_id": 7}.'),
    )
    timezone = forms.ChoiceField(label=_("Time zone"), choices=[(zone, zone) for zone in sorted(available_timezones())])

    spec: ScheduleSpec
    """The schedule of a valid form."""

    class Meta:
        model = CronSchedule
        fields = EDITABLE_FIELDS
        help_texts = {
            "cron": _("Minute, hour, day of month, month, day of week; or @daily. Leave empty if a period is given."),
            "every": _("A period in seconds, or as hours:minutes:seconds. Leave empty if a cron expression is given."),
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
        if "timezone" in self.fields:
            # Otherwise a row with an unknown zone would be shown, and saved, with the first choice.
            shown = get_default_timezone_name() if self.instance._state.adding else self.instance.timezone
            zones = available_timezones() | {shown}
            self.fields["timezone"].choices = [(zone, zone) for zone in sorted(zones)]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Check the schedule as a whole."""
        data = super().clean() or self.cleaned_data
        if not self.fields:
            return data
        timing = checked_timing(self, data)
        vars(self.instance)["previewed_timing"] = timing
        if timing is None and self.errors.keys() & {"every", "jitter", "timezone"}:
            return data
        tick_policy = TickPolicy(
            overlap=Overlap(data.get("overlap", Overlap.SKIP)),
            catch_up=CatchUp(data.get("catch_up", CatchUp.LATEST)),
            catch_up_limit=data.get("catch_up_limit") or 0,
        )
        _check(self, tick_policy)
        if timing is not None and "job_name" in data and not self.errors:
            self._find_spec(data, timing, tick_policy)
        return data

    def is_valid(self) -> bool:
        """Tell whether the form may be saved: one that asks for a preview is shown again, with errors of its timing."""
        is_valid = super().is_valid()
        if PREVIEW not in self.data:
            return is_valid
        for name in self.errors.keys() - TIMING_FIELDS:
            del self.errors[name]
        return False

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


def checked_timing(form: forms.BaseForm, data: dict[str, Any]) -> Timing | None:
    """Return the timing of a form's data, or None after its errors were added to the fields of the form."""
    if form.errors.keys() & TIMING_FIELDS:
        return None
    timing = Timing(
        name=data.get("name", ""),
        cron=data.get("cron") or "",
        every=data.get("every"),
        timezone=data.get("timezone", "UTC"),
        jitter=data.get("jitter") or timedelta(0),
    )
    return timing if _check(form, timing) else None


def _check(form: forms.BaseForm, part: Timing | TickPolicy) -> bool:
    try:
        part.check()
    except CronError as error:
        option, colon, text = str(error).partition(": ")
        if colon and option in form.fields:
            form.add_error(option, text)
        else:
            form.add_error("cron", str(error))
        return False
    return True
