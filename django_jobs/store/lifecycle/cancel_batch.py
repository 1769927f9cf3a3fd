"""Cancel a batch: its jobs and those of its child batches."""

from __future__ import annotations

from ...models import Batch, Job
from ...models.base import MAX_ACTOR_LENGTH
from ...policy.batches import BatchState, Counts
from ...policy.cancellation import CancelResult
from ..batches.count_deltas import record_count_delta
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..selection import alias_of
from .cancel import cancel


def cancel_batch(target: Batch | int, *, by: str = "", using: str | None = None) -> CancelResult:
    """Cancel the waiting jobs of a batch and its child batches, request cancellation of running ones.

    ``target`` is a batch's row or id; returns how many jobs were cancelled and requested. No job can be added any more,
    even if the builder has not closed the batch, which ends as cancelled with its last job. A batch that has ended is
    left alone. ``by`` is stored as ``cancelled_by``.
    """
    dialect, connection = open_dialect(alias_of(target, using))
    alias = connection.alias
    result = CancelResult()
    pending = [target.pk if isinstance(target, Batch) else target]
    for batch_id in pending:  # grows during the walk
        batches = Batch.objects.using(alias).filter(pk=batch_id)
        with dialect.write_transaction(connection):
            active = batches.filter(state__in=[BatchState.OPEN, BatchState.RUNNING], cancelled_at=None)
            if active.update(cancelled_at=DatabaseNow(), cancelled_by=by[:MAX_ACTOR_LENGTH]):
                batches.filter(closed_at=None).update(closed_at=DatabaseNow())
                record_count_delta(batch_id, Counts(), using=alias)
        if batches.filter(cancelled_at__isnull=False).exists():
            jobs = Job.objects.using(alias).filter(batch_job__batch=batch_id)
            result = result.plus(cancel(jobs, using=alias))
            children = Batch.objects.using(alias).filter(parent=batch_id).order_by("pk")
            pending += list(children.values_list("pk", flat=True))
    return result
