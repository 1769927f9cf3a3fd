"""Run now: a scheduled job, a retry among them, becomes ready before it is due."""

from __future__ import annotations

from django.db.models import QuerySet

from ...models import Job
from ...policy.states import source_states
from ..dialects import open_dialect
from ..limits.permits import make_ready
from ..notify import notify_on_commit
from ..selection import job_ids_in_chunks, lock_jobs


def run_now(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Make the target's scheduled jobs ready and return how many were. One transaction for 1,000."""
    dialect, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias)
    hurried = 0
    for ids in job_ids_in_chunks(target, states=source_states("run_now"), using=connection.alias):
        with dialect.write_transaction(connection):
            locked = lock_jobs(ids, states=source_states("run_now"), using=connection.alias)
            make_ready(locked, using=connection.alias, run_after=None)
        hurried += len(locked)
        queues = jobs.filter(pk__in=ids).order_by().values_list("queue_name", flat=True).distinct()
        notify_on_commit(queues, using=connection.alias)
    return hurried
