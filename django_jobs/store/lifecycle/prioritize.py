"""Give waiting jobs another priority, in their queues and at the limits that they wait for."""

from __future__ import annotations

import logging
from functools import partial

from ...conf.readers import as_priority
from ...models import Job
from ...policy.plurals import counted
from ..dialects.shared.by_id import InIds
from ..limits.permits import set_urgency, split_limited
from ..notify import notify_on_commit
from ..selection import Target
from .locked_chunks import change_locked

logger = logging.getLogger("django_jobs.store")


def set_priority(target: Target, *, priority: int, by: str = "", using: str | None = None) -> int:
    """Give the target's waiting jobs this priority and return how many had another.

    ``target`` is a job, its id, a queryset of jobs, or dead letters. Running jobs keep theirs. Among jobs of their new
    priority they keep their age. ``by`` names the actor in the log. One transaction per 1,000 jobs. Raises
    ConfigurationError if ``priority`` is not a whole number from -100 to 100.
    """
    priority = as_priority("priority", priority)
    changed = change_locked(target, "set_priority", partial(_set_priority, priority), using=using)
    if by and changed:
        logger.info("%s given priority %d by %s", counted(changed, "job"), priority, by)
    return changed


def _set_priority(priority: int, locked: list[int], alias: str) -> int:
    others = Job.objects.using(alias).filter(InIds("pk", locked)).exclude(priority=priority)
    rows = dict(others.values_list("pk", "queue_name"))
    if rows:
        Job.objects.using(alias).filter(InIds("pk", rows)).update(priority=priority)
        set_urgency(split_limited(rows, using=alias)[1], priority=priority, using=alias)
        notify_on_commit(set(rows.values()), using=alias)
    return len(rows)
