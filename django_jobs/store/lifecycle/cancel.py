"""Cancel: jobs that wait become cancelled, what runs is asked to end; what has ended is left alone."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import NamedTuple

from django.db.models import F, QuerySet

from ...models import Job
from ...policy.flags import JobFlag
from ...policy.states import State, source_states
from ..clock import DatabaseNow
from ..dependencies.mark_cancelled import mark_cancelled
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from ..selection import job_ids_in_chunks
from ..transactions import retry_on_conflict
from .after_finish import handle_cancelled

CANCELLABLE_STATES = source_states("cancel") | {State.RUNNING}
"""The states of a job for which a cancel does something."""


class CancelCounts(NamedTuple):
    """How many jobs are cancelled now, and how many were asked to end that had not been asked before."""

    cancelled: int
    asked: int


def cancel(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Cancel those of the target's jobs that wait, ask those that run to end; return how many are cancelled now.

    What waits for them is cancelled too, and not counted. One transaction for 1,000.
    """
    return cancel_counted(target, using=using).cancelled


def request_cancel(target: Job | QuerySet[Job], *, using: str | None = None) -> int:
    """Do what ``cancel`` does, and return how many were either cancelled or asked."""
    return sum(cancel_counted(target, using=using))


def cancel_counted(target: Job | QuerySet[Job], *, using: str | None = None) -> CancelCounts:
    """Do what ``cancel`` does, and return both numbers.

    A job is locked while its state is looked at, so that one which is claimed, or ends its run, meanwhile is met in
    the one state or in the other. A run that was asked to end and is to be followed by another is the job's last: see
    ``follow``.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    chunks = job_ids_in_chunks(target, states=CANCELLABLE_STATES, using=alias)
    counts = [retry_on_conflict(partial(_cancel, ids, alias), using=alias) for ids in chunks]
    return CancelCounts(sum(one.cancelled for one in counts), sum(one.asked for one in counts))


def _cancel(ids: list[int], alias: str) -> CancelCounts:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        marked = mark_cancelled(ids, using=alias)
        handle_cancelled(marked, using=alias)
        asked = _request_cancel(set(ids).difference(marked), alias)
    return CancelCounts(len(marked), asked)


def _request_cancel(ids: Collection[int], alias: str) -> int:
    """Ask those of the locked jobs that run to end."""
    if not ids:
        return 0
    jobs = Job.objects.using(alias).filter(InIds("pk", ids), state=State.RUNNING)
    return jobs.filter(cancel_requested_at__isnull=True).update(
        cancel_requested_at=DatabaseNow(), flags=F("flags").bitor(int(JobFlag.CANCEL_REQUESTED))
    )


def cancel_requested_ids(job_ids: Collection[int], *, using: str | None = None) -> frozenset[int]:
    """Return which of these jobs were asked to end while they run. One statement without locks, by their keys."""
    _, connection = open_dialect(using)
    asked = Job.objects.using(connection.alias).filter(
        InIds("pk", job_ids), state=State.RUNNING, cancel_requested_at__isnull=False
    )
    return frozenset(asked.values_list("pk", flat=True))


def is_cancel_requested(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether a job was asked to cancel. One statement."""
    _, connection = open_dialect(using)
    asked = Job.objects.using(connection.alias).filter(pk=job_id, cancel_requested_at__isnull=False)
    return asked.exists()
