"""SQLite in WAL mode: one writer at a time."""

from __future__ import annotations

import re
import sqlite3
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import Error as DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.batches import BatchStatements
from ..base.clock import ServerClock
from ..base.dependencies import DependencyStatements
from ..base.dialect import Dialect
from ..base.logs import LogStatements
from ..base.stats import StatStatements
from .inbox import SQLiteInbox
from .jobs import SQLiteJobs
from .keys import SQLiteKeys
from .limits import SQLiteLimits
from .schedules import SQLiteSchedules
from .server import SQLiteServer
from .sessions import SQLiteSessions
from .statements import NOW, SINCE_EPOCH, WHOLE_SECONDS
from .transactions import write_transaction

BUSY_SECONDS = 30
REFUSALS = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH}
"""Primary result codes; the others mean that the file is busy, full, read-only, broken or gone."""

_UNMIGRATED = re.compile(r"no such (table|column):|table \S+ has no column named ")


class SQLite(Dialect):
    """SQLite 3.37 and later."""

    __slots__ = ()

    title = "SQLite"
    hears_commits = True
    clock = ServerClock(
        reading="'now'",
        statement=f"SELECT {NOW}",
        literal="'{}'",
        resolution=timedelta(milliseconds=1),
    )
    jobs = SQLiteJobs()
    keys = SQLiteKeys()
    limits = SQLiteLimits()
    batches = BatchStatements(share_lock="")
    dependencies = DependencyStatements()
    schedules = SQLiteSchedules()
    logs = LogStatements()
    inbox = SQLiteInbox()
    # SQLite's own instants are milliseconds: a shorter wait counts as none or as one of them.
    stats = StatStatements(
        minute=f"CAST({WHOLE_SECONDS.format('attempt.finished_at')} AS integer) / 60",
        waited=f"round({SINCE_EPOCH.format('attempt.started_at')} - {SINCE_EPOCH.format('attempt.ready_at')}, 6)",
        ran=f"round({SINCE_EPOCH.format('attempt.finished_at')} - {SINCE_EPOCH.format('attempt.started_at')}, 6)",
        joined="group_concat(CAST({} AS integer))",
    )
    server = SQLiteServer()
    sessions = SQLiteSessions()

    def prepare(self, connection: BaseDatabaseWrapper, *, durable: bool) -> None:
        """Switch the file to WAL, wait long for other writers, begin every transaction IMMEDIATE.

        In WAL mode ``synchronous=NORMAL`` may lose the last commits when the power fails, never the file: right for
        claims. A later durable commit of the same file syncs them too.
        """
        with connection.cursor() as cursor:
            if not connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's wrapper has it
                cursor.execute("PRAGMA journal_mode = WAL")
                cursor.fetchall()
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
            cursor.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.transaction_mode = "IMMEDIATE"  # type: ignore[attr-defined]  # Django's own attribute since 5.1

    def file_identity(self, connection: BaseDatabaseWrapper) -> tuple[int, int] | None:
        """Ask the file system: an open connection goes on with its file when another is moved to the path."""
        if connection.is_in_memory_db():  # type: ignore[attr-defined]  # SQLite's wrapper has it
            return None
        try:
            found = Path(connection.settings_dict["NAME"]).stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def write_transaction(self, connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
        """Open a transaction that has the write lock from its first statement, or join the caller's."""
        return write_transaction(connection)

    def is_conflict(self, error: DatabaseError) -> bool:
        """Return False: there is one writer, and a worker's transactions begin as one."""
        return False

    def is_refusal(self, error: DatabaseError) -> bool:
        """Compare SQLite's primary result code; a missing table or column has the same as malformed JSON."""
        code = getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF
        return code in REFUSALS and not self.is_unmigrated(error)

    def is_unmigrated(self, error: DatabaseError) -> bool:
        """Compare the text: the code of malformed JSON is the same."""
        return _UNMIGRATED.match(str(error)) is not None

    def is_outage(self, error: DatabaseError) -> bool:
        """Compare SQLite's primary result code: the file is gone, or its disk."""
        return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR}

    def is_idle(self, driver_connection: Any) -> bool:
        """Ask the driver; on a closed connection ``total_changes`` raises."""
        try:
            return driver_connection.total_changes >= 0 and not driver_connection.in_transaction
        except sqlite3.ProgrammingError:
            return False
