"""The options of bulk actions: a sample, a rate, a delay, a priority, a queue."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from ...policy.priorities import BACKGROUND_PRIORITY, MAX_PRIORITY, MIN_PRIORITY
from ..site.filters import queue_choices
from .subject import BulkAction

MAX_SAMPLE_SIZE = 1_000
MAX_DELAY_MINUTES = 7 * 24 * 60
MAX_PER_SECOND = 500
PRESET_ABOVE, PRESET = 1_000, 10
"""If more match, a sample is proposed first."""


class BulkOptionsForm(forms.Form):
    """All options; a form keeps those of its action."""

    first = forms.IntegerField(
        label=_("Only the newest"), required=False, min_value=1, max_value=MAX_SAMPLE_SIZE,
        help_text=_("A sample, such as 10, to see how the jobs end. Empty: all."),
    )  # fmt: skip
    again_at = forms.IntegerField(
        label=_("At priority"), required=False, min_value=MIN_PRIORITY, max_value=MAX_PRIORITY,
        initial=BACKGROUND_PRIORITY,
        help_text=_("-100: they run when no other job waits, in any queue. Empty: each at its own priority."),
    )  # fmt: skip
    per_second = forms.FloatField(
        label=_("Maximum per second"), required=False, min_value=0.01, max_value=MAX_PER_SECOND,
        help_text=_("Spares a service that has just recovered. Empty: no limit."),
    )  # fmt: skip
    delay = forms.IntegerField(
        label=_("Start in minutes"), required=False, min_value=1, max_value=MAX_DELAY_MINUTES,
        help_text=_("Empty: now."),
    )  # fmt: skip
    to = forms.ChoiceField(label=_("To queue"), help_text=_("They keep their priority and their age."))
    priority = forms.IntegerField(
        label=_("Priority"), min_value=MIN_PRIORITY, max_value=MAX_PRIORITY,
        help_text=_("-100 to 100. Higher runs first, -100 when no other job waits."),
    )  # fmt: skip

    def __init__(self, data: Any, action: BulkAction, *, proposes_sample: bool, first: str = "") -> None:
        """Take ``first``, a number of the address, as the size of the sample."""
        super().__init__(data)
        self.proposes_sample = proposes_sample and action.has_preset
        for name in set(self.fields) - set(action.options):
            del self.fields[name]
        self.order_fields(action.options)
        if "to" in self.fields:
            self.fields["to"].choices = [("", "---------"), *queue_choices()]  # type: ignore[attr-defined]
        if "first" in self.fields and first.isdecimal() and 0 < int(first) <= MAX_SAMPLE_SIZE:
            self.fields["first"].initial = int(first)
        elif self.proposes_sample:
            self.fields["first"].initial = PRESET

    def job_options(self) -> dict[str, Any]:
        """Return what ``using`` takes."""
        delay = self.cleaned_data.get("delay")
        return {"run_after": timedelta(minutes=delay)} if delay else {}

    def job_arguments(self) -> dict[str, Any]:
        """Return the arguments of the bulk job."""
        names = {"again_at": "priority", "per_second": "per_second", "to": "to", "priority": "priority"}
        return {argument: self.cleaned_data[name] for name, argument in names.items() if name in self.cleaned_data}
