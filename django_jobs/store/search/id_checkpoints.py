"""Marks: which job was the newest at an instant, so that a page finds a time among jobs by their key.

Jobs have no index of times, which every enqueue would have to pay for. A mark is an instant rounded down to ten
minutes and the newest id of a moment within those ten minutes. Bounds found by marks are wide, never too narrow:
who uses them filters by the time itself, too.
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
    """Note the newest job, unless somebody has in these ten minutes."""
    _, connection = open_dialect(using)
    alias = connection.alias
    marked_at = span_start(database_now(using=alias).timestamp(), int(INTERVAL.total_seconds()))
    newest = Job.objects.using(alias).aggregate(newest=Max("pk"))["newest"]
    if newest is not None:
        JobIdCheckpoint.objects.using(alias).bulk_create(
            [JobIdCheckpoint(marked_at=marked_at, job_id=newest)], ignore_conflicts=True
        )


def id_before(instant: datetime, *, using: str | None = None) -> int:
    """Return an id up to which all jobs were enqueued before ``instant``; 0 where no mark is so old."""
    _, connection = open_dialect(using)
    marks = JobIdCheckpoint.objects.using(connection.alias).filter(marked_at__lte=instant - INTERVAL)
    return marks.order_by("-marked_at").values_list("job_id", flat=True).first() or 0


def id_after(instant: datetime, *, using: str | None = None) -> int | None:
    """Return an id beyond which all jobs were enqueued after ``instant``; None where no mark is so young.

    A mark that is ten minutes younger is taken: an enqueue that has been open for so long may come up
    behind newer ids.
    """
    _, connection = open_dialect(using)
    marks = JobIdCheckpoint.objects.using(connection.alias).filter(marked_at__gte=instant + INTERVAL)
    return marks.order_by("marked_at").values_list("job_id", flat=True).first()


def prune_id_checkpoints(*, using: str | None = None) -> int:
    """Delete marks from before the oldest job there is, which tell nothing, and return how many."""
    _, connection = open_dialect(using)
    alias = connection.alias
    oldest = Job.objects.using(alias).aggregate(oldest=Min("pk"))["oldest"]
    if oldest is None:
        return 0
    deleted, _ = JobIdCheckpoint.objects.using(alias).filter(job_id__lt=oldest).delete()
    return deleted
