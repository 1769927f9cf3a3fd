"""The limit on PostgreSQL: claim and finish are a statement each, on two connections, arrays as text."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from ..queue_names import QUEUE
from ..servers import Server
from .base import IDLE_SECONDS, WORKER_ID, Done, Row

TABLES = """
DROP TABLE IF EXISTS limit_job, limit_attempt;
CREATE TABLE limit_job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL, queue_name text NOT NULL, priority smallint NOT NULL, state text NOT NULL,
    arguments jsonb NOT NULL, attempt smallint NOT NULL DEFAULT 0, claim_number int NOT NULL DEFAULT 0,
    worker_id bigint, enqueued_at timestamptz NOT NULL, run_after timestamptz, ready_at timestamptz,
    started_at timestamptz, finished_at timestamptz
);
CREATE INDEX limit_ready ON limit_job (queue_name, priority, ready_at, id) WHERE state = 'ready';
CREATE INDEX limit_scheduled ON limit_job (run_after, id) WHERE state = 'scheduled';
CREATE INDEX limit_running ON limit_job (id) WHERE state = 'running';
CREATE TABLE limit_attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id bigint NOT NULL, claim_number int NOT NULL, worker_id bigint, outcome text NOT NULL,
    ready_at timestamptz, started_at timestamptz, finished_at timestamptz NOT NULL,
    UNIQUE (job_id, claim_number)
);
"""
INSERT = f"""
INSERT INTO limit_job (name, queue_name, priority, state, arguments, enqueued_at, ready_at)
VALUES ('noop', '{QUEUE}', 0, 'ready', %s, statement_timestamp(), statement_timestamp()) RETURNING id
"""
INSERT_AND_NOTIFY = f"WITH job AS ({INSERT}) SELECT id, pg_notify('limit_job', '') FROM job"
INSERT_MANY = f"""
INSERT INTO limit_job (name, queue_name, priority, state, arguments, enqueued_at, ready_at)
SELECT 'noop', '{QUEUE}', 0, 'ready', given::jsonb, statement_timestamp(), statement_timestamp()
FROM unnest(%s::text[]) AS given
RETURNING id
"""
CLAIM = f"""
UPDATE limit_job SET state = 'running', attempt = attempt + 1, claim_number = claim_number + 1,
    worker_id = {WORKER_ID}, started_at = statement_timestamp()
WHERE id = ANY (ARRAY(
    SELECT id FROM limit_job WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0 {{behind}}
    ORDER BY ready_at, id LIMIT {{number}} FOR UPDATE SKIP LOCKED
))
RETURNING id, claim_number, ready_at, arguments::text
"""
DELETE = f"""
DELETE FROM limit_job
WHERE id = ANY (ARRAY(
    SELECT id FROM limit_job WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0
    ORDER BY ready_at, id LIMIT {{number}} FOR UPDATE SKIP LOCKED
))
RETURNING id, claim_number + 1, ready_at, arguments::text
"""
# The guards are compared with columns, not constants: statistics that know of no running job would have the
# planner expect one row and scan the arrays for each.
FINISH = f"""
WITH done AS MATERIALIZED (
    SELECT *, 'running' AS state, {WORKER_ID}::bigint AS worker_id
    FROM unnest(%(ids)s::bigint[], %(claim_numbers)s::int[], %(started)s::float8[], %(finished)s::float8[])
        AS done (id, claim_number, started, finished)
), saved AS (
    UPDATE limit_job AS job
    SET state = 'succeeded', started_at = to_timestamp(done.started), finished_at = to_timestamp(done.finished)
    FROM done
    WHERE job.id = done.id AND job.id = ANY (%(ids)s::bigint[]) AND job.state = done.state
      AND job.worker_id = done.worker_id AND job.claim_number = done.claim_number
    RETURNING job.id, job.claim_number, job.ready_at, job.started_at, job.finished_at
)
INSERT INTO limit_attempt (job_id, claim_number, worker_id, outcome, ready_at, started_at, finished_at)
SELECT id, claim_number, {WORKER_ID}, 'succeeded', ready_at, started_at, finished_at FROM saved
"""
DELAYS = """
SELECT extract(epoch FROM attempt.started_at - job.enqueued_at)::float8
FROM limit_attempt AS attempt JOIN limit_job AS job ON job.id = attempt.job_id
"""


class PostgreSQLLimit:
    """A producer, a claimer that need not be durable, a finisher and a listener, each a connection."""

    pipelined = True

    def __init__(self, server: Server, *, makes_tables: bool) -> None:
        self._producer = server.connect()
        self._claiming = server.connect()
        self._finishing = server.connect()
        self._listening: Any = None
        self._server = server
        if makes_tables:
            self._producer.execute(TABLES)
        self._claiming.execute("SET synchronous_commit = off")

    def insert(self, arguments: str) -> None:
        statement = INSERT_AND_NOTIFY if self._listening else INSERT
        self._producer.execute(statement, [arguments]).fetchone()

    def insert_many(self, arguments: Sequence[str]) -> None:
        self._producer.execute(INSERT_MANY, [list(arguments)]).fetchall()

    def claim(self, after: Row | None, number: int) -> list[Row]:
        # Not prepared: a generic plan of the claim would walk the whole index.
        behind = "AND (ready_at, id) > (%s, %s)" if after else ""
        rows = self._claiming.execute(
            CLAIM.format(behind=behind, number=number),
            [after.ready_at, after.job_id] if after else None,
            prepare=False,
        ).fetchall()
        return _in_order(rows)

    def claim_by_deleting(self, number: int) -> list[Row]:
        rows = self._finishing.execute(DELETE.format(number=number), prepare=False).fetchall()
        return _in_order(rows)

    def finish(self, done: Sequence[Done]) -> None:
        cursor = self._finishing.execute(
            FINISH,
            {
                "ids": _array(one.row.job_id for one in done),
                "claim_numbers": _array(one.row.claim_number for one in done),
                "started": _array(one.started for one in done),
                "finished": _array(one.finished for one in done),
            },
            prepare=False,
        )
        assert cursor.rowcount == len(done)

    def wait(self) -> None:
        if self._listening is None:
            self._listening = self._server.connect()
            self._listening.execute("LISTEN limit_job")
            return
        for _ in self._listening.notifies(timeout=IDLE_SECONDS, stop_after=1):
            pass

    def clock_offset(self) -> float:
        before = time.time()
        (now,) = self._finishing.execute("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
        return now - (before + time.time()) / 2

    def delays(self) -> list[float]:
        return [delay for (delay,) in self._producer.execute(DELAYS).fetchall()]

    def close(self) -> None:
        self._producer.execute("DROP TABLE limit_job, limit_attempt")
        for connection in (self._producer, self._claiming, self._finishing, self._listening):
            if connection is not None:
                connection.close()


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    return sorted(map(Row._make, rows), key=lambda row: (row.ready_at, row.job_id))


def _array(values: Iterable[float]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
