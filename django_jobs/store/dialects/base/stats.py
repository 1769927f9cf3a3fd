"""Count the outcomes and durations of attempts, for the statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.histogram import BUCKETS_PER_DOUBLING, MIN_SECONDS
from ....policy.rollup import AttemptCount

# Looked up row by row, by key: a plain join, or an EXISTS, lets PostgreSQL hash the whole table of jobs, or of dead
# letters. A group's buckets are one text: to group by them as well sends nearly a row an attempt if there are many
# types, and takes twice the CPU here and on the server.
COUNT_ATTEMPTS = """
SELECT minute_of, queue_name, job_name, count(*),
       count(CASE WHEN outcome = 'succeeded' THEN 1 END),
       count(is_retried),
       sum(CASE WHEN ran > 0 THEN ran ELSE 0 END),
       {waits},
       {runs}
FROM (
    SELECT {minute} AS minute_of,
           coalesce(job.queue_name, '') AS queue_name,
           coalesce(job.name, '') AS job_name,
           outcome,
           CASE WHEN outcome IN ('failed', 'timed_out', 'retried', 'lost') AND (
                    SELECT dead_letter.id FROM django_jobs_deadletter AS dead_letter
                    WHERE dead_letter.job_id = attempt.job_id AND dead_letter.died_at = attempt.finished_at LIMIT 1
                ) IS NULL THEN 1 END AS is_retried,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {waited} END AS waited,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {ran} END AS ran
    FROM django_jobs_attempt AS attempt {job}
    WHERE attempt.id > %(above)s AND attempt.id <= %(upto)s
) AS ended
GROUP BY minute_of, queue_name, job_name
"""
# The logarithm rounds the bound of a bucket that is a power of two slightly up: hence the 1e-9.
BUCKET = (
    f"CASE WHEN {{0}} <= {MIN_SECONDS} THEN 0"
    f" ELSE ceiling(ln({{0}} / {MIN_SECONDS}) * {BUCKETS_PER_DOUBLING / math.log(2)} - 1e-9) END"
)
JOB = "LEFT JOIN django_jobs_job AS job ON job.id = attempt.job_id"


class StatStatements:
    """Count attempts by a vendor's expressions: the minute of the end, the seconds waited, the seconds run.

    ``joined`` makes one text of a group's buckets, with commas. ``job``: the join that finds an attempt's job by key.
    """

    def __init__(self, *, minute: str, waited: str, ran: str, joined: str, job: str = JOB) -> None:
        self._count_attempts = COUNT_ATTEMPTS.format(
            minute=minute,
            waited=waited,
            ran=ran,
            job=job,
            waits=joined.format(BUCKET.format("waited")),
            runs=joined.format(BUCKET.format("ran")),
        )

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count, without locks, the attempts with ids in ``(above, upto]``; one statement.

        An attempt whose end is no instant (a row edited by hand) is left out.
        """
        with connection.cursor() as cursor:
            cursor.execute(self._count_attempts, {"above": above, "upto": upto})
            return [_count(*row) for row in cursor.fetchall() if row[0] is not None]


def _count(
    minute: int,
    queue_name: str,
    job_name: str,
    number: int,
    succeeded: int,
    retried: int,
    seconds: float,
    waits: str | None,
    runs: str | None,
) -> AttemptCount:
    buckets = _buckets(waits), _buckets(runs)
    return AttemptCount(int(minute), queue_name, job_name, number, succeeded, retried, 0, float(seconds), *buckets)


def _buckets(text: str | None) -> Sequence[str]:
    return text.split(",") if text else ()
