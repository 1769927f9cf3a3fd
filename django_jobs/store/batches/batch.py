"""Batches: open, extend, close and prune them, and read their progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Count, OuterRef, Subquery, Sum

from ...exceptions import BatchEndedError
from ...models import Batch, BatchCountDelta, BatchJob, Job
from ...policy.batches import BatchFacts, BatchState, Callback, Counts, accepts_jobs, decide_batch
from ..clock import DatabaseNow, database_now
from ..dialects import open_dialect
from ..dialects.shared.by_id import delete_rows
from ..transactions import savepoint
from .count_deltas import record_added_jobs, record_count_delta

MAX_ABANDONED_PER_CALL = 100
MAX_COUNTED = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a batch. A child batch counts as one job; ``waiting`` counts jobs that have not ended."""

    state: BatchState
    total: int
    succeeded: int
    dead: int
    cancelled: int
    waiting: int

    @property
    def done(self) -> int:
        """Number of ended jobs."""
        return self.total - self.waiting


def open_batch(
    *,
    description: str = "",
    callbacks: Mapping[Callback, dict[str, Any]],
    parent: int | None = None,
    using: str | None = None,
) -> Batch:
    """Insert a batch in the caller's transaction; an open child keeps its ``parent`` from completing."""
    dialect, connection = open_dialect(using)
    alias = connection.alias
    with dialect.write_transaction(connection):
        if parent is not None:
            lock_to_extend(parent, using=alias)
        now = database_now(using=alias)
        batch = Batch.objects.using(alias).create(
            description=description,
            parent_id=parent,
            created_at=now,
            last_activity_at=now,
            **{callback.value: stored for callback, stored in callbacks.items()},
        )
        if parent is not None:
            record_count_delta(parent, Counts(total=1), using=alias)
    return batch


def lock_to_extend(batch_id: int, *, using: str) -> None:
    """Lock a batch so that it cannot complete before the caller's transaction ends. Raises BatchEndedError."""
    dialect, connection = open_dialect(using)
    batch = dialect.batches.lock(connection, batch_id)
    if batch is None:
        raise BatchEndedError(f"batch {batch_id} does not exist: it was rolled back, or pruned after its end")
    facts = BatchFacts(
        counts=batch.counts,
        is_closed=batch.is_closed,
        is_cancelled=batch.is_cancelled,
        outcome=BatchState(batch.outcome) if batch.outcome else None,
    )
    if not accepts_jobs(facts):
        raise BatchEndedError(
            f"batch {batch_id} ({batch.description or 'no description'}) is {batch.state}; jobs can be added until it"
            " has ended or was cancelled: from its own jobs, or from the block that builds it"
        )


@contextmanager
def extending_batch(batch_id: int, *, using: str | None = None) -> Iterator[list[int]]:
    """Lock a batch in the block's transaction and add the jobs whose ids the block appends to the list.

    The block inserts them with the flag IN_BATCH. Raises BatchEndedError before anything is written.
    """
    _, connection = open_dialect(using)
    with savepoint(using=connection.alias):
        lock_to_extend(batch_id, using=connection.alias)
        ids: list[int] = []
        yield ids
        add_to_batch(batch_id, ids, using=connection.alias)


def add_to_batch(batch_id: int, job_ids: list[int], *, using: str | None = None) -> None:
    """Add jobs inserted in this transaction, with the flag IN_BATCH, to a batch that it has locked."""
    _, connection = open_dialect(using)
    if job_ids:
        record_added_jobs(batch_id, job_ids, using=connection.alias)


def record_batch_activity(batch_id: int, *, using: str | None = None) -> None:
    """Record that the builder of an open batch is alive."""
    _, connection = open_dialect(using)
    Batch.objects.using(connection.alias).filter(pk=batch_id, closed_at=None).update(last_activity_at=DatabaseNow())


def close_batch(batch_id: int, *, using: str | None = None) -> bool:
    """Close a batch to its builder; it completes with its last job. False if it was closed before."""
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        batches = Batch.objects.using(connection.alias).filter(pk=batch_id, closed_at=None)
        closed = batches.update(closed_at=DatabaseNow())
        if closed:
            record_count_delta(batch_id, Counts(), using=connection.alias)
    return bool(closed)


def close_abandoned_batches(*, after: timedelta, using: str | None = None) -> list[int]:
    """Close up to 100 batches without activity of their builder for ``after``; return their ids."""
    dialect, connection = open_dialect(using)
    alias = connection.alias
    abandoned = Batch.objects.using(alias).filter(
        state=BatchState.OPEN, closed_at=None, last_activity_at__lt=DatabaseNow(-after)
    )
    closed = []
    for batch_id in list(abandoned.order_by("pk").values_list("pk", flat=True)[:MAX_ABANDONED_PER_CALL]):
        with dialect.write_transaction(connection):
            if abandoned.filter(pk=batch_id).update(closed_at=DatabaseNow(), abandoned_at=DatabaseNow()):
                record_count_delta(batch_id, Counts(), using=alias)
                closed.append(batch_id)
    return closed


def batch_progress(batch: Batch, *, using: str | None = None) -> Progress:
    """Return the progress of a batch row, pending count deltas included. One statement."""
    return batch_progress_by_id([batch], using=using)[batch.pk]


def batch_progress_by_id(batches: list[Batch], *, using: str | None = None) -> dict[int, Progress]:
    """Return the progress of batches by id, pending count deltas included. One statement."""
    _, connection = open_dialect(using)
    pending = BatchCountDelta.objects.using(connection.alias).filter(batch__in=[batch.pk for batch in batches])
    summed = pending.order_by().values("batch_id").annotate(*(Sum(name) for name in Counts._fields))
    sums = {
        row[0]: Counts(*row[1:]) for row in summed.values_list("batch_id", *(f"{name}__sum" for name in Counts._fields))
    }
    return {batch.pk: _progress(batch, batch.counts.plus(sums.get(batch.pk, Counts()))) for batch in batches}


def _progress(batch: Batch, counts: Counts) -> Progress:
    """Derive the state from the counts: the row's own state may be older."""
    state = decide_batch(batch.facts(counts)).state
    return Progress(state=state, waiting=max(counts.waiting, 0), **counts._asdict())


def count_jobs_by_state(batch: Batch, *, using: str | None = None) -> dict[str, int] | None:
    """Count the existing jobs of a batch by state; None if it has more than 20,000."""
    if batch.total > MAX_COUNTED:
        return None
    _, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias).filter(batch_job__batch=batch.pk)
    return dict(jobs.order_by().values_list("state").annotate(number=Count("pk")))


def batch_of(job_id: int, *, using: str | None = None) -> Batch | None:
    """Return the batch of a job, or None."""
    _, connection = open_dialect(using)
    return Batch.objects.using(connection.alias).filter(members=job_id).first()


def prune_batches(period: timedelta | None, *, using: str | None = None) -> int:
    """Delete up to 2,000 batches without jobs that completed longer ago than ``period``; return how many."""
    if period is None:
        return 0
    _, connection = open_dialect(using)
    ended = Batch.objects.using(connection.alias).filter(
        state__in=[BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED],
        completed_at__lt=DatabaseNow(-period),
    )
    parts = {
        "member": BatchJob.objects.using(connection.alias).filter(batch=OuterRef("pk")),
        "child": Batch.objects.using(connection.alias).filter(parent=OuterRef("pk")),
        "delta": BatchCountDelta.objects.using(connection.alias).filter(batch=OuterRef("pk")),
    }
    empty = ended.annotate(**{name: Subquery(rows.order_by().values("pk")[:1]) for name, rows in parts.items()}).filter(
        **{f"{name}__isnull": True for name in parts}
    )
    ids = list(empty.order_by("pk").values_list("pk", flat=True)[:2_000])
    delete_rows(Batch.objects.using(connection.alias).filter(pk__in=ids))
    return len(ids)
