"""Record the newest job's id every ten minutes, so that a search by time can use the primary key.

Jobs have no index of times, for which every enqueue would pay. A checkpoint is a time rounded down to ten minutes and
the newest id at some moment within those ten minutes. The bounds found by checkpoints are wide, never too narrow:
callers filter by the time itself, too.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max, Min

from ...models import Job, JobIdCheckpoint
from ...policy.rollup import span_start
from ..clock import database_now
from ..dialects import open_dialect

INTERVAL = timedelta(minutes=10)


def record_id_checkpoint(*, using: str | None = None) -> None:
    """Record the newest job's id, unless it was recorded within these ten minutes."""
    _, connection = open_dialect(using)
    alias = connection.alias
    recorded_at = span_start(database_now(using=alias).timestamp(), int(INTERVAL.total_seconds()))
    newest = Job.objects.using(alias).aggregate(newest=Max("pk"))["newest"]
    if newest is not None:
        JobIdCheckpoint.objects.using(alias).bulk_create(
            [JobIdCheckpoint(recorded_at=recorded_at, job_id=newest)], ignore_conflicts=True
        )


def id_before(instant: datetime, *, using: str | None = None) -> int:
    """Return an id up to which all jobs were enqueued before ``instant``; 0 if no checkpoint is old enough."""
    _, connection = open_dialect(using)
    checkpoints = JobIdCheckpoint.objects.using(connection.alias).filter(recorded_at__lte=instant - INTERVAL)
    return checkpoints.order_by("-recorded_at").values_list("job_id", flat=True).first() or 0


def id_after(instant: datetime, *, using: str | None = None) -> int | None:
    """Return an id above which all jobs were enqueued after ``instant``; None if no checkpoint is late enough.

    The checkpoint is ten minutes later: an enqueue whose transaction was open that long may commit behind newer ids.
    """
    _, connection = open_dialect(using)
    checkpoints = JobIdCheckpoint.objects.using(connection.alias).filter(recorded_at__gte=instant + INTERVAL)
    return checkpoints.order_by("recorded_at").values_list("job_id", flat=True).first()


def prune_id_checkpoints(*, using: str | None = None) -> int:
    """Delete checkpoints older than the oldest job and return how many."""
    _, connection = open_dialect(using)
    alias = connection.alias
    oldest = Job.objects.using(alias).aggregate(oldest=Min("pk"))["oldest"]
    if oldest is None:
        return 0
    deleted, _ = JobIdCheckpoint.objects.using(alias).filter(job_id__lt=oldest).delete()
    return deleted
