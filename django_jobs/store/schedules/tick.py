"""Fire due ticks, each once, however many schedulers run concurrently.

::

    lock due schedules ──plan──> due ticks ──overlap──> ticks to fire ──save──> Job + Tick, one transaction

Rows locked by another scheduler are skipped (SQLite has one writer at a time). The lock only saves work: the
guarantee is the unique ``(schedule, due_at)`` of a Tick, inserted in the transaction that inserts its job.
"""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from django.db.models import Min, Q

from ...exceptions import ConfigurationError
from ...models import CronSchedule, Tick
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.metadata import MetadataSource, no_metadata
from ...policy.schedule import TickOutcome
from ..dialects import open_dialect
from ..notify import notify_schedulers_on_commit
from ..selection import alias_of
from .tick_round import TickResult, TickRound

SCHEDULES_PER_ROUND = 1_000


def seconds_until_next_check(*, using: str | None = None) -> float | None:
    """Return the seconds until the next check of a schedule, None if there is none. Two small statements."""
    dialect, connection = open_dialect(using)
    schedules = CronSchedule.objects.using(connection.alias).filter(next_check_at__isnull=False)
    first = schedules.aggregate(first=Min("next_check_at"))["first"]
    return None if first is None else max((first - dialect.now(connection)).total_seconds(), 0.0)


def tick(
    *,
    limit: int = SCHEDULES_PER_ROUND,
    metadata_source: MetadataSource = no_metadata,
    using: str | None = None,
) -> TickResult:
    """Decide and fire the due ticks of up to ``limit`` schedules. One transaction, about ten statements.

    ``metadata_source`` returns what hooks add to the jobs; it is called in the transaction.

    Call it again while the result is ``full``. A schedule whose times cannot be computed gets a ``problem`` and is not
    checked again; the others go on.
    """
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        now = dialect.now(connection)
        due = CronSchedule.objects.using(connection.alias).filter(next_check_at__lte=now)
        locked = due.select_for_update(skip_locked=True).order_by("next_check_at", "pk")
        needed = locked.defer("problem", "defined_at", "paused_at", "paused_by", "disabled_at")[:limit]
        round_ = TickRound(list(needed), now=now, metadata_source=metadata_source, using=connection.alias)
        return round_.decide_due().save()._replace(full=len(round_.schedules) == limit)


class ManualTickResult(NamedTuple):
    """Result of a manual tick: its outcome, the reason if it did not fire, the id of its job, and its own id."""

    outcome: TickOutcome
    reason: str
    job_id: int | None
    tick_id: int


def run_schedule(
    schedule: CronSchedule,
    *,
    by: str = "",
    metadata_source: MetadataSource = no_metadata,
    using: str | None = None,
) -> ManualTickResult:
    """Fire a schedule at once, as ``operations.run_schedule`` describes; ``metadata_source`` as for ``tick``."""
    dialect, connection = open_dialect(alias_of(schedule, using))
    with dialect.write_transaction(connection):
        usable = CronSchedule.objects.using(connection.alias).filter(Q(pk=schedule.pk))
        row = usable.select_for_update().first()
        if row is None or row.disabled_at is not None or row.problem:
            why = "it was deleted" if row is None else row.problem or "it is disabled: no code defines it any more"
            raise ConfigurationError(f"schedule {schedule.name!r} cannot be run: {why}")
        now = dialect.now(connection)
        while Tick.objects.using(connection.alias).filter(schedule=row, due_at=now).exists():
            now += timedelta.resolution  # two requests at once, or a test whose clock stands still
        round_ = TickRound([row], now=now, metadata_source=metadata_source, using=connection.alias)
        round_.decide_by_hand(row, by[:MAX_ACTOR_LENGTH]).save()
        made = Tick.objects.using(connection.alias).get(schedule=row, due_at=now)
        if made.outcome == TickOutcome.WAITING:
            notify_schedulers_on_commit(using=connection.alias)
        return ManualTickResult(TickOutcome(made.outcome), made.reason, made.job_id, made.pk)
