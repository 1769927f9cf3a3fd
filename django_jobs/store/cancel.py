"""Cancel: jobs that wait become cancelled, what runs may be asked to; what has ended is left alone."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import QuerySet

from .. import signals
from ..models import Job
from ..policy.states import State, sources
from .clock import DatabaseNow
from .dialects import open_dialect
from .permits import drop_permits, split_limited
from .selection import job_ids_in_chunks, lock


def cancel(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Cancel those of the target's jobs that still wait and return how many were. One transaction for 1,000."""
    dialect, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias)
    cancelled = 0
    for ids in job_ids_in_chunks(target, states=sources("cancel"), using=connection.alias):
        with dialect.writing(connection):
            locked = lock(ids, states=sources("cancel"), using=connection.alias)
            jobs.filter(pk__in=locked).update(
                state=State.CANCELLED, finished_at=DatabaseNow(), run_after=None
            )
            drop_permits(split_limited(locked, using=connection.alias)[1], using=connection.alias)
            if signals.job_cancelled.has_listeners(Job):
                transaction.on_commit(
                    partial(_announce, locked, connection.alias), connection.alias, robust=True
                )
        cancelled += len(locked)
    return cancelled


def request_cancel(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Cancel those of the target's jobs that wait, ask those that run to end, and return how many were either.

    A running job learns of it by ``current_job().cancel_requested``; one that does not look runs on.
    """
    _, connection = open_dialect(using)
    cancelled = cancel(target, using=connection.alias)
    jobs = Job.objects.using(connection.alias)
    asked = 0
    for ids in job_ids_in_chunks(target, states=frozenset({State.RUNNING}), using=connection.alias):
        running = jobs.filter(pk__in=ids, state=State.RUNNING, cancel_requested_at__isnull=True)
        asked += running.update(cancel_requested_at=DatabaseNow())
    return cancelled + asked


def is_cancel_requested(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job was asked to cancel. One statement."""
    _, connection = open_dialect(using)
    asked = Job.objects.using(connection.alias).filter(pk=job_id, cancel_requested_at__isnull=False)
    return asked.exists()


def _announce(ids: list[int], alias: str) -> None:
    for job in Job.objects.using(alias).filter(pk__in=ids).order_by("pk"):
        signals.job_cancelled.send_robust(sender=Job, job=job)
