"""Reads that are the same on every database: running jobs by worker and queue, waiting jobs by queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.claim_cursors import Lane
from ..base.jobs import as_instant

# The state is a constant of the text: SQLite uses a partial index only for a condition that it can read.
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
    """Count a queue's running jobs, by the index of running jobs: at most as many as the workers have slots."""
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_OF_QUEUE, [queue_name])
        return int(cursor.fetchone()[0])


def read_running_ids(connection: BaseDatabaseWrapper, *, worker_id: int) -> list[int]:
    """Return ids of the jobs that run under a worker, by the index of running jobs."""
    with connection.cursor() as cursor:
        cursor.execute(RUNNING_UNDER_WORKER, [worker_id])
        return [job_id for (job_id,) in cursor.fetchall()]


def read_orphaned_ids(connection: BaseDatabaseWrapper, *, limit: int, worker_id: int | None) -> list[int]:
    """Return ids of running jobs without a live worker, by the index of running jobs."""
    of_worker = "" if worker_id is None else "AND job.worker_id = %(worker_id)s"
    with connection.cursor() as cursor:
        cursor.execute(ORPHANED.format(of_worker=of_worker), {"limit": limit, "worker_id": worker_id})
        return [job_id for (job_id,) in cursor.fetchall()]


# Jobs that wait and are not ready have no index of their queues: those that are due next and the newest tell.
WAITING_QUEUES = """
SELECT queue_name FROM (
    SELECT queue_name FROM django_jobs_job WHERE state = 'scheduled' AND run_after IS NOT NULL
    ORDER BY run_after, id LIMIT %(limit)s
) AS due_next
UNION
SELECT queue_name FROM (
    SELECT queue_name, state FROM django_jobs_job ORDER BY id DESC LIMIT %(limit)s
) AS newest
WHERE state IN ('scheduled', 'blocked')
"""


def read_waiting_queues(connection: BaseDatabaseWrapper, *, limit: int) -> set[str]:
    """Return the queues of scheduled jobs, the ``limit`` due next, and of those that wait among the newest."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING_QUEUES, {"limit": limit})
        return {name for (name,) in cursor.fetchall()}


# Ordered like the index, so that PostgreSQL reads a range of it and stops, however many rows it expects.
COUNT_READY = """
SELECT %s, count(*), min(ready_at) FROM (
    SELECT ready_at FROM django_jobs_job WHERE state = 'ready' AND queue_name = %s
    ORDER BY priority, ready_at, id LIMIT %s
) AS waiting
"""
READ_HEAD = """
SELECT %s, 0, min(ready_at) FROM django_jobs_job WHERE state = 'ready' AND queue_name = %s AND priority = %s
"""


LANES_PER_STATEMENT = 200
"""SQLite takes 500 parts of a UNION."""


class ReadyCount(NamedTuple):
    """The number of ready jobs of a queue, counted up to a limit, and since when the first is ready."""

    number: int
    oldest: datetime | None


def read_ready_counts(
    connection: BaseDatabaseWrapper, *, queues: Sequence[str], heads: Sequence[Lane], limit: int
) -> dict[str, ReadyCount]:
    """Count the ready jobs of each queue up to ``limit``, in one statement over the ready index.

    The oldest is the oldest of those counted and of the first jobs of ``heads``.
    """
    parts: list[tuple[str, list[Any]]] = [(COUNT_READY, [name, name, limit]) for name in queues]
    parts += [(READ_HEAD, [lane.queue_name, *lane]) for lane in heads if lane.queue_name in queues]
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
            instants = [at for at in (before.oldest, as_instant(oldest)) if at is not None]
            found[name] = ReadyCount(max(number, before.number), min(instants, default=None))
    return found


def read_oldest_ready(connection: BaseDatabaseWrapper, lanes: Sequence[Lane]) -> dict[str, datetime]:
    """Return since when the first ready job of each queue is ready, by the heads of its lanes in the ready index."""
    oldest: dict[str, datetime] = {}
    for start in range(0, len(lanes), LANES_PER_STATEMENT):
        part = lanes[start : start + LANES_PER_STATEMENT]
        statement = " UNION ALL ".join([READ_HEAD] * len(part))
        with connection.cursor() as cursor:
            cursor.execute(statement, [value for lane in part for value in (lane.queue_name, *lane)])
            for name, _, at in cursor.fetchall():
                instant = as_instant(at)
                if instant is not None:
                    oldest[name] = min(instant, oldest.get(name, instant))
    return oldest


# Both are ordered like an index, so that no more rows are read than are counted.
SCHEDULED_OF_QUEUES = """
SELECT queue_name, count(*) FROM (
    SELECT queue_name FROM django_jobs_job WHERE state = 'scheduled' AND run_after IS NOT NULL
    ORDER BY run_after, id LIMIT %s
) AS due_next
GROUP BY queue_name
"""
OPEN_DEAD_LETTERS_OF_QUEUES = """
SELECT queue_name, count(*) FROM (
    SELECT queue_name FROM django_jobs_deadletter WHERE status = 'open' ORDER BY id DESC LIMIT %s
) AS newest
GROUP BY queue_name
"""


def read_scheduled_counts(connection: BaseDatabaseWrapper, *, limit: int) -> dict[str, int]:
    """Count by queue the ``limit`` scheduled jobs that are due next."""
    return _read_counts(connection, SCHEDULED_OF_QUEUES, limit)


def read_open_dead_letters(connection: BaseDatabaseWrapper, *, limit: int) -> dict[str, int]:
    """Count by queue the newest ``limit`` open dead letters."""
    return _read_counts(connection, OPEN_DEAD_LETTERS_OF_QUEUES, limit)


def _read_counts(connection: BaseDatabaseWrapper, statement: str, limit: int) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, [limit])
        return {name: int(number) for name, number in cursor.fetchall()}
