"""Count the outcomes and durations of attempts, for the statistics."""

from __future__ import annotations

import math

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.histogram import BUCKETS_PER_DOUBLING, MIN_SECONDS
from ....policy.rollup import AttemptCount

# Looked up row by row, by key: a join, or an EXISTS, lets PostgreSQL hash the whole table of jobs, or of dead letters.
# The logarithm rounds the bound of a bucket that is a power of two slightly up: hence the 1e-9.
COUNT_ATTEMPTS = """
SELECT minute_of, queue_name, kind,
       CASE WHEN waited <= {shortest} THEN 0 ELSE ceiling(ln(waited / {shortest}) * {factor} - 1e-9) END AS wait_of,
       CASE WHEN ran <= {shortest} THEN 0 ELSE ceiling(ln(ran / {shortest}) * {factor} - 1e-9) END AS run_of,
       count(*)
FROM (
    SELECT {{minute}} AS minute_of,
           coalesce((SELECT job.queue_name FROM django_jobs_job AS job WHERE job.id = attempt.job_id), '')
               AS queue_name,
           CASE WHEN outcome = 'succeeded' THEN 'succeeded'
                WHEN outcome IN ('failed', 'timed_out', 'retried', 'lost') AND (
                    SELECT dead_letter.id FROM django_jobs_deadletter AS dead_letter
                    WHERE dead_letter.job_id = attempt.job_id AND dead_letter.died_at = attempt.finished_at LIMIT 1
                ) IS NULL THEN 'retried'
                ELSE 'other' END AS kind,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {{waited}} END AS waited,
           CASE WHEN outcome NOT IN ('snoozed', 'released') THEN {{ran}} END AS ran
    FROM django_jobs_attempt AS attempt
    WHERE id > %(above)s AND id <= %(upto)s
) AS ended
GROUP BY minute_of, queue_name, kind, wait_of, run_of
""".format(shortest=MIN_SECONDS, factor=BUCKETS_PER_DOUBLING / math.log(2))


class StatStatements:
    """Count attempts by a vendor's expressions: the minute of the end, the seconds waited, the seconds run."""

    def __init__(self, *, minute: str, waited: str, ran: str) -> None:
        self._count_attempts = COUNT_ATTEMPTS.format(minute=minute, waited=waited, ran=ran)

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count, without locks, the attempts with ids in ``(above, upto]``; one statement.

        An attempt whose end is no instant (a row edited by hand) is left out.
        """
        with connection.cursor() as cursor:
            cursor.execute(self._count_attempts, {"above": above, "upto": upto})
            return [
                AttemptCount(int(minute), queue_name, kind, _as_bucket(wait), _as_bucket(run), number)
                for minute, queue_name, kind, wait, run, number in cursor.fetchall()
                if minute is not None
            ]


def _as_bucket(value: float | None) -> int | None:
    return None if value is None else int(value)
