"""Have the engine's statements follow the time of a test that time-machine, freezegun or a patch has moved or stopped.

The engine reads the database's clock, which no such library reaches. From the import of ``django_jobs.testing`` on, an
execute wrapper on each connection compares ``timezone.now()`` with the host's clock, which C reads past all that
patches Python. While they differ, the engine's statements read ``timezone.now()`` instead; those of the project stay
as they are. A clock that was stopped at the present differs at once.
"""

from __future__ import annotations

import ctypes
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.utils import timezone

from ..exceptions import ConfigurationError
from ..store.dialects import ServerClock, clock_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class MovableClock:
    """Execute wrapper of a connection. ``ahead``: how far a drain has moved its time ahead of ``timezone.now()``."""

    def __init__(self, clock: ServerClock) -> None:
        self.ahead = timedelta(0)
        self._clock = clock

    def now(self) -> datetime:
        """Return the time of the drain, aware."""
        return self.round_up(test_now() + self.ahead)

    def round_up(self, instant: datetime) -> datetime:
        """Return the first instant that the database's clock has from this one on."""
        return self._clock.round_up(instant)

    def move_to(self, instant: datetime) -> None:
        """Move the time ahead to an instant, never back."""
        self.ahead += max(instant - self.now(), timedelta(0))

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Execute a statement; at the time of the test if that is not the host's."""
        if isinstance(sql, str) and self._clock.is_read_by(sql) and (self.ahead or _is_moved()):
            sql = self._clock.at(sql, self.now())
        return execute(sql, params, many, context)


def test_now() -> datetime:
    """Return the time of the test, aware, also without USE_TZ."""
    now = timezone.now()
    return timezone.make_aware(now) if timezone.is_naive(now) else now


@contextmanager
def movable_clock(using: str) -> Iterator[MovableClock]:
    """Yield the clock of a connection, to be moved ahead in the block."""
    clock = _clock_on(connections[using])
    if clock is None:
        raise ConfigurationError(f"the database {using!r} cannot hold jobs")
    before = clock.ahead
    try:
        yield clock
    finally:
        clock.ahead = before


def synchronize_clocks() -> None:
    """Have all connections follow the time of the test, open ones and those to come."""
    connection_created.connect(_on_connected, dispatch_uid="django_jobs.testing.synchronize_clocks")
    for connection in connections.all(initialized_only=True):
        _clock_on(connection)


def _on_connected(connection: BaseDatabaseWrapper, **_: Any) -> None:
    _clock_on(connection)


def _clock_on(connection: BaseDatabaseWrapper) -> MovableClock | None:
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, MovableClock):
            return wrapper
    if (of_server := clock_of(connection)) is None:
        return None
    clock = MovableClock(of_server)
    # The first: Django's own context manager removes the last wrapper at its end.
    connection.execute_wrappers.insert(0, clock)
    return clock


def _is_moved() -> bool:
    """Tell whether the time of the test is not the host's."""
    before = _host_now()
    now = test_now()
    return not before <= now <= _host_now() + _RESOLUTION


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def _read_system() -> datetime:
    """Return the host's time as the C library reads it."""
    at = _Timespec()
    _clock_gettime(time.CLOCK_REALTIME, ctypes.byref(at))
    return _EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanoseconds // 1_000)


def _read_sqlite() -> datetime:
    """Return the host's time as SQLite reads it, in milliseconds."""
    with closing(sqlite3.connect(":memory:")) as database:
        (days,) = database.execute("SELECT julianday('now') - julianday('1970-01-01')").fetchone()
    return _EPOCH + timedelta(days=days)


try:
    _clock_gettime = ctypes.CDLL(None).clock_gettime
except (OSError, AttributeError, TypeError):  # Windows
    _host_now, _RESOLUTION = _read_sqlite, timedelta(milliseconds=2)
else:
    _host_now, _RESOLUTION = _read_system, timedelta(0)
