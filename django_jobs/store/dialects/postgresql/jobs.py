"""Jobs on PostgreSQL: every verb one statement, with SKIP LOCKED and data-modifying CTEs.

Values are sent in the statement's text (Django's default), so that each statement is planned for its values: a generic
plan of the claim walks the whole index (engine findings, 21 %).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from ....policy.claim_cursors import Lane
from ....policy.notifications import CHANNEL, write_payload
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
from .insert import INSERT_MANY, INSERT_MANY_APART, NOTIFY, Due, due_of, insert_one
from .prepared import execute_prepared, read_bigint, read_instant
from .statements import (
    CLAIM_FROM_HEAD,
    CLAIM_FROM_POSITION,
    FINISH_OTHERWISE,
    FINISH_SUCCEEDED,
    PROMOTE,
    QUEUE_SNAPSHOT,
)


class PostgreSQLJobs:
    """Statements about jobs on PostgreSQL 14 and later."""

    def insert_jobs(
        self,
        connection: BaseDatabaseWrapper,
        new: NewJob,
        arguments: Sequence[str],
        *,
        metadata: Sequence[str] = (),
        notify: bool = False,
    ) -> list[Inserted]:
        """Insert all of ``arguments`` in one statement; many as one JSON text: an array is escaped in Python."""
        due = due_of(new)
        payload = [CHANNEL, write_payload(new.queue_name, new.priority)] if notify else []
        if len(arguments) == 1:
            return [_insert_one(connection, due, [*new.given, *arguments, *due.values, *payload], notify=notify)]
        with connection.cursor() as cursor:
            statement = due.fill(INSERT_MANY_APART if metadata else INSERT_MANY, notify=NOTIFY if notify else "")
            given = new.given_but_metadata if metadata else new.given
            rows = [f"[{','.join(texts)}]" for texts in (arguments, metadata) if texts]
            cursor.execute(statement, [*given, *due.values, *rows, *payload])
            found, *decided = cursor.fetchone()
        if notify:
            del decided[-1]
        first = due.inserted(0, decided)
        return [Inserted(job_id, *first[1:]) for job_id in sorted(map(int, found.split(",")))]

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Skip through the index: one step a lane, however many jobs are in it."""
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
        """Claim in one statement."""
        values: dict[str, Any] = {"worker_id": worker_id, "limit": limit, "capped": capped, **lane._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with connection.cursor() as cursor:
            cursor.execute(CLAIM_FROM_HEAD if after is None else CLAIM_FROM_POSITION, values)
            rows = cursor.fetchall()
        rows.sort(key=_CLAIM_ORDER)
        return _as_claims(rows)

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``."""
        return claim.ready_at, claim.job_id

    def read_positions(self, connection: BaseDatabaseWrapper, lane: Lane, limit: int) -> list[Position]:
        """Return none: one server has all locks."""
        return []

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(PROMOTE, [limit])
            return Promoted(*cursor.fetchone())

    def finish(self, connection: BaseDatabaseWrapper, runs: Sequence[FinishedRun], *, worker_id: int) -> dict[int, int]:
        """Save successes in one statement, everything else in another."""
        saved: dict[int, int] = {}
        successes = [run for run in runs if is_plain_success(run)]
        with connection.cursor() as cursor:
            if successes:
                cursor.execute(FINISH_SUCCEEDED, _success_arrays(successes, worker_id))
                saved.update(cursor.fetchall())
            if len(successes) < len(runs):
                others = [run for run in runs if not is_plain_success(run)]
                cursor.execute(FINISH_OTHERWISE, _other_records(others, worker_id))
                saved.update(cursor.fetchall())
        return saved


def _insert_one(connection: BaseDatabaseWrapper, due: Due, values: Sequence[Any], *, notify: bool) -> Inserted:
    """Insert one job; one that is due at once, as most are, by a prepared statement if that is possible."""
    statement = insert_one(due, notify=notify)
    if not due.values and (columns := execute_prepared(connection, statement, values)) is not None:
        return due.inserted(read_bigint(columns[0]), [read_instant(columns[1])])
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found, *decided = cursor.fetchone()
    if notify:
        del decided[-1]
    return due.inserted(found, decided)


_CLAIM_ORDER = itemgetter(Claim._fields.index("ready"), Claim._fields.index("job_id"))


def _as_claims(rows: Iterable[tuple[Any, ...]]) -> list[Claim]:
    """Return rows as claims, their instants in seconds. Written out: slices take half as long again."""
    new, m = tuple.__new__, 1e6
    return [
        new(Claim, (i, no, name, queue, rank, run, most, args, meta, made / m, at / m, off and off / m, to / m, *more))
        for i, no, name, queue, rank, run, most, args, meta, made, at, off, to, *more in rows
    ]


def _success_arrays(runs: Sequence[FinishedRun], worker_id: int) -> dict[str, Any]:
    """Return the columns as array literals: joining digits is five times as fast as adapting lists.

    Instants in whole microseconds: Python writes an integer nine times as fast as a float.
    """
    results = [run.decision.result for run in runs]
    return {
        "worker_id": worker_id,
        "ids": array_literal([run.claim.job_id for run in runs]),
        "claim_numbers": array_literal([run.claim.claim_number for run in runs]),
        "started": array_literal([round((run.started or run.finished) * 1e6) for run in runs]),
        "finished": array_literal([round(run.finished * 1e6) for run in runs]),
        "results": results if results.count(None) < len(results) else [],  # unnest fills up with NULL
    }


def array_literal(values: Iterable[int]) -> str:
    """Return numbers as an array literal."""
    return f"{{{str(list(values))[1:-1]}}}"


def _other_records(runs: Sequence[FinishedRun], worker_id: int) -> dict[str, Any]:
    return {
        "worker_id": worker_id,
        "ids": [run.claim.job_id for run in runs],
        "ended": json.dumps([as_record(run) for run in runs], ensure_ascii=False),
    }
