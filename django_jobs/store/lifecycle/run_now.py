"""Run now: make scheduled jobs, retries included, ready before they are due."""

from __future__ import annotations

import logging
from functools import partial

from ...conf.readers import as_priority
from ...models import Job
from ...policy.plurals import counted
from ..dialects.shared.by_id import InIds
from ..limits.permits import make_ready
from ..notify import notify_on_commit
from ..selection import Target
from .locked_chunks import change_locked

logger = logging.getLogger("django_jobs.store")


def run_now(target: Target, *, by: str = "", priority: int | None = None, using: str | None = None) -> int:
    """Make the target's scheduled jobs ready and return how many.

    ``target`` is a job, its id or a queryset of jobs. A job that waits for a limit becomes blocked instead until it is
    admitted. ``by`` names the actor in the log. ``priority`` None: each job keeps its own. One transaction per 1,000
    jobs. Raises ConfigurationError for a wrong priority.
    """
    if priority is not None:
        priority = as_priority("priority", priority)
    changed = change_locked(target, "run_now", partial(_run_now, priority), using=using)
    if by and changed:
        logger.info("%s made ready by %s", counted(changed, "scheduled job"), by)
    return changed


def _run_now(priority: int | None, locked: list[int], alias: str) -> int:
    make_ready(locked, using=alias, priority=priority, run_after=None)
    jobs = Job.objects.using(alias).filter(InIds("pk", locked)).order_by()
    notify_on_commit(jobs.values_list("queue_name", flat=True).distinct(), using=alias)
    return len(locked)
