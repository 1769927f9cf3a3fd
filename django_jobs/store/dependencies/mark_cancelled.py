"""Cancel waiting jobs; the caller handles their dependents and batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from ... import signals
from ...log_records import log_job
from ...models import Job
from ...observers import find_observer, finders, observers
from ...policy.states import State, source_states
from ..clock import DatabaseNow
from ..dialects.shared.by_id import InIds
from ..limits.permits import cancel_permits, split_limited
from ..selection import CHUNK, lock_jobs
from ..transactions import after_commit

logger = logging.getLogger("django_jobs.store")


def mark_cancelled(ids: Sequence[int], *, states: frozenset[State] = source_states("cancel"), using: str) -> list[int]:
    """Cancel those of the jobs that wait, in the caller's transaction, and return their ids in order."""
    marked: list[int] = []
    for start in range(0, len(ids), CHUNK):
        marked += _mark(ids[start : start + CHUNK], states, using)
    return marked


def _mark(ids: Sequence[int], states: frozenset[State], alias: str) -> list[int]:
    locked = lock_jobs(ids, states=states, using=alias)
    if locked:
        Job.objects.using(alias).filter(InIds("pk", locked)).update(
            state=State.CANCELLED, finished_at=DatabaseNow(), run_after=None
        )
        cancel_permits(split_limited(locked, using=alias)[1], using=alias)
        if observers or finders or signals.job_cancelled.has_listeners(Job):
            after_commit(partial(_send_cancelled, locked, alias), using=alias)
    return locked


def _send_cancelled(ids: list[int], alias: str) -> None:
    for job in Job.objects.using(alias).filter(pk__in=ids).order_by("pk"):
        signals.job_cancelled.send_robust(sender=Job, job=job)
        if (observer := find_observer(job.name)) is not None:
            try:
                observer.job_cancelled(job)
            except Exception:  # noqa: BLE001 - code of another app
                log_job(logger, logging.ERROR, job, "has an observer that failed", exc_info=True)
