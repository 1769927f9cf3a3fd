"""Limits on PostgreSQL: one statement to release permits, one to read queues, one to admit jobs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.limits import HeldPermit, LimitQueue, LockedJob
from .jobs import array_literal

# Phases: 1 waiting, 2 held, 3 cooling. Kind 4 is a rate limit, the last permit that a job takes: if the last was of
# another kind, none is searched for.
RELEASE_PERMITS = """
WITH deleted AS (
    DELETE FROM django_jobs_permit
    WHERE job_id = ANY(%(over)s::bigint[]) AND run = 0 AND phase = 2 AND kind <> 4
    RETURNING job_id, limit_id, kind, is_last
)
SELECT job_id, limit_id, kind FROM deleted
UNION ALL
SELECT job_id, limit_id, kind FROM django_jobs_permit
WHERE job_id = ANY(ARRAY(SELECT unnest(%(over)s::bigint[]) EXCEPT SELECT job_id FROM deleted WHERE is_last))
  AND run = 0 AND phase = 2 AND kind = 4
UNION ALL
SELECT job_id, limit_id, kind FROM django_jobs_permit
WHERE job_id = ANY(%(others)s::bigint[]) AND run = 0 AND phase = 2
"""

READ_QUEUES = """
SELECT open_limit.id, given.number, given.free_at, head.job_id, head.is_last
FROM unnest(%s::bigint[], %s::int[]) AS open_limit (id, bound)
CROSS JOIN LATERAL (
    SELECT count(*)::int AS number, min(free_at) AS free_at FROM django_jobs_permit
    WHERE limit_id = open_limit.id AND phase IN (2, 3)
) AS given
LEFT JOIN LATERAL (
    SELECT job_id, is_last FROM django_jobs_permit
    WHERE limit_id = open_limit.id AND phase = 1
    ORDER BY urgency, job_id
    LIMIT least(greatest(open_limit.bound - given.number, 0), %s) + 1
) AS head ON true
"""

# Written rows are looked up by a list of keys: for a join with a CTE the planner expects one row, and compares each
# with each (measured: 12 ms for 200 jobs instead of 4).
ADMIT_JOBS = """
WITH taken AS MATERIALIZED (
    SELECT id, state, queue_name FROM django_jobs_job
    WHERE id = ANY(%(ids)s::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), given AS (
    UPDATE django_jobs_permit SET phase = 2, since = statement_timestamp()
    WHERE job_id = ANY(ARRAY(SELECT id FROM taken WHERE state = 'blocked')) AND run = 0 AND phase = 1
), made_ready AS (
    UPDATE django_jobs_job SET state = 'ready', ready_at = statement_timestamp()
    WHERE id = ANY(ARRAY(SELECT id FROM taken WHERE state = 'blocked' AND id = ANY(%(complete)s::bigint[])))
)
SELECT id, state, queue_name FROM taken
"""


class PostgreSQLLimits:
    """Limits on PostgreSQL 13 and later."""

    def release_permits(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, over: Collection[int]
    ) -> list[HeldPermit]:
        """Read and delete in one statement."""
        others = set(job_ids).difference(over)
        with connection.cursor() as cursor:
            cursor.execute(RELEASE_PERMITS, {"over": array_literal(over), "others": array_literal(others)})
            return list(map(HeldPermit._make, cursor.fetchall()))

    def read_queues(
        self, connection: BaseDatabaseWrapper, bounds: Mapping[int, int], *, limit: int
    ) -> dict[int, LimitQueue]:
        """Read two ranges of the index for each limit, all in one statement."""
        queues: dict[int, LimitQueue] = {}
        with connection.cursor() as cursor:
            cursor.execute(READ_QUEUES, [array_literal(bounds.keys()), array_literal(bounds.values()), limit])
            for limit_id, used, free_at, job_id, is_last in cursor.fetchall():
                queue = queues.get(limit_id)
                if queue is None:
                    queue = queues[limit_id] = LimitQueue(used, free_at)
                if job_id is not None:
                    queue.waiting.append((job_id, is_last))
        return queues

    def admit(
        self, connection: BaseDatabaseWrapper, job_ids: Collection[int], *, complete: Collection[int]
    ) -> list[LockedJob]:
        """Lock and write in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(ADMIT_JOBS, {"ids": array_literal(job_ids), "complete": array_literal(complete)})
            return list(map(LockedJob._make, cursor.fetchall()))
