"""Jobs on SQLite: an UPDATE claims, because there is one writer at a time; a finish writes row by row, in C."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
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
    claim_order,
    execute_snapshot,
)
from ..shared.finish_inserts import INSERT_ATTEMPT, INSERT_DEAD_LETTER
from .insert import insert_statement
from .statements import (
    CLAIM_FROM_HEAD,
    CLAIM_FROM_POSITION,
    FINISH_JOB,
    FINISH_JOB_SUCCEEDED,
    OWNED,
    PROMOTE,
    QUEUE_SNAPSHOT,
)
from .texts import as_modifier, as_text, epoch_text
from .transactions import write_transaction


class SQLiteJobs:
    """Statements about jobs on SQLite 3.37 and later."""

    def insert_jobs(
        self,
        connection: BaseDatabaseWrapper,
        new: NewJob,
        arguments: Sequence[str],
        *,
        metadata: Sequence[str] = (),
        notify: bool = False,
    ) -> list[Inserted]:
        """Insert all of ``arguments`` in one statement."""
        statement = insert_statement(new, arguments, metadata)
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(statement.text, statement.values)
            return statement.inserted(cursor.fetchall())

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Skip through the index: one step a lane, however many jobs are in it.

        What it reads is measured by this thread's processor time, in which no lock is waited for.
        """
        started = time.thread_time()
        snapshot = execute_snapshot(connection, QUEUE_SNAPSHOT, queues)
        return snapshot._replace(reading_seconds=time.thread_time() - started)

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
        """Claim in one statement."""
        values: dict[str, Any] = {"worker_id": worker_id, "limit": limit, "capped": capped, **lane._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(CLAIM_FROM_HEAD if after is None else CLAIM_FROM_POSITION, values)
            rows = cursor.fetchall()
        return sorted(map(Claim._make, rows), key=claim_order)

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``, the instant as SQLite stores it: text, which sorts like the time."""
        return as_text(claim.ready_at), claim.job_id

    def read_positions(self, connection: BaseDatabaseWrapper, lane: Lane, limit: int) -> list[Position]:
        """Return none: one server has all locks."""
        return []

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in one statement."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(PROMOTE, [limit])
            promoted = cursor.fetchall()
        return Promoted(len(promoted), [job_id for job_id, flags in promoted if flags & JobFlag.LIMITED])

    def finish(self, connection: BaseDatabaseWrapper, runs: Sequence[FinishedRun], *, worker_id: int) -> dict[int, int]:
        """Save in one transaction: read which jobs are still claimed, then write them row by row in C."""
        with write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(OWNED, [json.dumps([run.claim.job_id for run in runs]), worker_id])
            rows = cursor.fetchall()
            owned = {(job_id, claim_number): ready_at for job_id, claim_number, ready_at, _ in rows}
            flags = {job_id: bits for job_id, _, _, bits in rows}
            claimed = [run for run in runs if (run.claim.job_id, run.claim.claim_number) in owned]
            for statement, rows in _rows_to_write(claimed, owned, worker_id):
                cursor.executemany(statement, rows)
        return {run.claim.job_id: flags[run.claim.job_id] for run in claimed}


def _rows_to_write(
    claimed: Sequence[FinishedRun], owned: dict[tuple[int, int], Any], worker_id: int
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each statement with the rows it has to write."""
    succeeded, otherwise, attempts, dead_letters = [], [], [], []
    for run in claimed:
        claim, decision = run.claim, run.decision
        started = epoch_text(run.started)
        finished = epoch_text(run.finished)
        if decision.state == "succeeded":
            succeeded.append((decision.result, started, finished, claim.job_id))
            attempts.append(
                (claim.job_id, claim.claim_number, claim.attempt, worker_id, "succeeded")
                + (owned[claim.job_id, claim.claim_number], started, finished, "", "", "")
            )
            continue
        record = as_record(run)
        otherwise.append(
            (record["state"], None, record["given_back"], record["worker_died"])
            + (record["state"] == "scheduled", as_modifier(record["delay"]))
            + (record["name_unknown"], record["keeps_unknown_since"], started)
            + (finished if decision.state in {"dead", "cancelled"} else None, claim.job_id)
        )
        error = (record["error_class"], record["error_message"], record["traceback"])
        if record["outcome"]:
            attempts.append(
                (claim.job_id, claim.claim_number, claim.attempt, worker_id, record["outcome"])
                + (owned[claim.job_id, claim.claim_number], started, finished, *error)
            )
        if record["reason"]:
            dead_letters.append(
                (claim.job_id, claim.name, claim.queue_name, record["reason"], claim.attempt)
                + (*error, record["fingerprint"], finished)
            )
    for statement, rows in (
        (FINISH_JOB_SUCCEEDED, succeeded),
        (FINISH_JOB, otherwise),
        (INSERT_ATTEMPT, attempts),
        (INSERT_DEAD_LETTER, dead_letters),
    ):
        if rows:
            yield statement, rows
