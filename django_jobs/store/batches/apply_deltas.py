"""Sum up: add what was tallied of a batch, and where that ends it, enqueue its callbacks, exactly once.

::

    look (no lock): does the sum end the batch, or are there many tallies?  ──no──> done
      │ yes
    lock the batch's row, or leave it to whoever has it  ──taken──> done: the holder looks again when it has committed
      │
    read tallies, add them to the row, delete them; judge; enqueue callbacks; commit  ──> look again

A tally that commits while somebody holds the row is seen by the holder's second look. One whose process dies
between its commit and the look is found by maintenance, since a batch with a tally is one to be looked at
(``sum_up_pending``). Only the holder of the row enqueues callbacks, and the outcome that says so commits with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.db.models import Count, Sum
from django.db.models.functions import Coalesce

from ...models import Batch, BatchTally
from ...policy.batches import BatchState, Callback, Counts, Verdict, change_for_parent, judge
from ...policy.flags import Links
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import NewJob
from ..dialects.shared.dependencies import insert_members, insert_tallies
from ..enqueue.insert import enqueue_payloads, payload

MANY_TALLIES = 100
"""So many are summed up although the batch has not ended, so that a look stays short."""
BATCH_KEY = "batch"
"""The key in a callback's metadata that has the id of the batch whose end enqueued it."""
_COUNTS = Counts._fields


def sum_up(batch_ids: Iterable[int], *, using: str) -> None:
    """Look at batches, and at those around the ones that end. Each look is one statement; see above."""
    todo = list(batch_ids)
    for batch_id in todo:  # grows while it is walked
        while True:
            if not _is_to_be_summed(batch_id, using):
                break
            parent = _sum_up(batch_id, using)
            if parent is None:
                break
            todo += [parent] if parent else []


def sum_up_pending(*, limit: int = 100, after: int = 0, using: str) -> list[int]:
    """Look at up to ``limit`` batches with tallies behind ``after``, and return their ids; for maintenance."""
    pending = BatchTally.objects.using(using).filter(batch__gt=after).order_by("batch")
    ids = list(pending.values_list("batch_id", flat=True).distinct()[:limit])
    sum_up(ids, using=using)
    return ids


def _is_to_be_summed(batch_id: int, alias: str) -> bool:
    batches = Batch.objects.using(alias).filter(pk=batch_id)
    sums = {f"sum_{name}": Coalesce(Sum(f"tallies__{name}"), 0) for name in _COUNTS}
    batch = batches.annotate(tallied=Count("tallies"), **sums).first()
    if batch is None:
        return False
    counts = batch.counts.plus(Counts(*(getattr(batch, f"sum_{name}") for name in _COUNTS)))
    if batch.tallied >= MANY_TALLIES:
        return True
    return _changes_anything(batch, judge(batch.facts(counts)))


def _changes_anything(batch: Batch, verdict: Verdict) -> bool:
    return verdict.state != batch.state or bool(verdict.fires)


def _sum_up(batch_id: int, alias: str) -> int | None:
    """Sum up, judge and save; return the batch around it if that has to be looked at, 0 if not, None if it is held."""
    dialect, connection = open_dialect(alias)
    with dialect.writing(connection):
        batch = Batch.objects.using(alias).select_for_update(skip_locked=True).filter(pk=batch_id).first()
        if batch is None:
            return None
        counts = batch.counts.plus(_take_tallies(batch_id, alias))
        verdict = judge(batch.facts(counts))
        changes: dict[str, Any] = {**counts._asdict(), "state": verdict.state.value}
        told = 0
        if verdict.has_ended:
            changes["outcome"] = verdict.state.value
            if batch.completed_at is None:
                changes["completed_at"] = DatabaseNow()
            told = _tell_parent(batch, verdict.state, alias)
            for callback in verdict.fires:
                _fire(batch, callback, alias)
        Batch.objects.using(alias).filter(pk=batch_id).update(**changes)
    return told


def _take_tallies(batch_id: int, alias: str) -> Counts:
    """Delete a batch's tallies, whose row is locked, and return their sum."""
    tallies = BatchTally.objects.using(alias)
    rows = list(tallies.filter(batch=batch_id).select_for_update().values_list("pk", *_COUNTS))
    tallies.filter(pk__in=[row[0] for row in rows])._raw_delete(alias)
    return Counts(*(sum(row[at] for row in rows) for at in range(1, len(_COUNTS) + 1)))


def _tell_parent(batch: Batch, state: BatchState, alias: str) -> int:
    before = BatchState(batch.outcome) if batch.outcome else None
    change = change_for_parent(before, state)
    if batch.parent_id is None or not any(change):
        return 0
    _, connection = open_dialect(alias)
    insert_tallies(connection, [(batch.parent_id, change)])
    return int(batch.parent_id)


def _fire(batch: Batch, callback: Callback, alias: str) -> None:
    """Enqueue a callback; that of a batch inside another is one more job of the other."""
    stored = getattr(batch, callback.value)
    if stored is None:
        return
    _, connection = open_dialect(alias)
    new, arguments = as_new_job(stored)
    metadata = json.dumps({**json.loads(new.metadata), BATCH_KEY: batch.pk}, ensure_ascii=False)
    links = new.links | (Links.BATCHED if batch.parent_id else 0)
    ids = enqueue_payloads(
        new._replace(metadata=metadata, links=int(links)), [payload(new.name, arguments)], using=alias
    )
    if batch.parent_id is not None:
        insert_members(connection, batch.parent_id, ids)
        insert_tallies(connection, [(batch.parent_id, Counts(total=1))])


def as_stored(new: NewJob, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a job that is to be enqueued later as JSON. ``run_after`` may be a delay only: it counts from then."""
    return {**new._asdict(), "run_after": None, "arguments": arguments}


def as_new_job(stored: dict[str, Any]) -> tuple[NewJob, dict[str, Any]]:
    """Return what ``as_stored`` was given; a field of a later version of this package is passed over."""
    fields = {key: value for key, value in stored.items() if key in NewJob._fields}
    return NewJob(**fields), dict(stored["arguments"])
