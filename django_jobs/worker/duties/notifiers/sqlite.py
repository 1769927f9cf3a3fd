"""Wake an idle worker by the writes to the file of a SQLite database."""

from __future__ import annotations

import logging
import math
import time
from contextlib import suppress
from typing import Any

from django.db import connections

from ....store.dialects.sqlite.data_version import data_version, written_files
from ...execution.runtime import WorkerContext
from ...system.file_writes import FileWrites
from ...threads.wake import SocketWake

logger = logging.getLogger("django_jobs.worker")


class SqliteNotifier(SocketWake):
    """SQLite's ``PRAGMA data_version``, which changes when another connection has committed.

    It is read after a write to the file, and again after growing pauses: a transaction is written, then synced, and
    only then visible. Where the system does not tell of writes it is read at an interval.
    """

    is_listening = True
    is_listening_for_schedules = False
    INTERVAL_SECONDS = 0.02
    FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.001, 1.0
    REPORT_INTERVAL_SECONDS = 0.005
    """While others commit all the time, they are reported this often."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__()
        self._events = context.events
        self._using = context.using
        self._driver: Any = None
        self._last_version: int | None = None
        self._checked_at = self._reported_at = self._deaf_until = 0.0
        self._check_at, self._pause = 0.0, self.FIRST_PAUSE_SECONDS
        self._writes: FileWrites | None = None
        self._is_told = False
        try:
            self._writes = FileWrites()
        except OSError as error:
            logger.debug("writes to the database's file are not told, it is looked at all the time: %s", error)

    def listen(self) -> None:
        """Watch the files that are there now: SQLite makes one anew after the last connection was closed."""
        connection = connections[self._using]
        connection.ensure_connection()
        if connection.connection is not self._driver:
            # Its versions cannot be compared with those of the last.
            self._driver, self._last_version = connection.connection, None
        paths = written_files(connection)
        self._is_told = self._writes is not None and 0 < self._writes.watch(paths) == len(paths)
        if not self._is_told:
            self._check_at = min(self._check_at, time.monotonic() + self.INTERVAL_SECONDS)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until a commit was reported, until set, or for ``timeout`` seconds."""
        ends_at = time.monotonic() + (timeout or 0)
        while not self.is_set and (now := time.monotonic()) < ends_at:
            if now >= self._check_at:
                self._check(now)
                continue
            told_by = self._writes.fileno() if self._writes is not None and now >= self._deaf_until else None
            if self.wait_for(told_by, min(self._check_at, ends_at) - now):
                self._after_write()
        return True

    def close(self) -> None:
        """Watch no more."""
        super().close()
        if self._writes is not None:
            self._writes.close()

    def _after_write(self) -> None:
        """Check soon, and do not listen until then: a large transaction is many writes."""
        if self._writes is not None:
            self._writes.take()
        self._pause = self.FIRST_PAUSE_SECONDS
        self._check_at = self._deaf_until = max(
            self._checked_at + self.FIRST_PAUSE_SECONDS, self._reported_at + self.REPORT_INTERVAL_SECONDS
        )

    def _check(self, now: float) -> None:
        """Report a commit; choose when to check again."""
        self._checked_at = now
        version = self._last_version
        with suppress(Exception):  # of the driver; the statement of the next step will tell
            version = data_version(connections[self._using])
        if version != self._last_version:
            self._last_version, self._reported_at, self._pause = version, now, self.FIRST_PAUSE_SECONDS
            self._events.work_enqueued(0)
        if not self._is_told:
            self._check_at = now + self.INTERVAL_SECONDS
        elif self._pause > self.MAX_PAUSE_SECONDS:
            self._check_at = math.inf
        else:
            self._check_at, self._pause = now + self._pause, 2 * self._pause
