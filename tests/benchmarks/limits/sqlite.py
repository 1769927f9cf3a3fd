"""The limit on SQLite: one thread, claims with ``synchronous = NORMAL``, finishes with ``FULL``, rows written in C."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from ..queue_names import QUEUE
from ..servers import Server
from .base import POLL_SECONDS, WORKER_ID, Done, Row

NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
DROP_TABLES = "DROP TABLE IF EXISTS limit_job; DROP TABLE IF EXISTS limit_attempt;"
TABLES = """
CREATE TABLE limit_job (
    id integer PRIMARY KEY AUTOINCREMENT,
    name text NOT NULL, queue_name text NOT NULL, priority smallint NOT NULL, state text NOT NULL,
    arguments text NOT NULL, attempt smallint NOT NULL DEFAULT 0, claim_number int NOT NULL DEFAULT 0,
    worker_id bigint, enqueued_at datetime NOT NULL, run_after datetime, ready_at datetime,
    started_at datetime, finished_at datetime
);
CREATE INDEX limit_ready ON limit_job (queue_name, priority, ready_at, id) WHERE state = 'ready';
CREATE INDEX limit_scheduled ON limit_job (run_after, id) WHERE state = 'scheduled';
CREATE INDEX limit_running ON limit_job (id) WHERE state = 'running';
CREATE TABLE limit_attempt (
    id integer PRIMARY KEY AUTOINCREMENT,
    job_id bigint NOT NULL, claim_number int NOT NULL, worker_id bigint, outcome text NOT NULL,
    ready_at datetime, started_at datetime, finished_at datetime NOT NULL,
    UNIQUE (job_id, claim_number)
);
"""
INSERT = f"""
INSERT INTO limit_job (name, queue_name, priority, state, arguments, enqueued_at, ready_at)
VALUES ('noop', '{QUEUE}', 0, 'ready', ?, {NOW}, {NOW})
"""
CLAIM = f"""
UPDATE limit_job SET state = 'running', attempt = attempt + 1, claim_number = claim_number + 1,
    worker_id = {WORKER_ID}, started_at = {NOW}
WHERE id IN (
    SELECT id FROM limit_job WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0 {{behind}}
    ORDER BY ready_at, id LIMIT {{number}}
)
RETURNING id, claim_number, ready_at, arguments
"""
DELETE = f"""
DELETE FROM limit_job
WHERE id IN (
    SELECT id FROM limit_job WHERE state = 'ready' AND queue_name = '{QUEUE}' AND priority = 0
    ORDER BY ready_at, id LIMIT {{number}}
)
RETURNING id, claim_number + 1, ready_at, arguments
"""
BEHIND = "AND (ready_at, id) > (?, ?)"
FINISH = f"""
UPDATE limit_job SET state = 'succeeded', started_at = ?, finished_at = ?
WHERE id = ? AND claim_number = ? AND state = 'running' AND worker_id = {WORKER_ID}
"""
RECORD = f"""
INSERT INTO limit_attempt (job_id, claim_number, worker_id, outcome, ready_at, started_at, finished_at)
VALUES (?, ?, {WORKER_ID}, 'succeeded', ?, ?, ?)
"""
DELAYS = """
SELECT (julianday(attempt.started_at) - julianday(job.enqueued_at)) * 86400
FROM limit_attempt AS attempt JOIN limit_job AS job ON job.id = attempt.job_id
"""


class SQLiteLimit:
    """A producer, a claimer and a finisher, each a connection; the last two take turns in one thread."""

    pipelined = False

    def __init__(self, server: Server, *, makes_tables: bool) -> None:
        self._producer = server.connect()
        self._claiming = server.connect()
        self._finishing = server.connect()
        if makes_tables:
            self._producer.executescript(DROP_TABLES + TABLES)
        self._claiming.execute("PRAGMA synchronous = NORMAL")
        self._version = 0

    def insert(self, arguments: str) -> None:
        self._producer.execute(INSERT, [arguments])

    def insert_many(self, arguments: Sequence[str]) -> None:
        self._producer.execute("BEGIN IMMEDIATE")
        self._producer.executemany(INSERT, [(one,) for one in arguments])
        self._producer.execute("COMMIT")

    def claim(self, after: Row | None, number: int) -> list[Row]:
        rows = self._claiming.execute(
            CLAIM.format(behind=BEHIND if after else "", number=number),
            [after.ready_at, after.job_id] if after else [],
        ).fetchall()
        return _in_order(rows)

    def claim_by_deleting(self, number: int) -> list[Row]:
        return _in_order(self._finishing.execute(DELETE.format(number=number)).fetchall())

    def finish(self, done: Sequence[Done]) -> None:
        stamps = [(_instant(one.started), _instant(one.finished)) for one in done]
        pairs = list(zip(done, stamps, strict=True))
        self._finishing.execute("BEGIN IMMEDIATE")
        cursor = self._finishing.executemany(
            FINISH, [(*stamp, one.row.job_id, one.row.claim_number) for one, stamp in pairs]
        )
        assert cursor.rowcount == len(done)
        self._finishing.executemany(
            RECORD,
            [(one.row.job_id, one.row.claim_number, one.row.ready_at, *stamp) for one, stamp in pairs],
        )
        self._finishing.execute("COMMIT")

    def wait(self) -> None:
        """Watch the version of the file, which changes with each commit of another connection."""
        while (version := self._claiming.execute("PRAGMA data_version").fetchone()[0]) == self._version:
            time.sleep(POLL_SECONDS)
        self._version = version

    def clock_offset(self) -> float:
        return 0.0

    def delays(self) -> list[float]:
        return [delay for (delay,) in self._producer.execute(DELAYS).fetchall()]

    def close(self) -> None:
        for connection in (self._claiming, self._finishing):
            connection.close()
        self._producer.executescript(DROP_TABLES)
        self._producer.close()


def _in_order(rows: Iterable[tuple[Any, ...]]) -> list[Row]:
    return sorted(map(Row._make, rows), key=lambda row: (row.ready_at, row.job_id))


def _instant(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(" ")
