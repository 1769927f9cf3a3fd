"""The database's clock: read it, follow it in a worker, or use it in a query (``DatabaseNow``)."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from .dialects import open_dialect
from .dialects.shared.now import DatabaseNow

__all__ = ["DatabaseClock", "DatabaseNow", "database_now"]


def database_now(*, using: str | None = None) -> datetime:
    """Return the database's time, aware. One statement."""
    dialect, connection = open_dialect(using)
    return dialect.now(connection)


class DatabaseClock:
    """The database's time between two statements: its last answer plus the time of this host's monotonic clock.

    For timestamps only. Whether something is due, expired or stale is decided inside statements.
    """

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def set(self, database_time: datetime, *, asked_at: float | None = None) -> None:
        """Set the time that the database has just returned.

        It was that time at some moment between ``asked_at`` (monotonic seconds; None: now) and now. If the answer took
        long, because of a lock or the network, the clock moves no further than this proves it wrong.
        """
        seconds, now = database_time.timestamp(), time.monotonic()
        earliest, latest = seconds - now, seconds - (now if asked_at is None else asked_at)
        self._offset = min(max(self._offset, earliest), latest)

    def seconds(self) -> float:
        """Return the seconds since the epoch by the database's clock, in whole microseconds.

        Python and a database round what is between two of them differently.
        """
        return int((time.monotonic() + self._offset) * 1_000_000) / 1_000_000

    def now(self) -> datetime:
        """Return the instant by the database's clock."""
        return datetime.fromtimestamp(self.seconds(), UTC)
