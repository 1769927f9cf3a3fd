"""Ticks that wait for the end of their schedule's last job, while the schedule changes or stops firing."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet

from ...models import CronSchedule, Tick
from ...policy.schedule import TickOutcome
from ..clock import DatabaseNow

QUEUED_TICK_CHECK_INTERVAL = timedelta(seconds=1)
"""How soon a schedule with a tick that waits for a job's end is looked at again."""


def has_queued_ticks(schedule: CronSchedule, *, using: str) -> bool:
    """Tell whether a tick of ``schedule`` waits."""
    return _waiting(schedule, using).exists()


def skip_queued_ticks(schedule: CronSchedule, *, reason: str, using: str) -> None:
    """Record what waits as skipped, in the transaction in which ``schedule`` stops firing.

    Else it would fire for the past once the schedule fires again.
    """
    _waiting(schedule, using).update(
        outcome=TickOutcome.SKIPPED.value, reason=reason, is_open=False, decided_at=DatabaseNow()
    )


def _waiting(schedule: CronSchedule, using: str) -> QuerySet[Tick]:
    return Tick.objects.using(using).filter(
        schedule=schedule.pk, is_open=True, outcome=TickOutcome.WAITING.value
    )
