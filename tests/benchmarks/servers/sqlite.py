"""SQLite, as the benchmark needs it: a file on the same disk as the project, in WAL mode."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

BUSY_SECONDS = 30


class SQLiteServer:
    """A database file."""

    def __init__(self, name: str) -> None:
        self._path = Path(name)

    def create(self) -> None:
        self.drop()
        self._path.parent.mkdir(exist_ok=True)
        with closing(self.connect()) as connection:
            connection.execute("PRAGMA journal_mode = WAL")

    def drop(self) -> None:
        for ending in ("", "-wal", "-shm", "-journal"):
            self._path.with_name(self._path.name + ending).unlink(missing_ok=True)

    def connect(self) -> Any:
        return sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    def version(self) -> str:
        return f"SQLite {sqlite3.sqlite_version}"

    def min_age(self, *tables: str) -> None:
        with closing(self.connect()) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    @contextmanager
    def hold_snapshot(self) -> Iterator[None]:
        with closing(self.connect()) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM django_jobs_worker").fetchall()
            yield
            connection.execute("ROLLBACK")

    def statements(self) -> int | None:
        return None

    def session_tasks(self) -> list[int] | None:
        """Return None: SQLite works in the process that asks."""
        return None

    def instant(self, seconds: str) -> str:
        return f"strftime('%Y-%m-%d %H:%M:%f', 'now', ({seconds}) || ' seconds')"
