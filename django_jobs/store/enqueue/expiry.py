"""Cancel expired jobs, by the database's clock, before they run.

::

    waiting, expired                       ──maintenance──>  cancelled, at most a few seconds late
    claimed, expired before the run        ──finish──>  cancelled
    finished, expires before its next run  ──finish──>  cancelled

A run that has begun in time continues. Dependent jobs are treated as after any cancellation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db.models import F, Q

from ...models import Expiry, Job
from ...policy.flags import JobFlag
from ...policy.states import WAITING_STATES
from ..clock import DatabaseNow
from ..dependencies.mark_cancelled import mark_cancelled
from ..dialects import open_dialect
from ..dialects.base.jobs import FinishedRun, Inserted, NewJob
from ..dialects.shared.by_id import InIds, delete_rows
from ..limits.permits import cancel_permits

ROWS_PER_STATEMENT = 2_000


def insert_expiries(new: NewJob, inserted: Sequence[Inserted], *, using: str) -> None:
    """Insert the expiries of new jobs, if they have any, in the transaction that has inserted the jobs."""
    if not new.expires:
        return
    rows = []
    for row in inserted:
        at = new.expires_at or row.enqueued_at + timedelta(seconds=new.expires_seconds or 0)
        rows.append(Expiry(job_id=row.job_id, expires_at=at, check_at=at))
    Expiry.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def delete_expiries(job_ids: Collection[int], *, using: str) -> None:
    """Delete the expiries of jobs; the caller writes their flags."""
    delete_rows(Expiry.objects.using(using).filter(InIds("job_id", job_ids)))


def is_past_expiry(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job has expired. One statement."""
    _, connection = open_dialect(using)
    past = Expiry.objects.using(connection.alias).filter(pk=job_id, expires_at__lte=DatabaseNow())
    return past.exists()


def was_dropped(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job was cancelled because it expired. One statement."""
    _, connection = open_dialect(using)
    return Expiry.objects.using(connection.alias).filter(pk=job_id, expired_at__isnull=False).exists()


def mark_expired(job_ids: Collection[int], *, using: str) -> None:
    """Record that jobs were cancelled because they expired; those without an attempt lose ``started_at``."""
    expiries = Expiry.objects.using(using).filter(InIds("job_id", job_ids))
    expiries.update(expired_at=DatabaseNow(), check_at=None)
    Job.objects.using(using).filter(InIds("pk", job_ids), attempt=0).update(started_at=None)


def cancel_expired_after_runs(runs: Sequence[FinishedRun], *, using: str) -> list[int]:
    """Record runs that did not begin because their job had expired, and cancel jobs that expire before their next run.

    In the finish's transaction. Returns the ids of the latter; the caller cancels their dependents.
    """
    not_begun = [run for run in runs if run.decision.has_expired]
    if not_begun:
        mark_expired([run.claim.job_id for run in not_begun], using=using)
        limited = [run.claim.job_id for run in not_begun if run.claim.flags & JobFlag.LIMITED]
        if limited:
            cancel_permits(limited, using=using)
    again = [run.claim.job_id for run in runs if run.decision.state in WAITING_STATES]
    if not again:
        return []
    too_late = Q(expires_at__lte=DatabaseNow()) | Q(expires_at__lte=F("job__run_after"))
    late = Expiry.objects.using(using).filter(too_late, InIds("job_id", again))
    return _cancel(list(late.values_list("job_id", flat=True)), using)


def due_expiries(*, limit: int, using: str) -> list[int]:
    """Return the ids of jobs that are due for a check, the earliest first. One statement, no locks."""
    due = Expiry.objects.using(using).filter(check_at__lte=DatabaseNow()).order_by("check_at", "job")
    return list(due.values_list("job_id", flat=True)[:limit])


def cancel_expired_waiting(job_ids: Sequence[int], *, using: str) -> list[int]:
    """Cancel those of the expired jobs that wait, in the caller's transaction; return their ids.

    The others run or have ended and need no further check.
    """
    cancelled = _cancel(job_ids, using)
    others = set(job_ids).difference(cancelled)
    Expiry.objects.using(using).filter(InIds("job_id", others)).update(check_at=None)
    return cancelled


def _cancel(ids: Sequence[int], using: str) -> list[int]:
    cancelled = mark_cancelled(sorted(ids), using=using) if ids else []
    if cancelled:
        mark_expired(cancelled, using=using)
    return cancelled
