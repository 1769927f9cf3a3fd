"""Reads that are the same on every database: of running jobs by worker and queue, and of what waits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ....policy.claim_cursors import Lane
from ..base.jobs import as_instant

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

# The state is written out: SQLite uses a partial index only for a condition that it can read in the statement.
ORPHANED = """
SELECT job.id FROM django_jobs_job AS job
LEFT JOIN django_jobs_worker AS worker ON worker.id = job.worker_id
WHERE job.state = 'running' AND (worker.id IS NULL OR worker.state IN ('lost', 'stopped')) {of_worker}
ORDER BY job.id
LIMIT %(limit)s
"""

RUNNING_OF_QUEUE = "SELECT count(*) FROM django_jobs_job WHERE state = 'running' AND queue_name = %s"
RUNNING_UNDER_WORKER = "SELECT id FROM django_jobs_job WHERE state = 'running' AND worker_id = %s"


def count_running(connection: BaseDatabaseWrapper, queue_name: str) -> int:
    """Count a queue's running jobs, by the index of all that run: as many as the workers have slots."""
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_OF_QUEUE, [queue_name])
        return int(cursor.fetchone()[0])


def read_running_ids(connection: BaseDatabaseWrapper, *, worker_id: int) -> list[int]:
    """Return ids of the jobs that run under a worker, by the index of running jobs; the same on every database."""
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_UNDER_WORKER, [worker_id])
        return [job_id for (job_id,) in cursor.fetchall()]


def read_orphaned_ids(connection: BaseDatabaseWrapper, *, limit: int, worker_id: int | None) -> list[int]:
    """Return ids of running jobs without a living worker, by the index of running jobs; the same on every database."""
    of_worker = "" if worker_id is None else "AND job.worker_id = %(worker_id)s"
    with connection.cursor() as cursor:
        cursor.execute(ORPHANED.format(of_worker=of_worker), {"limit": limit, "worker_id": worker_id})
        return [job_id for (job_id,) in cursor.fetchall()]


# Ordered as the index is, so that PostgreSQL walks it and stops, whatever it believes about how many wait.
COUNT_READY = """
SELECT %s, count(*), min(ready_at) FROM (
    SELECT ready_at FROM django_jobs_job WHERE state = 'ready' AND queue_name = %s
    ORDER BY priority, ready_at, id LIMIT %s
) AS waiting
"""
READ_HEAD = """
SELECT %s, 0, min(ready_at) FROM django_jobs_job WHERE state = 'ready' AND queue_name = %s AND priority = %s
"""


class ReadyCount(NamedTuple):
    """How many jobs of a queue are ready, counted up to a limit, and since when the first has been."""

    number: int
    oldest: datetime | None


def read_ready_counts(
    connection: BaseDatabaseWrapper, *, queues: Sequence[str], heads: Sequence[Lane], limit: int
) -> dict[str, ReadyCount]:
    """Count what is ready in each of the queues up to ``limit``, in one statement over the ready index.

    The oldest is looked for among those counted and at the head of each of ``heads``.
    """
    parts: list[tuple[str, list[Any]]] = [(COUNT_READY, [name, name, limit]) for name in queues]
    parts += [(READ_HEAD, [line.queue_name, *line]) for line in heads if line.queue_name in queues]
    if not parts:
        return {}
    found = dict.fromkeys(queues, ReadyCount(0, None))
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT * FROM ({part}) AS part_{at}" for at, (part, _) in enumerate(parts)),
            [value for _, values in parts for value in values],
        )
        for name, number, oldest in cursor.fetchall():
            before = found[name]
            instants = [one for one in (before.oldest, as_instant(oldest)) if one is not None]
            found[name] = ReadyCount(max(number, before.number), min(instants, default=None))
    return found
