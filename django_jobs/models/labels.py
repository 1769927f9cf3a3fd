"""Labels of stored values in the current language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from ..policy.batches import BatchState
from ..policy.outcomes import AttemptOutcome
from ..policy.overlap import Overlap
from ..policy.schedule import CatchUp, TickOutcome
from ..policy.states import State

STATE_LABELS = {
    State.BLOCKED: _("blocked"),
    State.SCHEDULED: _("scheduled"),
    State.READY: _("ready"),
    State.RUNNING: _("running"),
    State.SUCCEEDED: _("succeeded"),
    State.CANCELLED: _("cancelled"),
    State.DEAD: _("dead"),
}
ATTEMPT_OUTCOME_LABELS = {
    AttemptOutcome.SUCCEEDED: _("succeeded"),
    AttemptOutcome.FAILED: _("failed"),
    AttemptOutcome.TIMED_OUT: _("timed out"),
    AttemptOutcome.RETRIED: _("retry requested"),
    AttemptOutcome.DISCARDED: _("discarded"),
    AttemptOutcome.SNOOZED: _("snoozed"),
    AttemptOutcome.RELEASED: _("released"),
    AttemptOutcome.CANCELLED: _("cancelled"),
    AttemptOutcome.LOST: _("worker lost"),
    AttemptOutcome.UNREADABLE: _("unreadable"),
}
BATCH_STATE_LABELS = {
    BatchState.OPEN: _("open"),
    BatchState.RUNNING: _("running"),
    BatchState.SUCCEEDED: _("succeeded"),
    BatchState.FAILED: _("failed"),
    BatchState.CANCELLED: _("cancelled"),
}
TICK_OUTCOME_LABELS = {
    TickOutcome.FIRED: _("fired"),
    TickOutcome.WAITING: _("waiting"),
    TickOutcome.SKIPPED: _("skipped"),
    TickOutcome.MISSED: _("missed"),
}
OVERLAP_LABELS = {
    Overlap.SKIP: _("skip"),
    Overlap.QUEUE: pgettext_lazy("while a job of the schedule has not ended", "queue"),
    Overlap.ALLOW: _("allow"),
    Overlap.REPLACE: _("replace"),
}
CATCH_UP_LABELS = {CatchUp.LATEST: _("latest"), CatchUp.ALL: _("all"), CatchUp.NONE: _("none")}


def choices(labels: Mapping[Any, Any]) -> list[tuple[str, Any]]:
    """Return the labels as the choices of a field."""
    return [(member.value, label) for member, label in labels.items()]
