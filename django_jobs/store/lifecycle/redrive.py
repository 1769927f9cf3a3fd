"""Redrive: make dead jobs ready again with all their attempts."""

from __future__ import annotations

from functools import partial

from django.db.models import F

from ...conf.readers import as_priority
from ...models import DeadLetter, Job
from ...policy.flags import PERSISTENT_FLAGS, JobFlag
from ...policy.states import source_states
from ..batches.count_deltas import record_redriven_jobs
from ..dead_letters.close import close_dead_letters, dead_letter_ids_of
from ..dialects import open_dialect
from ..enqueue.expiry import delete_expiries
from ..limits.permits import make_ready
from ..notify import notify_on_commit
from ..selection import Target, alias_of, job_ids_in_chunks, lock_jobs
from ..transactions import retry_on_conflict


def redrive(target: Target, *, by: str = "", priority: int | None = None, using: str | None = None) -> int:
    """Make the target's dead jobs ready again and return how many.

    ``target`` is a job, its id, a queryset of jobs, or dead letters. A job under limits waits until it is admitted. Its
    expiry is dropped. Jobs that are no longer dead are left alone, so concurrent redrives run a job once. ``by`` and
    the time are stored with the dead letters. ``priority`` None: each job keeps its own. One transaction per 1,000
    jobs. Raises ConfigurationError for a wrong priority.
    """
    if priority is not None:
        priority = as_priority("priority", priority)
    _, connection = open_dialect(alias_of(target, using))
    alias = connection.alias
    return sum(
        retry_on_conflict(partial(_redrive, ids, by, priority, alias), using=alias)
        for ids in job_ids_in_chunks(target, states=source_states("redrive"), using=alias)
    )


def _redrive(ids: list[int], by: str, priority: int | None, alias: str) -> int:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        locked = lock_jobs(ids, states=source_states("redrive"), using=alias)
        rows = Job.objects.using(alias).filter(pk__in=locked).values_list("pk", "queue_name", "flags")
        queues = {queue for _, queue, _ in rows}
        batched = [pk for pk, _, flags in rows if flags & JobFlag.IN_BATCH]
        expiring = [pk for pk, _, flags in rows if flags & JobFlag.EXPIRES]
        make_ready(
            locked,
            using=alias,
            priority=priority,
            attempt=0,
            worker_deaths=0,
            finished_at=None,
            unknown_since=None,
            cancel_requested_at=None,
            flags=F("flags").bitand(PERSISTENT_FLAGS),
        )
        dead_letters = dead_letter_ids_of(locked, using=alias)
        close_dead_letters(dead_letters, DeadLetter.Status.REDRIVEN, by=by, using=alias)
        if expiring:
            delete_expiries(expiring, using=alias)
        if batched:
            record_redriven_jobs(batched, using=alias)
        notify_on_commit(queues, using=alias)
    return len(locked)
