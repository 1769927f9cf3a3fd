"""MySQL and MariaDB: SKIP LOCKED to claim, JSON_TABLE to write many rows at once, no LISTEN.

Neither can return the rows that an UPDATE changed, so claim and finish lock what they will change, then
change it, in one transaction. An index's condition is ignored here, so the ready index begins with
the state: without that, a claim of ten locked a thousand rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction

from ....policy.claim_cursors import Lane
from ....policy.flags import JobFlag
from ....policy.rollup import AttemptCount
from ..base.jobs import (
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
    is_plain_success,
    read_attempt_counts,
)
from ..shared.by_id import force_index_wrapper
from .statements import (
    COUNT,
    DUE,
    FINISH_OTHERWISE,
    FINISH_SUCCEEDED,
    INSERT_ATTEMPTS,
    INSERT_DEAD_LETTERS,
    INSERT_JOBS,
    INSERT_SUCCEEDED_ATTEMPTS,
    INSERT_TICKS,
    INSERTED,
    NEW_ROW,
    NOW,
    OWNED,
    PROMOTE,
    QUEUE_SNAPSHOT,
    READY_FROM_HEAD,
    READY_FROM_POSITION,
    RETURNING,
    SET_SCHEDULE_TIMES,
    TAKE,
)

if TYPE_CHECKING:
    from django.db import Error as DatabaseError
    from django.db.backends.base.base import BaseDatabaseWrapper


CONFLICTS = {1020, 1213}
"""ER_CHECKREAD (MariaDB: the row has changed since it was read) and ER_LOCK_DEADLOCK."""


class MySQL:
    """The dialect of MySQL 8 and MariaDB 10.6 and later."""

    supports_notify = False

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Hold the session to READ COMMITTED: gap locks would make claims wait for enqueues."""
        with connection.cursor() as cursor:
            cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    @contextmanager
    def write_transaction(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Open a transaction, or join the caller's, in which what is marked is looked up by key."""
        with (
            connection.execute_wrapper(force_index_wrapper),
            transaction.atomic(using=connection.alias, savepoint=False),
        ):
            yield

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {NOW}")
            return as_instant(cursor.fetchone()[0])

    def insert_jobs(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: Sequence[str]
    ) -> list[Inserted]:
        """Insert all in one statement; MySQL, which cannot return rows, needs a second to read them."""
        due, due_values = _due(new)
        row = NEW_ROW.format(due=due, state="blocked" if new.blocked else "ready")
        statement = INSERT_JOBS.format(rows=",\n".join([row] * len(arguments)))
        values = [value for one in arguments for value in (*new[:5], one, *due_values * 4, new.flags)]
        with connection.cursor() as cursor:
            if connection.features.can_return_columns_from_insert:
                cursor.execute(statement + RETURNING, values)
            else:
                cursor.execute(statement, values)
                cursor.execute(INSERTED, [cursor.lastrowid, len(arguments)])
            rows = sorted(cursor.fetchall())
        return [
            Inserted(
                job_id, state, as_instant(enqueued), _as_instant_or_none(after), _as_instant_or_none(ready)
            )
            for job_id, state, enqueued, after, ready in rows
        ]

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read the lines by a loose index scan (DISTINCT over the index's leading columns)."""
        with connection.cursor() as cursor:
            cursor.execute(QUEUE_SNAPSHOT)
            rows = cursor.fetchall()
        now, next_due, next_admission = rows[0][:3]
        lines = [Lane(*row[3:5]) for row in rows if row[3] is not None]
        capped = frozenset(row[3] for row in rows if row[5])
        return QueueSnapshot(
            as_instant(now),
            _as_instant_or_none(next_due),
            [line for line in lines if queues is None or line.queue_name in queues],
            _as_instant_or_none(next_admission),
            capped,
        )

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
        """Claim in two statements: lock and read what is ready, then take it."""
        values: dict[str, Any] = {"limit": limit, "capped": capped, **line._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(READY_FROM_HEAD if after is None else READY_FROM_POSITION, values)
            rows = cursor.fetchall()
            if rows:
                cursor.execute(TAKE, [worker_id, rows[0][-1], [row[0] for row in rows]])
        return [Claim._make(row[:-1]) for row in rows]

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``, the instant naive as the driver wants it."""
        return claim.ready_at.replace(tzinfo=None), claim.job_id

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in two statements."""
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(DUE, [limit])
            due = cursor.fetchall()
            if due:
                cursor.execute(PROMOTE, [[job_id for job_id, _ in due]])
        return Promoted(len(due), [job_id for job_id, flags in due if flags & JobFlag.LIMITED])

    def finish(
        self, connection: BaseDatabaseWrapper, ended: Sequence[FinishedRun], *, worker_id: int
    ) -> dict[int, int]:
        """Save in one transaction: lock the claims that still stand, then write them all at once."""
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(OWNED, [[one.claim.job_id for one in ended], worker_id])
            rows = cursor.fetchall()
            owned = {(job_id, claim_number): ready_at for job_id, claim_number, ready_at, _ in rows}
            flags = {job_id: bits for job_id, _, _, bits in rows}
            standing = [one for one in ended if (one.claim.job_id, one.claim.claim_number) in owned]
            if standing:
                self._write(cursor, standing, owned, worker_id)
        return {one.claim.job_id: flags[one.claim.job_id] for one in standing}

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count in microseconds, the resolution of the columns."""
        return read_attempt_counts(connection, COUNT, above=above, upto=upto)

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert all in one statement, sent as one JSON text."""
        rows = [(*one[:6], int(one.is_open), one.requested_by) for one in ticks]
        with connection.cursor() as cursor:
            cursor.execute(INSERT_TICKS, [json.dumps(rows, ensure_ascii=False, default=_naive_text)])

    def set_schedule_times(self, connection: BaseDatabaseWrapper, looks: Sequence[ScheduleTimes]) -> None:
        """Write all in one statement, sent as one JSON text."""
        with connection.cursor() as cursor:
            cursor.execute(SET_SCHEDULE_TIMES, [json.dumps(looks, default=_naive_text)])

    def is_conflict(self, error: DatabaseError) -> bool:
        """Look at the server's error number."""
        return bool(error.args) and error.args[0] in CONFLICTS

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver whether it is open; of a transaction begun by hand it knows nothing."""
        return bool(driver_connection.open)

    def notify(self, connection: BaseDatabaseWrapper, queue_name: str) -> None:
        """Do nothing: there is no way to be woken, workers poll."""

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:
        """Do nothing: schedulers poll."""

    def _write(
        self, cursor: Any, standing: Sequence[FinishedRun], owned: dict[tuple[int, int], Any], worker_id: int
    ) -> None:
        succeeded = [one for one in standing if is_plain_success(one)]
        if succeeded:
            batch = json.dumps([_success_row(one) for one in succeeded], ensure_ascii=False)
            cursor.execute(FINISH_SUCCEEDED, [batch])
            cursor.execute(INSERT_SUCCEEDED_ATTEMPTS, [worker_id, batch])
        others = [one for one in standing if not is_plain_success(one)]
        if not others:
            return
        records = [as_record(one) for one in others]
        cursor.execute(FINISH_OTHERWISE, [json.dumps([_job_changes(record) for record in records])])
        attempts = [_attempt_row(record, owned, worker_id) for record in records if record["outcome"]]
        if attempts:
            cursor.executemany(INSERT_ATTEMPTS, attempts)
        letters = [
            _dead_letter_row(one, record)
            for one, record in zip(others, records, strict=True)
            if record["reason"]
        ]
        if letters:
            cursor.executemany(INSERT_DEAD_LETTERS, letters)


def as_instant(value: datetime) -> datetime:
    """Return the driver's naive UTC datetime as an aware one."""
    return value.replace(tzinfo=UTC)


def _as_instant_or_none(value: datetime | None) -> datetime | None:
    return None if value is None else as_instant(value)


def _due(new: NewJob) -> tuple[str, list[Any]]:
    """Return the expression of the instant from which a new job may run, and its values."""
    if new.run_after is not None:
        return "CAST(%s AS DATETIME(6))", [new.run_after.astimezone(UTC).replace(tzinfo=None)]
    if new.delay_seconds is not None:
        return f"TIMESTAMPADD(MICROSECOND, %s, {NOW})", [round(new.delay_seconds * 1_000_000)]
    return "NULL", []


def _micros(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


def _naive(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)


def _naive_text(value: datetime) -> str:
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ")


def _success_row(ended: FinishedRun) -> tuple[Any, ...]:
    claim = ended.claim
    started, finished = _micros(ended.started), _micros(ended.finished)
    return claim.job_id, claim.claim_number, claim.attempt, started, finished, ended.decision.result


def _job_changes(record: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: record[name] for name in ("job_id", "state", "given_back", "worker_died")},
        "name_unknown": int(record["name_unknown"]),
        "keeps_unknown_since": int(record["keeps_unknown_since"]),
        "delay": round(record["delay"] * 1_000_000),
        "started": _micros(record["started"]),
        "finished": _micros(record["finished"]),
    }


def _attempt_row(
    record: dict[str, Any], owned: dict[tuple[int, int], Any], worker_id: int
) -> tuple[Any, ...]:
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


def _dead_letter_row(ended: FinishedRun, record: dict[str, Any]) -> tuple[Any, ...]:
    return (
        record["job_id"],
        ended.claim.name,
        ended.claim.queue_name,
        record["reason"],
        record["number"],
        record["error_class"],
        record["error_message"],
        record["traceback"],
        record["fingerprint"],
        _naive(record["finished"]),
    )
