"""Count the ready and the running jobs of each queue in one pass over their indexes."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.backlog import Level

MAX_STATEMENTS = 10

# Ordered like the index, so that every database reads a range of it and stops. Both counts are of one snapshot. Which
# queue is the last is for the database to say: its collation may not be Python's order.
COUNT_READY = """
SELECT queue_name, count(*), 0, max(queue_name) OVER () FROM (
    SELECT queue_name FROM django_jobs_job WHERE state = 'ready' {after}
    ORDER BY queue_name, priority, ready_at, id LIMIT %(limit)s
) AS waiting
GROUP BY queue_name
"""
COUNT_RUNNING = """
SELECT queue_name, 0, count(*), NULL FROM django_jobs_job WHERE state = 'running' GROUP BY queue_name
"""
FROM_START = f"{COUNT_READY.format(after='')} UNION ALL {COUNT_RUNNING}"
FROM_QUEUE = COUNT_READY.format(after="AND queue_name >= %(queue)s")
BEHIND_QUEUE = COUNT_READY.format(after="AND queue_name > %(queue)s")


def read_levels(connection: BaseDatabaseWrapper, *, limit: int) -> dict[str, Level] | None:
    """Return the level of each queue that has ready or running jobs, each of which is counted up to ``limit``.

    One statement if no more than ``limit`` jobs are ready in all. A queue at which it stops is counted anew by the
    next, first of those behind it. None if ten are not enough.
    """
    waiting: dict[str, int] = {}
    running: dict[str, int] = {}
    statement = FROM_START
    values: dict[str, Any] = {"limit": limit + 1}
    for _ in range(MAX_STATEMENTS):
        found, last = _count(connection, statement, values, running)
        waiting |= found
        if sum(found.values()) <= limit:
            names = waiting.keys() | running.keys()
            return {name: _level(waiting.get(name, 0), running.get(name, 0), limit) for name in names}
        statement = BEHIND_QUEUE if found[last] > limit else FROM_QUEUE
        values = {"limit": limit + 1, "queue": last}
    return None


def _level(waiting: int, running: int, limit: int) -> Level:
    return Level(waiting=min(waiting, limit), running=running, is_more=waiting > limit)


def _count(
    connection: BaseDatabaseWrapper, statement: str, values: dict[str, Any], running: dict[str, int]
) -> tuple[dict[str, int], str]:
    """Return the number of ready jobs by queue and the last of these queues; add to those that run."""
    waiting: dict[str, int] = {}
    last = ""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        for name, ready, begun, last_name in cursor.fetchall():
            last = last_name or last
            if ready:
                waiting[name] = ready
            if begun:
                running[name] = begun
    return waiting, last
