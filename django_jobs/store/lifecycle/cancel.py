"""Cancel jobs: waiting ones at once, running ones by request; ended jobs are left alone."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial

from django.db.models import F

from ...models import Job
from ...policy.cancellation import CancelResult
from ...policy.flags import JobFlag
from ...policy.plurals import counted
from ...policy.states import APPLICABLE_STATES, State
from ..clock import DatabaseNow
from ..dependencies.mark_cancelled import mark_cancelled
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds
from ..selection import Target, alias_of, job_ids_in_chunks
from ..transactions import retry_on_conflict
from .after_finish import handle_cancelled

logger = logging.getLogger("django_jobs.store")


def cancel(target: Target, *, by: str = "", using: str | None = None) -> CancelResult:
    """Cancel waiting jobs and request cancellation of running ones; return how many of each.

    ``target`` is a job, its id, a queryset of jobs, or dead letters. Ended jobs are left alone. Jobs that depend on a
    cancelled job are cancelled too and not counted. A running job for which cancellation was requested is never run
    again, however its run ends. ``by`` names the actor in the log. One transaction per 1,000 jobs; each is locked while
    its state is read, so a concurrent claim or finish is either seen or waits.
    """
    _, connection = open_dialect(alias_of(target, using))
    alias = connection.alias
    result = CancelResult()
    for ids in job_ids_in_chunks(target, states=APPLICABLE_STATES["cancel"], using=alias):
        result = result.plus(retry_on_conflict(partial(_cancel, ids, alias), using=alias))
    if by and result:
        logger.info(
            "%s cancelled, cancellation of %d requested by %s", counted(result.cancelled, "job"), result.requested, by
        )
    return result


def _cancel(ids: list[int], alias: str) -> CancelResult:
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        cancelled = mark_cancelled(ids, using=alias)
        handle_cancelled(cancelled, using=alias)
        requested = _request_cancellation(set(ids).difference(cancelled), alias)
    return CancelResult(len(cancelled), requested)


def _request_cancellation(ids: Collection[int], alias: str) -> int:
    """Flag those of the locked jobs that run."""
    if not ids:
        return 0
    jobs = Job.objects.using(alias).filter(InIds("pk", ids), state=State.RUNNING)
    return jobs.filter(cancel_requested_at__isnull=True).update(
        cancel_requested_at=DatabaseNow(), flags=F("flags").bitor(int(JobFlag.CANCEL_REQUESTED))
    )


def cancel_requested_ids(job_ids: Collection[int], *, using: str | None = None) -> frozenset[int]:
    """Return the running jobs among these for which cancellation was requested. One statement, no locks."""
    _, connection = open_dialect(using)
    requested = Job.objects.using(connection.alias).filter(
        InIds("pk", job_ids), state=State.RUNNING, cancel_requested_at__isnull=False
    )
    return frozenset(requested.values_list("pk", flat=True))


def is_cancel_requested(job_id: int, *, using: str | None = None) -> bool:
    """Tell whether cancellation of a job was requested. One statement."""
    _, connection = open_dialect(using)
    requested = Job.objects.using(connection.alias).filter(pk=job_id, cancel_requested_at__isnull=False)
    return requested.exists()
