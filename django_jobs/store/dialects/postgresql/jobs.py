"""PostgreSQL: every verb one statement, SKIP LOCKED, data-modifying CTEs, LISTEN and NOTIFY.

Statements are sent with their values in the text (Django's default), so that each is planned for what
it is about to do: a generic plan of the claim walks the whole index (engine findings, 21 %).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from ....policy.claim_cursors import Lane
from ....policy.rollup import AttemptCount
from ..base.jobs import (
    COUNT_ATTEMPTS,
    Claim,
    FinishedRun,
    Inserted,
    NewJob,
    NewTick,
    Position,
    Promoted,
    QueueSnapshot,
    ScheduleTimes,
    as_record,
    claim_order,
    is_plain_success,
    read_attempt_counts,
)

if TYPE_CHECKING:
    from django.db import Error as DatabaseError
    from django.db.backends.base.base import BaseDatabaseWrapper

CHANNEL = "django_jobs"
SCHEDULERS_CHANNEL = "django_jobs_schedulers"
CONFLICTS = {"40001", "40P01"}
"""serialization_failure and deadlock_detected; PostgreSQL manual, "Serialization Failure Handling"."""

INSERT = """
INSERT INTO django_jobs_job
    ({id_column}name, queue_name, priority, max_attempts, metadata, arguments, state, enqueued_at, run_after, ready_at,
     attempt, claim_number, worker_deaths, progress_message, flags)
SELECT {id}new.name, new.queue_name, new.priority, new.max_attempts, new.metadata, given.arguments,
       CASE WHEN due.at > due.now THEN 'scheduled' WHEN new.blocked THEN 'blocked' ELSE 'ready' END,
       due.now,
       CASE WHEN due.at > due.now THEN due.at END,
       CASE WHEN due.at > due.now OR new.blocked THEN NULL ELSE due.now END,
       0, 0, 0, '', new.flags
FROM (VALUES (%s, %s, %s::smallint, %s::smallint, %s::jsonb, %s::timestamptz, %s::float8, %s, %s::smallint))
         AS new (name, queue_name, priority, max_attempts, metadata, run_after, delay, blocked, flags)
CROSS JOIN LATERAL (
    SELECT clock.now, coalesce(new.run_after, clock.now + new.delay * interval '1 second') AS at
    FROM (SELECT statement_timestamp() AS now) AS clock
) AS due
CROSS JOIN LATERAL jsonb_array_elements(%s::jsonb) WITH ORDINALITY AS given (arguments, place)
{source}
ORDER BY given.place
RETURNING id, state, enqueued_at, run_after, ready_at
"""
INSERT_JOBS = INSERT.format(id_column="", id="", source="")

QUEUE_SNAPSHOT = """
WITH RECURSIVE line AS (
    (SELECT queue_name, priority FROM django_jobs_job WHERE state = 'ready'
     ORDER BY queue_name, priority LIMIT 1)
    UNION ALL
    SELECT further.queue_name, further.priority
    FROM line CROSS JOIN LATERAL (
        SELECT queue_name, priority FROM django_jobs_job
        WHERE state = 'ready' AND (queue_name, priority) > (line.queue_name, line.priority)
        ORDER BY queue_name, priority LIMIT 1
    ) AS further
)
SELECT statement_timestamp(), (SELECT min(run_after) FROM django_jobs_job WHERE state = 'scheduled'),
       (SELECT CASE WHEN EXISTS (SELECT FROM django_jobs_limitsignal) THEN statement_timestamp()
                    ELSE min(check_at) END FROM django_jobs_limit),
       open_line.queue_name, open_line.priority,
       (SELECT max_running FROM django_jobs_queue WHERE name = open_line.queue_name) IS NOT NULL
FROM (SELECT 1) AS always
LEFT JOIN (
    SELECT queue_name, priority FROM line
    WHERE NOT EXISTS (
        SELECT FROM django_jobs_queue WHERE name = line.queue_name AND paused_at IS NOT NULL
    )
) AS open_line ON true
"""

# The claim's own commit does not wait for the disk: one lost in a crash of the server leaves the job ready,
# which at-least-once allows, and the finish names the worker as well as the counter. Said inside the
# statement it holds for this transaction only, also behind a pooler that shares sessions.
# PostgreSQL manual, "Asynchronous Commit".
CLAIM = """
UPDATE django_jobs_job AS job
SET state = 'running', attempt = job.attempt + 1, claim_number = job.claim_number + 1,
    worker_id = %(worker_id)s, started_at = statement_timestamp()
WHERE (SELECT set_config('synchronous_commit', 'off', true)) IS NOT NULL AND job.id = ANY (ARRAY(
    SELECT id FROM django_jobs_job
    WHERE state = 'ready' AND queue_name = %(queue_name)s AND priority = %(priority)s {behind_position}
      AND NOT EXISTS (
          SELECT FROM django_jobs_queue
          WHERE name = %(queue_name)s AND (paused_at IS NOT NULL OR (max_running IS NOT NULL AND NOT %(capped)s))
      )
    ORDER BY ready_at, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
))
RETURNING id, claim_number, name, queue_name, priority, attempt, max_attempts, arguments, metadata,
          extract(epoch FROM enqueued_at)::float8, extract(epoch FROM ready_at)::float8,
          extract(epoch FROM unknown_since)::float8, extract(epoch FROM started_at)::float8, worker_deaths, flags
"""
CLAIM_FROM_HEAD = CLAIM.format(behind_position="")
CLAIM_FROM_POSITION = CLAIM.format(behind_position="AND (ready_at, id) > (%(ready_at)s, %(job_id)s)")

PROMOTE = """
WITH promoted AS (
    UPDATE django_jobs_job
    SET state = CASE WHEN flags & 1 = 1 THEN 'blocked' ELSE 'ready' END,
        ready_at = CASE WHEN flags & 1 = 1 THEN NULL ELSE statement_timestamp() END,
        run_after = NULL
    WHERE id = ANY (ARRAY(
        SELECT id FROM django_jobs_job
        WHERE state = 'scheduled' AND run_after <= statement_timestamp()
        ORDER BY run_after, id
        LIMIT %s
        FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, flags
)
SELECT count(*), coalesce(array_agg(id) FILTER (WHERE flags & 1 = 1), '{}') FROM promoted
"""

# The look-up stays by key (job.id = ANY): a join alone lets the planner walk the whole index of running jobs.
# What guards the claim is compared with columns of ended, not with constants: statistics of a table that holds
# next to no running jobs would have the planner expect one row and scan all of ended for each (measured: a
# finish of 1,000 took 200 ms instead of 10).
FINISH_SUCCEEDED = """
WITH ended AS MATERIALIZED (
    SELECT *, 'running' AS held_state, %(worker_id)s::bigint AS holder_id
    FROM unnest(%(ids)s::bigint[], %(claim_numbers)s::int[], %(numbers)s::smallint[],
                %(started)s::float8[], %(finished)s::float8[], %(results)s::text[])
        AS ended (job_id, claim_number, number, started, finished, result)
), saved AS (
    UPDATE django_jobs_job AS job
    SET state = 'succeeded', result = ended.result::jsonb, unknown_since = NULL,
        started_at = to_timestamp(ended.started), finished_at = to_timestamp(ended.finished)
    FROM ended
    WHERE job.id = ended.job_id AND job.id = ANY (%(ids)s::bigint[]) AND job.state = ended.held_state
      AND job.worker_id = ended.holder_id AND job.claim_number = ended.claim_number
    RETURNING job.id, job.flags, job.ready_at, job.started_at, job.finished_at, ended.claim_number, ended.number
), attempt AS (
    INSERT INTO django_jobs_attempt
        (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
         error_class, error_message, traceback)
    SELECT id, claim_number, number, %(worker_id)s, 'succeeded', ready_at, started_at, finished_at, '', '', ''
    FROM saved
)
SELECT id, flags FROM saved
"""

FINISH_OTHERWISE = """
WITH ended AS MATERIALIZED (
    SELECT *, 'running' AS held_state, %(worker_id)s::bigint AS holder_id FROM json_to_recordset(%(ended)s::json)
        AS ended (job_id bigint, claim_number int, number smallint, state text, delay float8, given_back smallint,
                  name_unknown boolean, keeps_unknown_since boolean,
                  worker_died smallint, outcome text, started float8, finished float8,
                  error_class text, error_message text, traceback text, reason text, fingerprint text)
), saved AS (
    UPDATE django_jobs_job AS job
    SET state = ended.state,
        attempt = job.attempt - ended.given_back,
        worker_deaths = job.worker_deaths + ended.worker_died,
        run_after = CASE WHEN ended.state = 'scheduled'
                         THEN statement_timestamp() + ended.delay * interval '1 second' END,
        unknown_since = CASE WHEN ended.name_unknown THEN coalesce(job.unknown_since, statement_timestamp())
                          WHEN ended.keeps_unknown_since THEN job.unknown_since END,
        started_at = coalesce(to_timestamp(ended.started), job.started_at),
        finished_at = CASE WHEN ended.state IN ('dead', 'cancelled') THEN to_timestamp(ended.finished) END
    FROM ended
    WHERE job.id = ended.job_id AND job.id = ANY (%(ids)s::bigint[]) AND job.state = ended.held_state
      AND job.worker_id = ended.holder_id AND job.claim_number = ended.claim_number
    RETURNING job.id, job.flags, job.name, job.queue_name, job.ready_at, ended.*
), attempt AS (
    INSERT INTO django_jobs_attempt
        (job_id, claim_number, number, worker_id, outcome, ready_at, started_at, finished_at,
         error_class, error_message, traceback)
    SELECT id, claim_number, number, %(worker_id)s, outcome, ready_at, to_timestamp(started),
           to_timestamp(finished), error_class, error_message, traceback
    FROM saved WHERE outcome IS NOT NULL
), letter AS (
    INSERT INTO django_jobs_deadletter
        (job_id, job_name, queue_name, reason, attempt, error_class, error_message, traceback, fingerprint,
         died_at, status, resolved_by)
    SELECT id, name, queue_name, reason, number, error_class, error_message, traceback, fingerprint,
           to_timestamp(finished), 'open', ''
    FROM saved WHERE reason IS NOT NULL
)
SELECT id, flags FROM saved
"""

COUNT = COUNT_ATTEMPTS.format(
    minute="floor(extract(epoch FROM finished_at) / 60)::bigint",
    waited="extract(epoch FROM started_at - ready_at)::float8",
    ran="extract(epoch FROM finished_at - started_at)::float8",
)

INSERT_TICKS = """
INSERT INTO django_jobs_tick
    (schedule_id, due_at, decided_at, outcome, reason, job_id, is_open, requested_by)
SELECT * FROM json_to_recordset(%s::json)
    AS tick (schedule_id bigint, due_at timestamptz, decided_at timestamptz, outcome text, reason text,
             job_id bigint, is_open boolean, requested_by text)
"""
SET_SCHEDULE_TIMES = """
UPDATE django_jobs_cronschedule AS schedule
SET next_due_at = looks.next_due_at, next_check_at = looks.next_check_at
FROM json_to_recordset(%s::json)
    AS looks (schedule_id bigint, next_due_at timestamptz, next_check_at timestamptz)
WHERE schedule.id = looks.schedule_id
"""


class PostgreSQL:
    """The dialect of PostgreSQL 14 and later."""

    supports_notify = True

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Hold the session to READ COMMITTED where the project or the server chose another level."""
        with connection.cursor() as cursor:
            cursor.execute("SHOW default_transaction_isolation")
            if cursor.fetchone() != ("read committed",):
                cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def write_transaction(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Open a transaction, or join the caller's."""
        return transaction.atomic(using=connection.alias, savepoint=False)

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT statement_timestamp()")
            now: datetime = cursor.fetchone()[0]
            return now

    def insert_jobs(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: Sequence[str]
    ) -> list[Inserted]:
        """Insert all of ``arguments`` in one statement, sent as one JSON text: an array is escaped in Python."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_JOBS, [*new.columns, f"[{','.join(arguments)}]"])
            return sorted(map(Inserted._make, cursor.fetchall()))

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read the lines by skipping through the index: one step a line, however long it is."""
        with connection.cursor() as cursor:
            cursor.execute(QUEUE_SNAPSHOT)
            rows = cursor.fetchall()
        now, next_due, next_admission = rows[0][:3]
        lines = [Lane(*row[3:5]) for row in rows if row[3] is not None]
        capped = frozenset(row[3] for row in rows if row[5])
        served = [line for line in lines if queues is None or line.queue_name in queues]
        return QueueSnapshot(now, next_due, served, next_admission, capped)

    def claim(
        self,
        connection: BaseDatabaseWrapper,
        line: Lane,
        *,
        after: Position | None,
        limit: int,
        worker_id: int,
        capped: bool = False,
    ) -> list[Claim]:
        """Claim in one statement."""
        values: dict[str, Any] = {"worker_id": worker_id, "limit": limit, "capped": capped, **line._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with connection.cursor() as cursor:
            cursor.execute(CLAIM_FROM_HEAD if after is None else CLAIM_FROM_POSITION, values)
            claims = list(map(Claim._make, cursor.fetchall()))
        claims.sort(key=claim_order)
        return claims

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``."""
        return claim.ready_at, claim.job_id

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(PROMOTE, [limit])
            return Promoted(*cursor.fetchone())

    def finish(
        self, connection: BaseDatabaseWrapper, ended: Sequence[FinishedRun], *, worker_id: int
    ) -> dict[int, int]:
        """Save successes in one statement, everything else in another."""
        saved: dict[int, int] = {}
        successes = [one for one in ended if is_plain_success(one)]
        with connection.cursor() as cursor:
            if successes:
                cursor.execute(FINISH_SUCCEEDED, _success_arrays(successes, worker_id))
                saved.update(cursor.fetchall())
            if len(successes) < len(ended):
                others = [one for one in ended if not is_plain_success(one)]
                cursor.execute(FINISH_OTHERWISE, _other_records(others, worker_id))
                saved.update(cursor.fetchall())
        return saved

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count in microseconds, the resolution of the columns."""
        return read_attempt_counts(connection, COUNT, above=above, upto=upto)

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert all in one statement, sent as one JSON text."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_TICKS, [json.dumps([one._asdict() for one in ticks], default=str)])

    def set_schedule_times(self, connection: BaseDatabaseWrapper, looks: Sequence[ScheduleTimes]) -> None:
        """Write all in one statement, sent as one JSON text."""
        with connection.cursor() as cursor:
            cursor.execute(SET_SCHEDULE_TIMES, [json.dumps([one._asdict() for one in looks], default=str)])

    def is_conflict(self, error: DatabaseError) -> bool:
        """Look at the SQLSTATE; psycopg 3 and 2 name it differently."""
        cause = error.__cause__
        return (getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)) in CONFLICTS

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver: libpq knows both. 0 is ``TransactionStatus.IDLE`` in psycopg 2 and 3."""
        return not driver_connection.closed and driver_connection.info.transaction_status == 0

    def notify(self, connection: BaseDatabaseWrapper, queue_name: str) -> None:
        """Notify the workers that listen. NOTIFY takes a lock on the whole database at commit: ring seldom."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, queue_name])

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:
        """Notify the schedulers that listen."""
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {SCHEDULERS_CHANNEL}")


def _success_arrays(ended: Sequence[FinishedRun], worker_id: int) -> dict[str, Any]:
    """Return the columns as array literals: joining digits is five times as fast as adapting lists."""
    results = [one.decision.result for one in ended]
    return {
        "worker_id": worker_id,
        "ids": array_literal(one.claim.job_id for one in ended),
        "claim_numbers": array_literal(one.claim.claim_number for one in ended),
        "numbers": array_literal(one.claim.attempt for one in ended),
        "started": array_literal(one.started for one in ended),
        "finished": array_literal(one.finished for one in ended),
        "results": results if any(result is not None for result in results) else [None] * len(ended),
    }


def array_literal(values: Iterable[float | None]) -> str:
    """Return numbers as an array literal."""
    return "{" + ",".join(map(str, values)) + "}"


def _other_records(ended: Sequence[FinishedRun], worker_id: int) -> dict[str, Any]:
    return {
        "worker_id": worker_id,
        "ids": [one.claim.job_id for one in ended],
        "ended": json.dumps([as_record(one) for one in ended], ensure_ascii=False),
    }
