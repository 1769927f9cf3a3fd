"""Cancel: jobs that wait become cancelled, what runs may be asked to; what has ended is left alone."""

from __future__ import annotations

from django.db.models import QuerySet

from ..models import Job
from ..policy.states import State, sources
from .clock import DatabaseNow
from .dialects import open_dialect
from .follow import follow_cancelled
from .mark_cancelled import mark_cancelled
from .selection import job_ids_in_chunks


def cancel(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Cancel those of the target's jobs that still wait and return how many were. One transaction for 1,000.

    What waits for them is cancelled too, and not counted.
    """
    dialect, connection = open_dialect(using)
    cancelled = 0
    for ids in job_ids_in_chunks(target, states=sources("cancel"), using=connection.alias):
        with dialect.writing(connection):
            marked = mark_cancelled(ids, using=connection.alias)
            follow_cancelled(marked, using=connection.alias)
        cancelled += len(marked)
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
