"""Apply pending count deltas to batches and enqueue the callbacks of completed ones, exactly once.

::

    check without a lock: do the counts complete the batch, or are there many deltas?  ──no──> done
      │ yes
    lock the batch's row, skip it if locked  ──locked──> done: the holder checks again after its commit
      │
    add the deltas to the row, delete them, decide, enqueue callbacks, commit  ──> check again

A delta that commits while another transaction holds the row is seen by the holder's next check: whoever locks the row
of a batch checks it after the commit (``apply_deltas_on_commit``). If the process dies between its commit and the
check, or the holder rolls back, maintenance finds the batch by its deltas (``apply_pending_deltas``). Only the holder
of the row enqueues callbacks; the outcome that records it commits with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial
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
from ..transactions import retry_on_conflict

MANY_DELTAS = 100
"""Number of deltas applied even if the batch is not complete, so that a check stays short."""
_COUNTS = Counts._fields


def apply_deltas(batch_ids: Iterable[int], *, using: str) -> None:
    """Evaluate batches, and the parents of those that complete. Each check is one statement; see above."""
    pending = list(batch_ids)
    for batch_id in pending:  # grows during the walk
        while _needs_applying(batch_id, using):
            parent = retry_on_conflict(partial(_apply_deltas, batch_id, using), using=using)
            if parent is None:
                break
            pending += [parent] if parent else []


def apply_pending_deltas(*, limit: int = 100, after: int = 0, using: str) -> list[int]:
    """Evaluate up to ``limit`` batches with deltas and an id above ``after``; return their ids. For maintenance."""
    pending = BatchCountDelta.objects.using(using).filter(batch__gt=after).order_by("batch")
    ids = list(pending.values_list("batch_id", flat=True).distinct()[:limit])
    apply_deltas(ids, using=using)
    return ids


def _needs_applying(batch_id: int, alias: str) -> bool:
    batches = Batch.objects.using(alias).filter(pk=batch_id)
    sums = {f"sum_{name}": Coalesce(Sum(f"count_deltas__{name}"), 0) for name in _COUNTS}
    batch = batches.annotate(pending=Count("count_deltas"), **sums).first()
    if batch is None:
        return False
    counts = batch.counts.plus(Counts(*(getattr(batch, f"sum_{name}") for name in _COUNTS)))
    if batch.pending >= MANY_DELTAS:
        return True
    return _changes_anything(batch, decide_batch(batch.facts(counts)))


def _changes_anything(batch: Batch, decision: BatchDecision) -> bool:
    return decision.state != batch.state or bool(decision.callbacks)


def _apply_deltas(batch_id: int, alias: str) -> int | None:
    """Apply, decide and save; return the parent to evaluate, 0 if there is none, None if the row is locked."""
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        batch = Batch.objects.using(alias).select_for_update(skip_locked=True).filter(pk=batch_id).first()
        if batch is None:
            return None
        counts = batch.counts.plus(_consume_deltas(batch_id, alias))
        decision = decide_batch(batch.facts(counts))
        changes: dict[str, Any] = {**counts._asdict(), "state": decision.state.value}
        parent = 0
        if decision.has_ended:
            changes["outcome"] = decision.state.value
            if batch.completed_at is None:
                changes["completed_at"] = DatabaseNow()
            parent = _record_parent_delta(batch, decision.state, alias)
            for callback in decision.callbacks:
                _enqueue_callback(batch, callback, alias)
        Batch.objects.using(alias).filter(pk=batch_id).update(**changes)
    return parent


def _consume_deltas(batch_id: int, alias: str) -> Counts:
    """Delete the deltas of a locked batch and return their sum."""
    deltas = BatchCountDelta.objects.using(alias)
    rows = list(deltas.filter(batch=batch_id).select_for_update().values_list("pk", *_COUNTS))
    delete_rows(deltas.filter(pk__in=[row[0] for row in rows]))
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
    """Enqueue a callback; in a child batch it becomes one more job of the parent."""
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
    """Return a job to be enqueued later as JSON. A delay counts from that enqueue."""
    return {**new._asdict(), "run_after": None, "arguments": arguments}


def deserialize_new_job(stored: dict[str, Any]) -> tuple[NewJob, dict[str, Any]]:
    """Return the arguments of ``serialize_new_job``; unknown fields, of a later version, are ignored."""
    fields = {key: value for key, value in stored.items() if key in NewJob._fields}
    return NewJob(**fields), dict(stored["arguments"])
