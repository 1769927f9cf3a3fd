"""Record how long, and in which file, a result is kept, and delete results that have expired.

::

    function returns -> file written -> finish: Job, Attempt, ResultRetention   one transaction
                                            |
          expires_at passes, or the job is deleted: expires_at is now
                                            |
    maintenance: the job's result is "expired", or the job is deleted -> file deleted -> ResultRetention deleted

So a file is deleted after the row that named it, and never forgotten in between. A process that is killed after it
wrote a file and before the finish leaves that file behind.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db.models import F

from ...arguments.serialization import RESULT_EXPIRED
from ...models import Job, ResultRetention
from ...policy.flags import JobFlag
from ...policy.outcomes import ResultRetentionSpec
from ...result_storage import delete_result
from ..clock import DatabaseNow
from ..dependencies.successors import still_needed
from ..dialects import open_dialect
from ..dialects.base.jobs import FinishedRun
from ..dialects.shared.by_id import InIds, delete_rows

WINDOW = 500
RECHECK_INTERVAL = timedelta(hours=1)
"""When a result that is still needed, or a file that could not be deleted, is checked again."""
MAX_DELETE_SECONDS = 2.0


def record_retention(runs: Sequence[FinishedRun], *, using: str) -> None:
    """Record until when, and in which file, the results of these successes are kept. Two statements."""
    ResultRetention.objects.using(using).bulk_create(
        [_row(run.claim.job_id, run.decision.result_retention) for run in runs]
    )
    jobs = Job.objects.using(using).filter(InIds("pk", [run.claim.job_id for run in runs]))
    jobs.update(flags=F("flags").bitor(int(JobFlag.HAS_RESULT_RETENTION)))


def _row(job_id: int, result_retention: ResultRetentionSpec | None) -> ResultRetention:
    given = result_retention or ResultRetentionSpec()
    return ResultRetention(
        job_id=job_id,
        expires_at=None if given.ttl is None else DatabaseNow(given.ttl),
        storage=given.storage,
        file_name=given.file_name,
    )


def delete_unsaved_result(run: FinishedRun) -> None:
    """Delete the file of a result that was not saved."""
    result_retention = run.decision.result_retention
    if result_retention is not None and result_retention.file_name:
        delete_result(result_retention.storage, result_retention.file_name)


def expire_results_of_jobs(job_ids: Collection[int], *, using: str) -> None:
    """Let the next maintenance delete the result files of jobs that are being deleted."""
    rows = ResultRetention.objects.using(using)
    ids = list(rows.filter(job_id__in=job_ids).values_list("pk", flat=True))
    if ids:
        rows.filter(InIds("pk", ids)).update(expires_at=DatabaseNow())


class RetentionResult(NamedTuple):
    """How many results were deleted, and whether more are due."""

    results: int
    more: bool


class _DueResult(NamedTuple):
    id: int
    job_id: int
    storage: str
    file_name: str


def expire_results(*, windows: int | None = None, using: str | None = None) -> RetentionResult:
    """Clear expired results, and delete their files; 500 a transaction, at most ``windows`` of them.

    Found by the index of ``expires_at``. A result that a dependent job may still need stays, and is checked again an
    hour later; so is a file that its storage fails to delete. Deleting takes at most two seconds.
    """
    _, connection = open_dialect(using)
    rows = ResultRetention.objects.using(connection.alias)
    due = rows.filter(expires_at__lt=DatabaseNow()).order_by("expires_at", "pk")
    deadline = time.monotonic() + MAX_DELETE_SECONDS
    total = 0
    while windows is None or windows > 0:
        found = [_DueResult(*row) for row in due.values_list("pk", "job_id", "storage", "file_name")[:WINDOW]]
        if not found:
            break
        expired = _clear(found, connection.alias)
        left = _delete_files([result for result in expired if result.file_name], deadline, connection.alias)
        total += len(expired) - len(left)
        if left:
            return RetentionResult(total, more=True)
        if len(found) < WINDOW:
            break
        windows = None if windows is None else windows - 1
    return RetentionResult(total, more=windows == 0)


def _clear(due: Sequence[_DueResult], alias: str) -> list[_DueResult]:
    """Mark the jobs' results as expired, postpone those that are still needed, and return the others."""
    dialect, connection = open_dialect(alias)
    jobs, rows = Job.objects.using(alias), ResultRetention.objects.using(alias)
    with dialect.write_transaction(connection):
        locked = jobs.filter(InIds("pk", sorted({result.job_id for result in due}))).select_for_update().order_by("pk")
        flags = dict(locked.values_list("pk", "flags"))
        awaited = [pk for pk, bits in flags.items() if bits & JobFlag.HAS_DEPENDENTS]
        needed = still_needed(awaited, using=alias) if awaited else set()
        expired = [result for result in due if result.job_id not in needed]
        jobs.filter(InIds("pk", [pk for pk in flags if pk not in needed])).update(result_data=RESULT_EXPIRED)
        if needed:
            postponed = [result.id for result in due if result.job_id in needed]
            rows.filter(InIds("pk", postponed)).update(expires_at=DatabaseNow(RECHECK_INTERVAL))
        delete_rows(rows.filter(InIds("pk", [result.id for result in expired if not result.file_name])))
    return expired


def _delete_files(due: Sequence[_DueResult], deadline: float, alias: str) -> list[_DueResult]:
    """Delete files and their rows, postpone those of a storage that fails; return the rest at the deadline."""
    deleted: list[int] = []
    failed: list[int] = []
    left: list[_DueResult] = []
    broken: set[str] = set()
    for result in due:
        if result.storage in broken:
            failed.append(result.id)
        elif time.monotonic() > deadline:
            left.append(result)
        elif delete_result(result.storage, result.file_name):
            deleted.append(result.id)
        else:
            broken.add(result.storage)
            failed.append(result.id)
    dialect, connection = open_dialect(alias)
    rows = ResultRetention.objects.using(alias)
    if deleted or failed:
        with dialect.write_transaction(connection):
            delete_rows(rows.filter(InIds("pk", deleted)))
            rows.filter(InIds("pk", failed)).update(expires_at=DatabaseNow(RECHECK_INTERVAL))
    return left
