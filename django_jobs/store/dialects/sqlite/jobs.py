"""SQLite: one writer at a time, so every write begins IMMEDIATE and waits its turn in this process first.

Without ``BEGIN IMMEDIATE`` four processes met 1,137 "database is locked" in 800 jobs, with it none.
SQLite's own busy handler sleeps up to 100 ms between looks; a lock in the process costs nothing.
"""

from __future__ import annotations

import json
import sqlite3
import threading
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
    claim_order,
    from_epoch,
    read_attempt_counts,
)
from .statements import (
    CLAIM_FROM_HEAD,
    CLAIM_FROM_POSITION,
    COUNT,
    FINISH_JOB,
    FINISH_JOB_SUCCEEDED,
    INSERT_ATTEMPT,
    INSERT_DEAD_LETTER,
    INSERT_JOBS,
    INSERT_TICKS,
    OWNED,
    PROMOTE,
    QUEUE_SNAPSHOT,
    SET_SCHEDULE_TIMES,
)

if TYPE_CHECKING:
    from django.db import Error as DatabaseError
    from django.db.backends.base.base import BaseDatabaseWrapper

BUSY_SECONDS = 30
_ROWS_PER_STATEMENT = 1000


_write_locks: dict[str, threading.RLock] = {}
_write_locks_guard = threading.Lock()


class SQLite:
    """The dialect of SQLite 3.37 and later, in WAL mode."""

    supports_notify = False

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Switch the file to WAL, wait long for other writers, begin every transaction IMMEDIATE.

        In WAL mode ``synchronous=NORMAL`` may lose the last commits when the power goes, never the
        file: right for claims. A later durable commit of the same file syncs them too.
        """
        with connection.cursor() as cursor:
            if not connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's wrapper has it
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.fetchall()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]  # Django's own attribute since 5.1

    @contextmanager
    def write_transaction(self, connection: BaseDatabaseWrapper) -> Iterator[None]:
        """Open a transaction that has the write lock from its first statement, or join the caller's."""
        if connection.in_atomic_block:
            yield
            return
        connection.ensure_connection()
        mode = connection.transaction_mode  # type: ignore[attr-defined]  # Django's own attribute since 5.1
        with _write_lock(connection):
            connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]  # see above
            try:
                with transaction.atomic(using=connection.alias):
                    yield
            finally:
                connection.transaction_mode = mode  # type: ignore[attr-defined]  # see above

    def now(self, connection: BaseDatabaseWrapper) -> datetime:
        """Return the database's time, which is this host's."""
        return datetime.now(UTC)

    def insert_jobs(
        self, connection: BaseDatabaseWrapper, new: NewJob, arguments: Sequence[str]
    ) -> list[Inserted]:
        """Insert all of ``arguments`` in one statement."""
        values = [
            *new[:5],
            _as_text(new.run_after),
            _as_modifier(new.delay_seconds),
            new.blocked,
            new.flags,
            json.dumps(arguments, ensure_ascii=False),
        ]
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(INSERT_JOBS, values)
            rows = sorted(cursor.fetchall())
        return [
            Inserted(job_id, state, as_instant(enqueued), as_instant_or_none(due), as_instant_or_none(ready))
            for job_id, state, enqueued, due, ready in rows
        ]

    def read_snapshot(self, connection: BaseDatabaseWrapper, queues: Sequence[str] | None) -> QueueSnapshot:
        """Read the lines by skipping through the index."""
        with connection.cursor() as cursor:
            cursor.execute(QUEUE_SNAPSHOT)
            rows = cursor.fetchall()
        now, next_due, next_admission = rows[0][:3]
        lines = [Lane(*row[3:5]) for row in rows if row[3] is not None]
        capped = frozenset(row[3] for row in rows if row[5])
        return QueueSnapshot(
            as_instant(now),
            as_instant_or_none(next_due),
            [line for line in lines if queues is None or line.queue_name in queues],
            as_instant_or_none(next_admission),
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
        """Claim in one statement."""
        values: dict[str, Any] = {"worker_id": worker_id, "limit": limit, "capped": capped, **line._asdict()}
        if after is not None:
            values["ready_at"], values["job_id"] = after
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(CLAIM_FROM_HEAD if after is None else CLAIM_FROM_POSITION, values)
            rows = cursor.fetchall()
        return sorted(map(Claim._make, rows), key=claim_order)

    def position(self, connection: BaseDatabaseWrapper, claim: Claim) -> Position:
        """Return ``(ready_at, id)``, the instant as SQLite stores it: text, which sorts like the time."""
        return _as_text(claim.ready_at), claim.job_id

    def promote(self, connection: BaseDatabaseWrapper, limit: int) -> Promoted:
        """Promote in one statement."""
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(PROMOTE, [limit])
            promoted = cursor.fetchall()
        return Promoted(len(promoted), [job_id for job_id, flags in promoted if flags & JobFlag.LIMITED])

    def finish(
        self, connection: BaseDatabaseWrapper, ended: Sequence[FinishedRun], *, worker_id: int
    ) -> dict[int, int]:
        """Save in one transaction: see which claims still stand, then write them row by row in C."""
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.execute(OWNED, [json.dumps([one.claim.job_id for one in ended]), worker_id])
            rows = cursor.fetchall()
            owned = {(job_id, claim_number): ready_at for job_id, claim_number, ready_at, _ in rows}
            flags = {job_id: bits for job_id, _, _, bits in rows}
            standing = [one for one in ended if (one.claim.job_id, one.claim.claim_number) in owned]
            for statement, rows in _rows_to_write(standing, owned, worker_id):
                cursor.executemany(statement, rows)
        return {one.claim.job_id: flags[one.claim.job_id] for one in standing}

    def count_attempts(self, connection: BaseDatabaseWrapper, *, above: int, upto: int) -> list[AttemptCount]:
        """Count; SQLite's own instants are milliseconds, so that a wait of less is none or one of them."""
        return read_attempt_counts(connection, COUNT, above=above, upto=upto)

    def insert_ticks(self, connection: BaseDatabaseWrapper, ticks: Sequence[NewTick]) -> None:
        """Insert them row by row in C."""
        rows = [(one[0], _django_text(one.due_at), _django_text(one.decided_at), *one[3:]) for one in ticks]
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.executemany(INSERT_TICKS, rows)

    def set_schedule_times(self, connection: BaseDatabaseWrapper, looks: Sequence[ScheduleTimes]) -> None:
        """Write them row by row in C."""
        rows = [(_django_text(due), _django_text(look), schedule_id) for schedule_id, due, look in looks]
        with self.write_transaction(connection), connection.cursor() as cursor:
            cursor.executemany(SET_SCHEDULE_TIMES, rows)

    def is_conflict(self, error: DatabaseError) -> bool:
        """Never: there is one writer, and a worker's transactions begin as one."""
        return False

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver; on a closed connection ``total_changes`` raises."""
        try:
            return driver_connection.total_changes >= 0 and not driver_connection.in_transaction
        except sqlite3.ProgrammingError:
            return False

    def notify(self, connection: BaseDatabaseWrapper, queue_name: str) -> None:
        """Do nothing: workers watch the file itself."""

    def notify_schedulers(self, connection: BaseDatabaseWrapper) -> None:
        """Do nothing: schedulers watch the file itself."""


def _rows_to_write(
    standing: Sequence[FinishedRun], owned: dict[tuple[int, int], Any], worker_id: int
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each statement with the rows it has to write."""
    succeeded, otherwise, attempts, letters = [], [], [], []
    for one in standing:
        claim, decision = one.claim, one.decision
        started = _epoch_text(one.started)
        finished = _epoch_text(one.finished)
        if decision.state == "succeeded":
            succeeded.append((decision.result, started, finished, claim.job_id))
            attempts.append(
                (claim.job_id, claim.claim_number, claim.attempt, worker_id, "succeeded")
                + (owned[claim.job_id, claim.claim_number], started, finished, "", "", "")
            )
            continue
        record = as_record(one)
        scheduled = record["state"] == "scheduled"
        otherwise.append(
            (
                record["state"],
                None,
                record["given_back"],
                record["worker_died"],
                scheduled,
                _as_modifier(record["delay"]),
            )
            + (
                record["name_unknown"],
                record["keeps_unknown_since"],
                started,
                finished if decision.state in {"dead", "cancelled"} else None,
                claim.job_id,
            )
        )
        error = (record["error_class"], record["error_message"], record["traceback"])
        if record["outcome"]:
            attempts.append(
                (claim.job_id, claim.claim_number, claim.attempt, worker_id, record["outcome"])
                + (owned[claim.job_id, claim.claim_number], started, finished, *error)
            )
        if record["reason"]:
            letters.append(
                (claim.job_id, claim.name, claim.queue_name, record["reason"], claim.attempt)
                + (*error, record["fingerprint"], finished)
            )
    for statement, rows in (
        (FINISH_JOB_SUCCEEDED, succeeded),
        (FINISH_JOB, otherwise),
        (INSERT_ATTEMPT, attempts),
        (INSERT_DEAD_LETTER, letters),
    ):
        if rows:
            yield statement, rows


def as_instant(value: str | datetime) -> datetime:
    """Return what SQLite gave for an instant as an aware datetime."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC)


def as_instant_or_none(value: str | datetime | None) -> datetime | None:
    """Return what SQLite gave for a nullable instant."""
    return None if value is None else as_instant(value)


def _as_text(value: datetime | None) -> str | None:
    return None if value is None else _naive_text(value.astimezone(UTC).replace(tzinfo=None))


def _epoch_text(seconds: float | None) -> str | None:
    return None if seconds is None else _naive_text(from_epoch(seconds).replace(tzinfo=None))


def _naive_text(value: datetime) -> str:
    """Write an instant as ``strftime`` above does where milliseconds are enough, so that equal times are equal text."""
    text = value.isoformat(sep=" ", timespec="microseconds")
    return text.removesuffix("000")


def _django_text(value: datetime | None) -> str | None:
    """Write an instant as Django does, which compares these columns with values of its own."""
    return None if value is None else str(value.astimezone(UTC).replace(tzinfo=None))


def _as_modifier(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:+.6f}"


def _write_lock(connection: BaseDatabaseWrapper) -> threading.RLock:
    name = str(connection.settings_dict["NAME"])
    with _write_locks_guard:
        return _write_locks.setdefault(name, threading.RLock())
