"""Purge: staff delete jobs that have ended; their dead letters stay behind as a record, marked purged."""

from __future__ import annotations

from ..models import Attempt, DeadLetter, Job
from ..policy.states import FINAL_STATES
from .dialects import open_dialect
from .let_go import let_go
from .letters import close_letters, letter_ids_of
from .permits import delete_permits
from .selection import Target, job_ids_in_chunks


def purge(target: Target, *, by: str = "", using: str | None = None) -> int:
    """Delete the target's jobs that are in a final state, with their attempts, and return how many were.

    What waits or runs is left alone: cancel it first. What waits for a dead job that is purged is cancelled; a job
    whose result may still be asked for stays. One transaction for 1,000 jobs.
    """
    dialect, connection = open_dialect(using)
    purged = 0
    for ids in job_ids_in_chunks(target, states=FINAL_STATES, using=connection.alias):
        with dialect.writing(connection):
            locked = let_go(ids, states=FINAL_STATES, using=connection.alias)
            letters = letter_ids_of(locked, using=connection.alias)
            close_letters(letters, DeadLetter.Status.PURGED, by=by, using=connection.alias)
            DeadLetter.objects.using(connection.alias).filter(pk__in=letters).update(job=None)
            delete_jobs(locked, using=connection.alias)
        purged += len(locked)
    return purged


def delete_jobs(ids: list[int], *, using: str) -> None:
    """Delete jobs and their attempts and permits in three statements, without loading them."""
    Attempt.objects.using(using).filter(job__in=ids)._raw_delete(using)
    delete_permits(ids, using=using)
    Job.objects.using(using).filter(pk__in=ids)._raw_delete(using)
