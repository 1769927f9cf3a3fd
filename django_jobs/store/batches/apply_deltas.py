"""Sum up: add what was tallied of a batch, and where that ends it, enqueue its callbacks, exactly once.

::

    look (no lock): does the sum end the batch, or are there many tallies?  ──no──> done
      │ yes
    lock the batch's row, or leave it to whoever has it  ──taken──> done: the holder looks again when it has committed
      │
    read tallies, add them to the row, delete them; judge; enqueue callbacks; commit  ──> look again

A tally that commits while somebody holds the row is seen by the holder's second look. One whose process dies
between its commit and the look is found by maintenance, since a batch with a tally is one to be looked at
(``apply_pending_deltas``). Only the holder of the row enqueues callbacks, and the outcome that says so commits with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from ...models import Batch, BatchCountDelta
from ...policy.batches import BatchDecision, BatchState, Callback, Counts, decide_batch, parent_count_delta
from ...policy.flags import JobFlag
from ...policy.metadata import BATCH_KEY
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import NewJob
from ..dialects.shared.by_id import delete_rows
from ..enqueue.insert import enqueue_payloads, serialize_arguments

MANY_DELTAS = 100
"""So many are summed up although the batch has not ended, so that a look stays short."""
_COUNTS = Counts._fields


def apply_deltas(batch_ids: Iterable[int], *, using: str) -> None:
    """Look at batches, and at those around the ones that end. Each look is one statement; see above."""
    todo = list(batch_ids)
    for batch_id in todo:  # grows while it is walked
        while True:
            if not _needs_applying(batch_id, using):
                break
            parent = _apply_deltas(batch_id, using)
            if parent is None:
                break
            todo += [parent] if parent else []


def apply_pending_deltas(*, limit: int = 100, after: int = 0, using: str) -> list[int]:
    """Look at up to ``limit`` batches with tallies behind ``after``, and return their ids; for maintenance."""
    pending = BatchCountDelta.objects.using(using).filter(batch__gt=after).order_by("batch")
    ids = list(pending.values_list("batch_id", flat=True).distinct()[:limit])
    apply_deltas(ids, using=using)
    return ids


def _needs_applying(batch_id: int, alias: str) -> bool:
    batches = Batch.objects.using(alias).filter(pk=batch_id)
    sums = {f"sum_{name}": Coalesce(Sum(f"count_deltas__{name}"), 0) for name in _COUNTS}
    batch = batches.annotate(tallied=Count("count_deltas"), **sums).first()
    if batch is None:
        return False
    counts = batch.counts.plus(Counts(*(getattr(batch, f"sum_{name}") for name in _COUNTS)))
    if batch.tallied >= MANY_DELTAS:
        return True
    return _changes_anything(batch, decide_batch(batch.facts(counts)))


def _changes_anything(batch: Batch, verdict: BatchDecision) -> bool:
    return verdict.state != batch.state or bool(verdict.callbacks)


def _apply_deltas(batch_id: int, alias: str) -> int | None:
    """Sum up, judge and save; return the batch around it if that has to be looked at, 0 if not, None if it is held."""
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        batch = Batch.objects.using(alias).select_for_update(skip_locked=True).filter(pk=batch_id).first()
        if batch is None:
            return None
        counts = batch.counts.plus(_consume_deltas(batch_id, alias))
        verdict = decide_batch(batch.facts(counts))
        changes: dict[str, Any] = {**counts._asdict(), "state": verdict.state.value}
        told = 0
        if verdict.has_ended:
            changes["outcome"] = verdict.state.value
            if batch.completed_at is None:
                changes["completed_at"] = DatabaseNow()
            told = _record_parent_delta(batch, verdict.state, alias)
            for callback in verdict.callbacks:
                _enqueue_callback(batch, callback, alias)
        Batch.objects.using(alias).filter(pk=batch_id).update(**changes)
    return told


def _consume_deltas(batch_id: int, alias: str) -> Counts:
    """Delete a batch's tallies, whose row is locked, and return their sum."""
    tallies = BatchCountDelta.objects.using(alias)
    rows = list(tallies.filter(batch=batch_id).select_for_update().values_list("pk", *_COUNTS))
    delete_rows(tallies.filter(pk__in=[row[0] for row in rows]))
    return Counts(*(sum(row[at] for row in rows) for at in range(1, len(_COUNTS) + 1)))


def _record_parent_delta(batch: Batch, state: BatchState, alias: str) -> int:
    before = BatchState(batch.outcome) if batch.outcome else None
    change = parent_count_delta(before, state)
    if batch.parent_id is None or not any(change):
        return 0
    dialect, connection = open_dialect(alias)
    dialect.batches.insert_count_deltas(connection, [(batch.parent_id, change)])
    return int(batch.parent_id)


def _enqueue_callback(batch: Batch, callback: Callback, alias: str) -> None:
    """Enqueue a callback; that of a batch inside another is one more job of the other."""
    stored = getattr(batch, callback.value)
    if stored is None:
        return
    dialect, connection = open_dialect(alias)
    new, arguments = deserialize_new_job(stored)
    metadata = json.dumps({**json.loads(new.metadata), BATCH_KEY: batch.pk}, ensure_ascii=False)
    flags = new.flags | (JobFlag.IN_BATCH if batch.parent_id else 0)
    ids = enqueue_payloads(
        new._replace(metadata=metadata, flags=int(flags)),
        [serialize_arguments(new.name, arguments)],
        using=alias,
    )
    if batch.parent_id is not None:
        dialect.batches.insert_members(connection, batch.parent_id, ids)
        dialect.batches.insert_count_deltas(connection, [(batch.parent_id, Counts(total=1))])


def serialize_new_job(new: NewJob, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a job that is to be enqueued later as JSON. ``run_after`` may be a delay only: it counts from then."""
    return {**new._asdict(), "run_after": None, "arguments": arguments}


def deserialize_new_job(stored: dict[str, Any]) -> tuple[NewJob, dict[str, Any]]:
    """Return what ``serialize_new_job`` was given; a field of a later version of this package is passed over."""
    fields = {key: value for key, value in stored.items() if key in NewJob._fields}
    return NewJob(**fields), dict(stored["arguments"])
