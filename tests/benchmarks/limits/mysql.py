"""The limit on MariaDB and MySQL: lock and read, take, finish, record, many rows a statement, on two connections.

Durability cannot be chosen by session here: claims wait for the disk like everything else.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from ..queue_names import QUEUE
from ..servers import Server
from .base import POLL_SECONDS, WORKER_ID, Done, Row

DROP_TABLES = "DROP TABLE IF EXISTS limit_job, limit_attempt"
JOB_TABLE = """
CREATE TABLE limit_job (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    name varchar(200) NOT NULL, queue_name varchar(100) NOT NULL, priority smallint NOT NULL,
    state varchar(10) NOT NULL, arguments json NOT NULL, attempt smallint NOT NULL DEFAULT 0,
    claim_number int NOT NULL DEFAULT 0, worker_id bigint, enqueued_at datetime(6) NOT NULL,
    run_after datetime(6), ready_at datetime(6), started_at datetime(6), finished_at datetime(6),
    INDEX limit_ready (state, queue_name, priority, ready_at, id),
    INDEX limit_scheduled (run_after, id),
    INDEX limit_running (state, id)
)
"""
ATTEMPT_TABLE = """
CREATE TABLE limit_attempt (
    id bigint AUTO_INCREMENT PRIMARY KEY,
    job_id bigint NOT NULL, claim_number int NOT NULL, worker_id bigint, outcome varchar(10) NOT NULL,
    ready_at datetime(6), started_at datetime(6), finished_at datetime(6) NOT NULL,
    UNIQUE (job_id, claim_number)
)
"""
INSERT = "INSERT INTO limit_job (name, queue_name, priority, state, arguments, enqueued_at, ready_at) VALUES "
INSERT_ROW = f"('noop', '{QUEUE}', 0, 'ready', %s, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))"
READY = f"""
SELECT id, claim_number + 1, ready_at, arguments FROM limit_job FORCE INDEX (limit_ready)
WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0 {{behind}}
ORDER BY ready_at, id LIMIT {{number}} FOR UPDATE SKIP LOCKED
"""
BEHIND = "AND (ready_at > %s OR (ready_at = %s AND id > %s))"
TAKE = f"""
UPDATE limit_job SET state = 'running', attempt = attempt + 1, claim_number = claim_number + 1,
    worker_id = {WORKER_ID}, started_at = UTC_TIMESTAMP(6)
WHERE id IN %s
"""
DELETE = f"""
DELETE FROM limit_job WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0
ORDER BY ready_at, id LIMIT {{number}} RETURNING id, claim_number + 1, ready_at, arguments
"""
FINISH = f"""
UPDATE limit_job SET state = 'succeeded', finished_at = UTC_TIMESTAMP(6)
WHERE id IN %s AND state = 'running' AND worker_id = {WORKER_ID} AND claim_number = 1
"""
RECORD = """
INSERT INTO limit_attempt (job_id, claim_number, worker_id, outcome, ready_at, started_at, finished_at) VALUES
"""
RECORD_ROW = f"(%s, %s, {WORKER_ID}, 'succeeded', %s, %s, %s)"
DELAYS = """
SELECT TIMESTAMPDIFF(MICROSECOND, job.enqueued_at, attempt.started_at) / 1e6
FROM limit_attempt AS attempt JOIN limit_job AS job ON job.id = attempt.job_id
"""


class MySQLLimit:
    """A producer, a claimer and a finisher, each a connection."""

    pipelined = True

    def __init__(self, server: Server, *, makes_tables: bool) -> None:
        self._producer = server.connect()
        self._claiming = server.connect()
        self._finishing = server.connect()
        for statement in (DROP_TABLES, JOB_TABLE, ATTEMPT_TABLE) if makes_tables else ():
            self._producer.query(statement)

    def insert(self, arguments: str) -> None:
        with self._producer.cursor() as cursor:
            cursor.execute(INSERT + INSERT_ROW, [arguments])

    def insert_many(self, arguments: Sequence[str]) -> None:
        self._producer.begin()
        with self._producer.cursor() as cursor:
            _insert(cursor, INSERT, INSERT_ROW, [(one,) for one in arguments])
        self._producer.commit()

    def claim(self, after: Row | None, number: int) -> list[Row]:
        with self._claiming.cursor() as cursor:
            self._claiming.begin()
            statement = READY.format(behind=BEHIND if after else "", number=number)
            cursor.execute(statement, [after.ready_at, after.ready_at, after.job_id] if after else None)
            rows = list(map(Row._make, cursor.fetchall()))
            if rows:
                cursor.execute(TAKE, [[row.job_id for row in rows]])
            self._claiming.commit()
        return rows

    def claim_by_deleting(self, number: int) -> list[Row] | None:
        """Only MariaDB's DELETE returns what it deletes, and none of the two skips rows that are locked."""
        if "MariaDB" not in self._finishing.get_server_info():
            return None
        with self._finishing.cursor() as cursor:
            cursor.execute(DELETE.format(number=number))
            return list(map(Row._make, cursor.fetchall()))

    def finish(self, done: Sequence[Done]) -> None:
        with self._finishing.cursor() as cursor:
            self._finishing.begin()
            cursor.execute(FINISH, [[one.row.job_id for one in done]])
            assert cursor.rowcount == len(done)
            _insert(
                cursor,
                RECORD,
                RECORD_ROW,
                [
                    (
                        one.row.job_id,
                        one.row.claim_number,
                        one.row.ready_at,
                        _instant(one.started),
                        _instant(one.finished),
                    )
                    for one in done
                ],
            )
            self._finishing.commit()

    def wait(self) -> None:
        time.sleep(POLL_SECONDS)

    def clock_offset(self) -> float:
        before = time.time()
        now = self._fetch("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) / 1e6")[0][0]
        return float(now) - (before + time.time()) / 2

    def delays(self) -> list[float]:
        return [float(delay) for (delay,) in self._fetch(DELAYS)]

    def close(self) -> None:
        self._producer.query(DROP_TABLES)
        for connection in (self._producer, self._claiming, self._finishing):
            connection.close()

    def _fetch(self, statement: str) -> Any:
        with closing(self._finishing.cursor()) as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


def _insert(cursor: Any, head: str, row: str, values: Sequence[tuple[Any, ...]]) -> None:
    """Insert by one statement, as ``executemany`` does only where a row is nothing but placeholders."""
    cursor.execute(head + ", ".join([row] * len(values)), [value for one in values for value in one])


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
