"""Jobs on MySQL and MariaDB: SKIP LOCKED to claim, JSON_TABLE to write many rows at once.

Neither server returns the rows that an UPDATE changed. So claim and finish lock and read the rows first, then change
them, in one transaction. An index's condition is ignored here, so the ready index begins with the state: without
that, a claim of ten locked a thousand rows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.claim_cursors import Lane
from ....policy.flags import JobFlag
from ..base.jobs import (
    Claim,
    FinishedRun,
    Inserted,
    NewJob,
    Position,
    Promoted,
    QueueSnapshot,
    as_record,
    execute_snapshot,
    is_plain_success,
)
from ..base.transactions import write_transaction
from ..shared.finish_inserts import INSERT_ATTEMPT, INSERT_DEAD_LETTER
from .insert import INSERTED, due_of, insert_of
from .statements import (
    DUE,
    FINISH_OTHERWISE,
    FINISH_SUCCEEDED,
    INSERT_SUCCEEDED_ATTEMPTS,
    OWNED,
    PROMOTE,
    QUEUE_SNAPSHOT,
    READY_FROM_HEAD,
    READY_FROM_POSITION,
    READY_POSITIONS,
    TAKE,
)


class MySQLJobs:
    """Statements about jobs on MySQL 8 and MariaDB 10.6 and later."""

    def insert_jobs(
        self,
        connection: BaseDatabaseWrapper,
        new: NewJob,
        arguments: Sequence[str],
        *,
        metadata: Sequence[str] = (),
        notify: bool = False,
    ) -> list[Inserted]:
        """Insert all in one statement; MySQL, which cannot return rows, needs a second to read them."""
        due, returns = due_of(new), connection.features.can_return_columns_from_insert
        statement, values = insert_of(new, due, arguments, metadata, returns=returns)
        with connection.cursor() as cursor:
            cursor.execute(statement, values)
            if not returns:
                cursor.execute(INSERTED.format(decided=due.decided), [cursor.lastrowid, len(arguments)])
            return due.inserted(cursor.fetchall())

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read the lanes by a loose index scan (DISTINCT over the index's leading columns)."""
        return execute_snapshot(connection, QUEUE_SNAPSHOT, queues)

    def claim(
        self,
        connection: BaseDatabaseWrapper,
        lane: Lane,
        *,
        after: Position | None,
        limit: int,
        worker_id: int,
        capped: bool = False,
    ) -> list[Claim]:
        """Claim in two statements: lock and read what is ready, then take it."""
        values: dict[str, Any] = {"limit": limit, "capped": capped, **lane._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(READY_FROM_HEAD if after is None else READY_FROM_POSITION, values)
            rows = cursor.fetchall()
            if rows:
                cursor.execute(TAKE, [worker_id, rows[0][-1], [row[0] for row in rows]])
        return [Claim._make(row[:-1]) for row in rows]

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``, the instant naive as the driver wants it."""
        return claim.ready_at.replace(tzinfo=None), claim.job_id

    def read_positions(self, connection: BaseDatabaseWrapper, lane: Lane, limit: int) -> list[Position]:
        """Read entries of the ready index, for the nodes of a Galera cluster, which do not see each other's locks."""
        with connection.cursor() as cursor:
            cursor.execute(READY_POSITIONS, [lane.queue_name, lane.priority, limit])
            return list(cursor.fetchall())

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in two statements."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(DUE, [limit])
            due = cursor.fetchall()
            if due:
                cursor.execute(PROMOTE, [[job_id for job_id, _ in due]])
        return Promoted(len(due), [job_id for job_id, flags in due if flags & JobFlag.LIMITED])

    def finish(self, connection: BaseDatabaseWrapper, runs: Sequence[FinishedRun], *, worker_id: int) -> dict[int, int]:
        """Save in one transaction: lock the jobs still claimed, then write them all at once."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(OWNED, [[run.claim.job_id for run in runs], worker_id])
            rows = cursor.fetchall()
            owned = {(job_id, claim_number): ready_at for job_id, claim_number, ready_at, _ in rows}
            flags = {job_id: bits for job_id, _, _, bits in rows}
            claimed = [run for run in runs if (run.claim.job_id, run.claim.claim_number) in owned]
            if claimed:
                self._write(cursor, claimed, owned, worker_id)
        return {run.claim.job_id: flags[run.claim.job_id] for run in claimed}

    def _write(
        self, cursor: Any, claimed: Sequence[FinishedRun], owned: dict[tuple[int, int], Any], worker_id: int
    ) -> None:
        succeeded = [run for run in claimed if is_plain_success(run)]
        if succeeded:
            batch = json.dumps([_success_row(run) for run in succeeded], ensure_ascii=False)
            cursor.execute(FINISH_SUCCEEDED, [batch])
            cursor.execute(INSERT_SUCCEEDED_ATTEMPTS, [worker_id, batch])
        others = [run for run in claimed if not is_plain_success(run)]
        if not others:
            return
        records = [as_record(run) for run in others]
        cursor.execute(FINISH_OTHERWISE, [json.dumps([_job_changes(record) for record in records])])
        attempts = [_attempt_row(record, owned, worker_id) for record in records if record["outcome"]]
        if attempts:
            cursor.executemany(INSERT_ATTEMPT, attempts)
        dead_letters = [
            _dead_letter_row(run, record) for run, record in zip(others, records, strict=True) if record["reason"]
        ]
        if dead_letters:
            cursor.executemany(INSERT_DEAD_LETTER, dead_letters)


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def _naive(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _success_row(run: FinishedRun) -> tuple[Any, ...]:
    claim = run.claim
    started, finished = _micros(run.started), _micros(run.finished)
    return claim.job_id, claim.claim_number, claim.attempt, started, finished, run.decision.result


def _job_changes(record: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: record[name] for name in ("job_id", "state", "given_back", "worker_died")},
        "name_unknown": int(record["name_unknown"]),
        "keeps_unknown_since": int(record["keeps_unknown_since"]),
        "delay": round(record["delay"] * 1_000_000),
        "started": _micros(record["started"]),
        "finished": _micros(record["finished"]),
    }


def _attempt_row(record: dict[str, Any], owned: dict[tuple[int, int], Any], worker_id: int) -> tuple[Any, ...]:
    return (
        record["job_id"],
        record["claim_number"],
        record["number"],
        worker_id,
        record["outcome"],
        owned[record["job_id"], record["claim_number"]],
        _naive(record["started"]),
        _naive(record["finished"]),
        record["error_class"],
        record["error_message"],
        record["traceback"],
    )


def _dead_letter_row(run: FinishedRun, record: dict[str, Any]) -> tuple[Any, ...]:
    return (
        record["job_id"],
        run.claim.name,
        run.claim.queue_name,
        record["reason"],
        record["number"],
        record["error_class"],
        record["error_message"],
        record["traceback"],
        record["fingerprint"],
        _naive(record["finished"]),
    )
