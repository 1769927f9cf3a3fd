"""Purge: delete finished jobs; their dead letters stay as a record, marked purged."""

from __future__ import annotations

from functools import partial

from ...models import Attempt, DeadLetter, Job
from ...models.attempt import CLAIM_INDEX
from ...policy.states import APPLICABLE_STATES
from ..dead_letters.close import close_dead_letters, dead_letter_ids_of
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds, delete_rows
from ..limits.permits import delete_permits
from ..logs import delete_logs
from ..selection import Target, alias_of, job_ids_in_chunks
from ..transactions import retry_on_conflict
from .deletable import lock_deletable


def purge(target: Target, *, by: str = "", using: str | None = None) -> int:
    """Delete the target's finished jobs with their attempts, and return how many.

    ``target`` is a job, its id, a queryset of jobs, or dead letters. Waiting and running jobs are left alone, and so
    are jobs whose result a dependent may still read. Dependents of a purged dead job are cancelled. ``by`` is stored
    with its dead letters. One transaction per 1,000 jobs.
    """
    _, connection = open_dialect(alias_of(target, using))
    alias = connection.alias
    return sum(
        retry_on_conflict(partial(_purge, ids, by, alias), using=alias)
        for ids in job_ids_in_chunks(target, states=APPLICABLE_STATES["purge"], using=alias)
    )


def _purge(ids: list[int], by: str, alias: str) -> int:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        locked = lock_deletable(ids, states=APPLICABLE_STATES["purge"], using=alias)
        dead_letters = dead_letter_ids_of(locked, using=alias)
        close_dead_letters(dead_letters, DeadLetter.Status.PURGED, by=by, using=alias)
        DeadLetter.objects.using(alias).filter(InIds("pk", dead_letters)).update(job=None)
        delete_jobs(locked, using=alias)
    return len(locked)


def delete_jobs(ids: list[int], *, using: str) -> None:
    """Delete jobs and their attempts, logs and permits in four statements, without loading them."""
    delete_rows(Attempt.objects.using(using).filter(InIds("job_id", ids, index=CLAIM_INDEX)))
    delete_logs(ids, using=using)
    delete_permits(ids, using=using)
    delete_rows(Job.objects.using(using).filter(InIds("pk", ids)))
