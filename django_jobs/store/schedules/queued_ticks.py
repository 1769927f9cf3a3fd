"""Queued ticks: those that wait for the end of their schedule's last job."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import QuerySet

from ...models import CronSchedule, Tick
from ...policy.schedule import TickOutcome
from ..clock import DatabaseNow

QUEUED_TICK_CHECK_INTERVAL = timedelta(seconds=1)
"""Time until the next check of a schedule with a queued tick."""


def has_queued_ticks(schedule: CronSchedule, *, using: str) -> bool:
    """Tell whether ``schedule`` has a queued tick."""
    return _queued(schedule, using).exists()


def skip_queued_ticks(schedule: CronSchedule, *, reason: str, using: str) -> None:
    """Skip the queued ticks of ``schedule``, in the transaction in which it stops firing.

    Otherwise it would fire past ticks once it is resumed.
    """
    _queued(schedule, using).update(
        outcome=TickOutcome.SKIPPED.value, reason=reason, is_open=False, decided_at=DatabaseNow()
    )


def _queued(schedule: CronSchedule, using: str) -> QuerySet[Tick]:
    return Tick.objects.using(using).filter(schedule=schedule.pk, is_open=True, outcome=TickOutcome.WAITING.value)
