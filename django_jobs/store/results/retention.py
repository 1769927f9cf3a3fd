"""Kept results: note with a success until when its result is kept and where, and let go of what nobody needs.

::

    function returns -> file written -> finish: Job, Attempt, KeptResult   one transaction
                                            |
          kept_until passes, or the job is deleted: kept_until is now
                                            |
    maintenance: the job says "expired", or is gone -> file deleted -> KeptResult deleted

So a file is deleted after the row that named it, and never forgotten in between. A process that is killed after it
wrote a file and before the finish leaves that file behind.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db.models import F

from ...arguments.serialization import EXPIRED
from ...models import Job, KeptResult
from ...policy.flags import Links
from ...policy.outcomes import Keeping
from ...result_files import delete_result
from ..clock import DatabaseNow
from ..dependencies.successors import still_needed
from ..dialects import open_dialect
from ..dialects.base.jobs import Ended
from ..dialects.shared.by_id import Among

WINDOW = 500
LOOK_AGAIN = timedelta(hours=1)
"""When a result that is still needed, or a file that could not be deleted, is looked at again."""
DELETING_SECONDS = 2.0


def keep(ended: Sequence[Ended], *, using: str) -> None:
    """Note of these successes until when, and in which file, their results are kept. Two statements."""
    KeptResult.objects.using(using).bulk_create(
        [_row(one.claim.job_id, one.decision.keeping) for one in ended]
    )
    jobs = Job.objects.using(using).filter(Among("pk", [one.claim.job_id for one in ended]))
    jobs.update(links=F("links").bitor(int(Links.KEPT)))


def _row(job_id: int, keeping: Keeping | None) -> KeptResult:
    given = keeping or Keeping()
    return KeptResult(
        job_id=job_id,
        kept_until=None if given.ttl is None else DatabaseNow(given.ttl),
        storage=given.storage,
        file_name=given.file_name,
    )


def discard(ended: Ended) -> None:
    """Delete the file of a result that was not saved."""
    keeping = ended.decision.keeping
    if keeping is not None and keeping.file_name:
        delete_result(keeping.storage, keeping.file_name)


def let_results_go(job_ids: Collection[int], *, using: str) -> None:
    """Have the files of jobs that are being deleted deleted too, by the next maintenance."""
    rows = KeptResult.objects.using(using)
    ids = list(rows.filter(job_id__in=job_ids).values_list("pk", flat=True))
    if ids:
        rows.filter(Among("pk", ids)).update(kept_until=DatabaseNow())


class Let(NamedTuple):
    """How many results expired or were let go of, and whether there are more to see to."""

    results: int
    more: bool


class _Due(NamedTuple):
    id: int
    job_id: int
    storage: str
    file_name: str


def expire_results(*, windows: int | None = None, using: str | None = None) -> Let:
    """Clear results that are kept no longer, and delete their files; 500 a transaction, at most ``windows`` of them.

    Found by the index of ``kept_until``. A result that something that waits for it may still ask for stays, and is
    looked at again an hour later; so is a file that its storage does not delete. Deleting takes two seconds at most.
    """
    _, connection = open_dialect(using)
    rows = KeptResult.objects.using(connection.alias)
    due = rows.filter(kept_until__lt=DatabaseNow()).order_by("kept_until", "pk")
    deadline = time.monotonic() + DELETING_SECONDS
    total = 0
    while windows is None or windows > 0:
        found = [_Due(*row) for row in due.values_list("pk", "job_id", "storage", "file_name")[:WINDOW]]
        if not found:
            break
        going = _clear(found, connection.alias)
        left = _delete_files([one for one in going if one.file_name], deadline, connection.alias)
        total += len(going) - len(left)
        if left:
            return Let(total, more=True)
        if len(found) < WINDOW:
            break
        windows = None if windows is None else windows - 1
    return Let(total, more=windows == 0)


def _clear(due: Sequence[_Due], alias: str) -> list[_Due]:
    """Mark the jobs' results as expired, put off those that are still needed, and return the others."""
    dialect, connection = open_dialect(alias)
    jobs, rows = Job.objects.using(alias), KeptResult.objects.using(alias)
    with dialect.writing(connection):
        locked = (
            jobs.filter(Among("pk", sorted({one.job_id for one in due}))).select_for_update().order_by("pk")
        )
        links = dict(locked.values_list("pk", "links"))
        awaited = [pk for pk, bits in links.items() if bits & Links.AWAITED]
        needed = still_needed(awaited, using=alias) if awaited else set()
        going = [one for one in due if one.job_id not in needed]
        jobs.filter(Among("pk", [pk for pk in links if pk not in needed])).update(result_data=EXPIRED)
        if needed:
            put_off = [one.id for one in due if one.job_id in needed]
            rows.filter(Among("pk", put_off)).update(kept_until=DatabaseNow(LOOK_AGAIN))
        rows.filter(Among("pk", [one.id for one in going if not one.file_name]))._raw_delete(alias)
    return going


def _delete_files(due: Sequence[_Due], deadline: float, alias: str) -> list[_Due]:
    """Delete files, forget those that are gone, put off those of a storage that fails; return those left over."""
    gone: list[int] = []
    failed: list[int] = []
    left: list[_Due] = []
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
    rows = KeptResult.objects.using(alias)
    if gone or failed:
        with dialect.writing(connection):
            rows.filter(Among("pk", gone))._raw_delete(alias)
            rows.filter(Among("pk", failed)).update(kept_until=DatabaseNow(LOOK_AGAIN))
    return left
