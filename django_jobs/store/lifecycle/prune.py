"""Delete jobs that ended longer ago than the retention of their state, and other old records.

Reads the primary key in windows and stops at the first job enqueued after the latest cutoff: a job ends after it was
enqueued, so no later one can be old enough. This needs no index on the end of a job, which every finish would pay for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from ...models import AlertHistory, DeadLetter, EnqueueKey, Job, Tick, Worker
from ...policy.states import State
from ...policy.uniqueness import KeyKind
from ..clock import database_now
from ..dead_letters.close import dead_letter_ids_of, delete_dead_letters
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds, delete_rows
from .deletable import lock_deletable
from .purge import delete_jobs

ROWS_PER_WINDOW = 2_000
WORKER_RETENTION = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneResult:
    """How many jobs were deleted, and the ``start_id`` of the next call: None at the end of the table."""

    jobs: int
    next_id: int | None


def prune(
    retention: Mapping[State, timedelta | None],
    *,
    start_id: int = 0,
    windows: int | None = None,
    using: str | None = None,
) -> PruneResult:
    """Delete jobs that ended longer ago than the ``retention`` of their state (None: keep for ever).

    Reads at most ``windows`` windows of 2,000 rows (None: all), each in its own transaction, starting behind
    ``start_id``. Dead letters are deleted with their jobs, dependents of a deleted dead job are cancelled. A job is
    kept while a dependent may ask for its result, and for the window of its idempotency key: an enqueue within it
    returns that job.
    """
    dialect, connection = open_dialect(using)
    now = database_now(using=connection.alias)
    cutoffs = {state: now - period for state, period in retention.items() if period is not None}
    deleted, last_id = 0, start_id
    if not cutoffs:
        return PruneResult(jobs=0, next_id=None)
    while windows is None or windows > 0:
        rows = list(
            Job.objects.using(connection.alias)
            .filter(pk__gt=last_id)
            .order_by("pk")
            .values_list("pk", "state", "finished_at", "enqueued_at")[:ROWS_PER_WINDOW]
        )
        old = [pk for pk, state, finished, _ in rows if _is_older(state, finished, cutoffs)]
        old = _without_idempotency_keys(old, now=now, using=connection.alias) if old else []
        if old:
            with dialect.write_transaction(connection):
                locked = lock_deletable(old, states=cutoffs.keys(), using=connection.alias)
                delete_dead_letters(dead_letter_ids_of(locked, using=connection.alias), using=connection.alias)
                delete_jobs(locked, using=connection.alias)
            deleted += len(locked)
        if len(rows) < ROWS_PER_WINDOW or rows[-1][3] > max(cutoffs.values()):
            return PruneResult(jobs=deleted, next_id=None)
        last_id = rows[-1][0]
        windows = None if windows is None else windows - 1
    return PruneResult(jobs=deleted, next_id=last_id)


def _without_idempotency_keys(ids: list[int], *, now: datetime, using: str) -> list[int]:
    keys = EnqueueKey.objects.using(using).filter(InIds("job_id", ids, index=None))
    kept = set(keys.filter(kind=KeyKind.IDEMPOTENCY, expires_at__gt=now).values_list("job_id", flat=True))
    return [pk for pk in ids if pk not in kept]


def prune_records(
    retention: Mapping[State, timedelta | None], *, alerted_for: timedelta, using: str | None = None
) -> int:
    """Delete old worker rows, dead letters whose job was deleted, and old alert history; return how many."""
    _, connection = open_dialect(using)
    alias = connection.alias
    now = database_now(using=alias)
    ended = Worker.objects.using(alias).filter(
        state__in=[Worker.State.STOPPED, Worker.State.LOST], heartbeat_at__lt=now - WORKER_RETENTION
    )
    running = Job.objects.using(alias).filter(state=State.RUNNING, worker=OuterRef("pk"))
    deleted, _ = ended.exclude(Exists(running)).delete() if ended.exists() else (0, {})
    deleted += AlertHistory.objects.using(alias).filter(alerted_at__lt=now - 2 * alerted_for).delete()[0]
    period = retention.get(State.DEAD)
    if period is not None:
        deleted += _prune_orphans(now - period, alias)
    return deleted


def _prune_orphans(cutoff: datetime, alias: str) -> int:
    """Delete dead letters whose job was deleted, 2,000 per transaction."""
    dialect, connection = open_dialect(alias)
    orphans = DeadLetter.objects.using(alias).filter(job__isnull=True, died_at__lt=cutoff)
    deleted = 0
    while ids := list(orphans.values_list("pk", flat=True)[:ROWS_PER_WINDOW]):
        with dialect.write_transaction(connection):
            deleted += delete_dead_letters(ids, using=alias)
    return deleted


def prune_ticks(period: timedelta | None, *, using: str | None = None) -> int:
    """Delete ticks decided longer ago than ``period`` (None: none) and return how many; 2,000 per transaction.

    Ids rise with the time of the decision, so only ticks to be deleted are read. A tick whose job has not ended is
    kept.
    """
    if period is None:
        return 0
    _, connection = open_dialect(using)
    cutoff = database_now(using=connection.alias) - period
    ticks = Tick.objects.using(connection.alias)
    deleted, last_id = 0, 0
    while True:
        rows = list(
            ticks.filter(pk__gt=last_id).order_by("pk").values_list("pk", "decided_at", "is_open")[:ROWS_PER_WINDOW]
        )
        old = [pk for pk, decided_at, is_open in rows if decided_at < cutoff and not is_open]
        if old:
            delete_rows(ticks.filter(pk__in=old))
            deleted += len(old)
        if len(rows) < ROWS_PER_WINDOW or rows[-1][1] >= cutoff:
            return deleted
        last_id = rows[-1][0]


def _is_older(state: str, finished_at: datetime | None, cutoffs: Mapping[State, datetime]) -> bool:
    cutoff = cutoffs.get(State(state))
    return cutoff is not None and finished_at is not None and finished_at < cutoff
