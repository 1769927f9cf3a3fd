"""Correct the counts of batches that have not ended, after manual edits or raw deletes of their members.

Invariant, for each batch::

    its row's counts + its pending deltas = its members by state, apart from ended members that were pruned

Its row is locked meanwhile, so that deltas are inserted only; if one was, the counts are checked the next time. Who
inserted it did not wait for the row, so the batch is evaluated after the commit, whatever was found.
"""

from __future__ import annotations

from django.db.models import Count, Q, Sum

from ...models import Batch, BatchCountDelta, Job
from ...policy.batches import BatchState, Counts, are_wrong
from ...policy.states import State
from ..dialects import open_dialect
from .count_deltas import apply_deltas_on_commit

BATCHES_PER_CALL = 20
_STATES = {"succeeded": State.SUCCEEDED, "dead": State.DEAD, "cancelled": State.CANCELLED}
_OUTCOMES = {"succeeded": BatchState.SUCCEEDED, "dead": BatchState.FAILED, "cancelled": BatchState.CANCELLED}


def recount_batches(*, after: int, using: str | None = None) -> tuple[int, int | None]:
    """Check the next 20 open or running batches behind ``after``; return how many were wrong, and where to continue.

    A corrected batch is evaluated, and may end by that. None at the end. Reads all members of a batch.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    unended = Batch.objects.using(alias).filter(pk__gt=after, state__in=[BatchState.OPEN, BatchState.RUNNING])
    ids = list(unended.order_by("pk").values_list("pk", flat=True)[:BATCHES_PER_CALL])
    corrected = sum(_recount(batch_id, alias) for batch_id in ids)
    return corrected, ids[-1] if len(ids) == BATCHES_PER_CALL else None


def _recount(batch_id: int, alias: str) -> bool:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        locked = Batch.objects.using(alias).select_for_update(skip_locked=True)
        batch = locked.filter(pk=batch_id, state__in=[BatchState.OPEN, BatchState.RUNNING]).first()
        if batch is None:
            return False
        apply_deltas_on_commit([batch_id], using=alias)
        number, pending = _pending(batch_id, alias)
        members = _count_members(batch_id, alias)
        if _pending(batch_id, alias)[0] != number or not are_wrong(batch.counts.plus(pending), members=members):
            return False
        counts = members.plus(Counts(*(-change for change in pending)))
        Batch.objects.using(alias).filter(pk=batch_id).update(**counts._asdict())
    return True


def _pending(batch_id: int, alias: str) -> tuple[int, Counts]:
    """Return the number of a batch's deltas, and their sum."""
    deltas = BatchCountDelta.objects.using(alias).filter(batch=batch_id)
    sums = deltas.aggregate(number=Count("pk"), **{f"sum_{name}": Sum(name) for name in Counts._fields})
    return sums["number"], Counts(*(sums[f"sum_{name}"] or 0 for name in Counts._fields))


def _count_members(batch_id: int, alias: str) -> Counts:
    """Count the jobs and the nested batches of a batch, by how they ended."""
    jobs = Job.objects.using(alias).filter(batch_job__batch=batch_id).order_by()
    of_jobs = jobs.aggregate(
        total=Count("pk"), **{name: Count("pk", filter=Q(state=state)) for name, state in _STATES.items()}
    )
    children = Batch.objects.using(alias).filter(parent=batch_id).order_by()
    of_batches = children.aggregate(
        total=Count("pk"), **{name: Count("pk", filter=Q(outcome=outcome)) for name, outcome in _OUTCOMES.items()}
    )
    return Counts(**of_jobs).plus(Counts(**of_batches))
