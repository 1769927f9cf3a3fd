"""Kept results: note with a success until when its result is kept and where, and let go of what nobody needs.

::

    function returns -> file written -> finish: Job, Attempt, ResultRetention   one transaction
                                            |
          expires_at passes, or the job is deleted: expires_at is now
                                            |
    maintenance: the job says "expired", or is gone -> file deleted -> ResultRetention deleted

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
"""When a result that is still needed, or a file that could not be deleted, is looked at again."""
MAX_DELETE_SECONDS = 2.0


def record_retention(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Note of these successes until when, and in which file, their results are kept. Two statements."""
    ResultRetention.objects.using(using).bulk_create(
        [_row(one.claim.job_id, one.decision.result_retention) for one in ended]
    )
    jobs = Job.objects.using(using).filter(InIds("pk", [one.claim.job_id for one in ended]))
    jobs.update(flags=F("flags").bitor(int(JobFlag.HAS_RESULT_RETENTION)))


def _row(job_id: int, result_retention: ResultRetentionSpec | None) -> ResultRetention:
    given = result_retention or ResultRetentionSpec()
    return ResultRetention(
        job_id=job_id,
        expires_at=None if given.ttl is None else DatabaseNow(given.ttl),
        storage=given.storage,
        file_name=given.file_name,
    )


def delete_unsaved_result(ended: FinishedRun) -> None:
    """Delete the file of a result that was not saved."""
    result_retention = ended.decision.result_retention
    if result_retention is not None and result_retention.file_name:
        delete_result(result_retention.storage, result_retention.file_name)


def expire_results_of_jobs(job_ids: Collection[int], *, using: str) -> None:
    """Have the files of jobs that are being deleted deleted too, by the next maintenance."""
    rows = ResultRetention.objects.using(using)
    ids = list(rows.filter(job_id__in=job_ids).values_list("pk", flat=True))
    if ids:
        rows.filter(InIds("pk", ids)).update(expires_at=DatabaseNow())


class RetentionResult(NamedTuple):
    """How many results expired or were let go of, and whether there are more to see to."""

    results: int
    more: bool


class _DueResult(NamedTuple):
    id: int
    job_id: int
    storage: str
    file_name: str


def expire_results(*, windows: int | None = None, using: str | None = None) -> RetentionResult:
    """Clear results that are kept no longer, and delete their files; 500 a transaction, at most ``windows`` of them.

    Found by the index of ``expires_at``. A result that something that waits for it may still ask for stays, and is
    looked at again an hour later; so is a file that its storage does not delete. Deleting takes two seconds at most.
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
        going = _clear(found, connection.alias)
        left = _delete_files([one for one in going if one.file_name], deadline, connection.alias)
        total += len(going) - len(left)
        if left:
            return RetentionResult(total, more=True)
        if len(found) < WINDOW:
            break
        windows = None if windows is None else windows - 1
    return RetentionResult(total, more=windows == 0)


def _clear(due: Sequence[_DueResult], alias: str) -> list[_DueResult]:
    """Mark the jobs' results as expired, put off those that are still needed, and return the others."""
    dialect, connection = open_dialect(alias)
    jobs, rows = Job.objects.using(alias), ResultRetention.objects.using(alias)
    with dialect.write_transaction(connection):
        locked = (
            jobs.filter(InIds("pk", sorted({one.job_id for one in due}))).select_for_update().order_by("pk")
        )
        flags = dict(locked.values_list("pk", "flags"))
        awaited = [pk for pk, bits in flags.items() if bits & JobFlag.HAS_DEPENDENTS]
        needed = still_needed(awaited, using=alias) if awaited else set()
        going = [one for one in due if one.job_id not in needed]
        jobs.filter(InIds("pk", [pk for pk in flags if pk not in needed])).update(result_data=RESULT_EXPIRED)
        if needed:
            put_off = [one.id for one in due if one.job_id in needed]
            rows.filter(InIds("pk", put_off)).update(expires_at=DatabaseNow(RECHECK_INTERVAL))
        delete_rows(rows.filter(InIds("pk", [one.id for one in going if not one.file_name])))
    return going


def _delete_files(due: Sequence[_DueResult], deadline: float, alias: str) -> list[_DueResult]:
    """Delete files, forget those that are gone, put off those of a storage that fails; return those left over."""
    gone: list[int] = []
    failed: list[int] = []
    left: list[_DueResult] = []
    broken: set[str] = set()
    for one in due:
        if one.storage in broken:
            failed.append(one.id)
        elif time.monotonic() > deadline:
            left.append(one)
        elif delete_result(one.storage, one.file_name):
            gone.append(one.id)
        else:
            broken.add(one.storage)
            failed.append(one.id)
    dialect, connection = open_dialect(alias)
    rows = ResultRetention.objects.using(alias)
    if gone or failed:
        with dialect.write_transaction(connection):
            delete_rows(rows.filter(InIds("pk", gone)))
            rows.filter(InIds("pk", failed)).update(expires_at=DatabaseNow(RECHECK_INTERVAL))
    return left
