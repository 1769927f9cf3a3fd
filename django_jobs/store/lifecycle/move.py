"""Move waiting jobs to another queue; they keep their priority and their age."""

from __future__ import annotations

import logging
from functools import partial

from ...conf.readers import as_queue_name
from ...models import Job
from ...policy.plurals import counted
from ..dialects.shared.by_id import InIds
from ..notify import notify_on_commit
from ..selection import Target
from .locked_chunks import change_locked

logger = logging.getLogger("django_jobs.store")


def move(target: Target, *, to: str, by: str = "", using: str | None = None) -> int:
    """Move the target's waiting jobs to the queue ``to`` and return how many; those that are there already are left.

    ``target`` is a job, its id, a queryset of jobs, or dead letters. Running jobs stay: a claim is of its queue. A
    ready job comes before those of the queue that became ready later, also if workers have claimed beyond that: they
    look at a queue from its head again within 1.5 s. ``by`` names the actor in the log. One transaction per 1,000
    jobs. Raises ConfigurationError if ``to`` is not a name of a queue.
    """
    to = as_queue_name("to", to)
    moved = change_locked(target, "move", partial(_move, to), using=using)
    if by and moved:
        logger.info("%s moved to queue %s by %s", counted(moved, "job"), to, by)
    return moved


def _move(to: str, locked: list[int], alias: str) -> int:
    moved = Job.objects.using(alias).filter(InIds("pk", locked)).exclude(queue_name=to).update(queue_name=to)
    if moved:
        notify_on_commit([to], using=alias)
    return moved
