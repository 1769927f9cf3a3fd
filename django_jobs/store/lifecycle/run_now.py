"""Run now: make scheduled jobs, retries included, ready before they are due."""

from __future__ import annotations

import logging

from ...models import Job
from ...policy.states import APPLICABLE_STATES
from ..dialects import open_dialect
from ..limits.permits import make_ready
from ..notify import notify_on_commit
from ..selection import Target, job_ids_in_chunks, lock_jobs

logger = logging.getLogger("django_jobs.store")


def run_now(target: Target, *, by: str = "", using: str | None = None) -> int:
    """Make the target's scheduled jobs ready and return how many.

    ``target`` is a job, its id or a queryset of jobs. A job that waits for a limit becomes blocked instead until it is
    admitted. ``by`` names the actor in the log. One transaction per 1,000 jobs.
    """
    dialect, connection = open_dialect(using)
    alias = connection.alias
    states = APPLICABLE_STATES["run_now"]
    changed = 0
    for ids in job_ids_in_chunks(target, states=states, using=alias):
        with dialect.write_transaction(connection):
            locked = lock_jobs(ids, states=states, using=alias)
            make_ready(locked, using=alias, run_after=None)
        changed += len(locked)
        jobs = Job.objects.using(alias).filter(pk__in=ids).order_by()
        notify_on_commit(jobs.values_list("queue_name", flat=True).distinct(), using=alias)
    if by and changed:
        logger.info("%d scheduled jobs made ready by %s", changed, by)
    return changed
