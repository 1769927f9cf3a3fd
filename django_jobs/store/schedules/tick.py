"""Tick: fire what is due, each tick once, however many schedulers look at the same moment.

::

    lock due schedules ──plan──> what is due ──overlap──> what fires ──save──> Job + Tick, one transaction

Rows that another scheduler holds are skipped (SQLite lets one writer in at a time). The lock is an economy;
the guarantee is the unique ``(schedule, due_at)`` of a Tick, written in the transaction that inserts its job.
"""

from __future__ import annotations

from typing import NamedTuple

from django.db.models import Min, Q

from ...exceptions import ConfigurationError
from ...models import CronSchedule, Tick
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.schedule import TickOutcome
from ..dialects import open_dialect
from ..notify import notify_schedulers_on_commit
from .tick_round import TickResult, TickRound

SCHEDULES_PER_ROUND = 1_000


def seconds_until_next_check(*, using: str | None = None) -> float | None:
    """Return how long no schedule needs looking at, None where there is none to look at. Two small statements."""
    dialect, connection = open_dialect(using)
    schedules = CronSchedule.objects.using(connection.alias).filter(next_check_at__isnull=False)
    first = schedules.aggregate(first=Min("next_check_at"))["first"]
    return None if first is None else max((first - dialect.now(connection)).total_seconds(), 0.0)


def tick(*, limit: int = SCHEDULES_PER_ROUND, using: str | None = None) -> TickResult:
    """Decide what up to ``limit`` schedules have due and fire it. One transaction, some ten statements.

    Call it again while it returns ``full``. A schedule that cannot be reckoned gets its ``problem`` noted and is
    looked at no more; the others go on.
    """
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        now = dialect.now(connection)
        due = CronSchedule.objects.using(connection.alias).filter(next_check_at__lte=now)
        locked = due.select_for_update(skip_locked=True).order_by("next_check_at", "pk")
        needed = locked.defer("problem", "defined_at", "paused_at", "paused_by", "disabled_at")[:limit]
        round_ = TickRound(list(needed), now=now, using=connection.alias)
        return round_.decide_due().save()._replace(full=len(round_.schedules) == limit)


class ManualTickResult(NamedTuple):
    """What became of a tick by hand: its row's outcome, the reason where it did not fire, its job's id."""

    outcome: TickOutcome
    reason: str
    job_id: int | None


def run_schedule(schedule: CronSchedule, *, by: str = "", using: str | None = None) -> ManualTickResult:
    """Fire a schedule at once, also a paused one; its own times are left as they are. One transaction.

    It overlaps with the schedule's other jobs as any tick does. Raises ConfigurationError where the schedule
    is gone, disabled or has a problem.
    """
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        usable = CronSchedule.objects.using(connection.alias).filter(Q(pk=schedule.pk))
        row = usable.select_for_update().first()
        if row is None or row.disabled_at is not None or row.problem:
            why = "is gone" if row is None else row.problem or "is disabled: no code defines it any more"
            raise ConfigurationError(f"schedule {schedule.name!r} cannot be run: {why}")
        now = dialect.now(connection)
        round_ = TickRound([row], now=now, using=connection.alias)
        round_.decide_by_hand(row, by[:MAX_ACTOR_LENGTH]).save()
        made = Tick.objects.using(connection.alias).get(schedule=row, due_at=now)
        if made.outcome == TickOutcome.WAITING:
            notify_schedulers_on_commit(using=connection.alias)
        return ManualTickResult(TickOutcome(made.outcome), made.reason, made.job_id)
