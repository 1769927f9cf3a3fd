"""Expiry: drop jobs that are too old to be of use, by the database's clock; they end as cancelled and never run.

::

    waits, and its time has come    ──maintenance──>  cancelled, at most a few seconds late
    claimed, and its time has come  ──before it begins──>  finish  ──>  cancelled
    its run is to be followed by another, which would be too late  ──finish──>  cancelled

A run that has begun in time goes on. What depends on the job is seen to as for any cancelled one.
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
    """Note when new jobs expire, in the transaction that has inserted them; nothing where they do not."""
    if not new.expires:
        return
    rows = []
    for row in inserted:
        at = new.expires_at or row.enqueued_at + timedelta(seconds=new.expires_seconds or 0)
        rows.append(Expiry(job_id=row.job_id, expires_at=at, check_at=at))
    Expiry.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def delete_expiries(job_ids: Collection[int], *, using: str) -> None:
    """Let jobs, whose flags the caller writes, expire no more."""
    delete_rows(Expiry.objects.using(using).filter(InIds("job_id", job_ids)))


def is_past_expiry(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job is too old to begin. One statement."""
    _, connection = open_dialect(using)
    past = Expiry.objects.using(connection.alias).filter(pk=job_id, expires_at__lte=DatabaseNow())
    return past.exists()


def was_dropped(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job was dropped because it expired. One statement."""
    _, connection = open_dialect(using)
    return Expiry.objects.using(connection.alias).filter(pk=job_id, expired_at__isnull=False).exists()


def mark_expired(job_ids: Collection[int], *, using: str) -> None:
    """Note that jobs, which have just ended, were dropped for their age, and that those never tried did not begin."""
    expiries = Expiry.objects.using(using).filter(InIds("job_id", job_ids))
    expiries.update(expired_at=DatabaseNow(), check_at=None)
    Job.objects.using(using).filter(InIds("pk", job_ids), attempt=0).update(started_at=None)


def cancel_expired_after_runs(ended: Sequence[FinishedRun], *, using: str) -> list[int]:
    """See to runs that were not begun for their job's age, and cancel jobs whose next run would come too late.

    In the finish's transaction; returns the ids of the latter, whose dependents are the caller's to see to.
    """
    not_begun = [one for one in ended if one.decision.has_expired]
    if not_begun:
        mark_expired([one.claim.job_id for one in not_begun], using=using)
        limited = [one.claim.job_id for one in not_begun if one.claim.flags & JobFlag.LIMITED]
        if limited:
            cancel_permits(limited, using=using)
    again = [one.claim.job_id for one in ended if one.decision.state in WAITING_STATES]
    if not again:
        return []
    too_late = Q(expires_at__lte=DatabaseNow()) | Q(expires_at__lte=F("job__run_after"))
    late = Expiry.objects.using(using).filter(too_late, InIds("job_id", again))
    return _cancel(list(late.values_list("job_id", flat=True)), using)


def due_expiries(*, limit: int, using: str) -> list[int]:
    """Return the ids of jobs that are to be looked at, those first whose time came first. One statement, no locks."""
    due = Expiry.objects.using(using).filter(check_at__lte=DatabaseNow()).order_by("check_at", "job")
    return list(due.values_list("job_id", flat=True)[:limit])


def cancel_expired_waiting(job_ids: Sequence[int], *, using: str) -> list[int]:
    """Cancel those of the jobs, whose time has come, that wait, in the caller's transaction; return their ids.

    The others run, or have ended: nobody has to look at them again.
    """
    dropped = _cancel(job_ids, using)
    left = set(job_ids).difference(dropped)
    Expiry.objects.using(using).filter(InIds("job_id", left)).update(check_at=None)
    return dropped


def _cancel(ids: Sequence[int], using: str) -> list[int]:
    dropped = mark_cancelled(sorted(ids), using=using) if ids else []
    if dropped:
        mark_expired(dropped, using=using)
    return dropped
