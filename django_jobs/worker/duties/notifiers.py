"""How an idle worker is woken: LISTEN on PostgreSQL, a look at the file's version on SQLite, else by polling.

A doorbell is an economy. Whatever it misses, the claimer's poll finds.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from django.db import Error as DatabaseError
from django.db import connections

from ...store.dialects.postgresql.jobs import CHANNEL, SCHEDULERS_CHANNEL
from ...store.notify import FAST_POLL_SECONDS

logger = logging.getLogger("django_jobs.worker")

OnNotify = Callable[[float], None]
"""Called with how many seconds the worker is to stay awake."""


OnScheduleChange = Callable[[], None]
"""Called where schedules have changed."""


class Notifier(Protocol):
    """``step`` waits for a ring, passes it on and returns the seconds until it wants to wait again."""

    is_listening: bool
    """True while whatever is enqueued will be heard of."""
    uses_connection: bool
    """True where it needs Django's connection of its thread."""

    @property
    def is_listening_for_schedules(self) -> bool:
        """True while every change of a schedule will be heard of."""

    def step(self) -> float | None:
        """Wait once; raises a database error where the bell is out of order."""


class PollingOnly:
    """No doorbell: workers poll."""

    is_listening = False
    is_listening_for_schedules = False
    uses_connection = False

    def step(self) -> float | None:
        """End the loop at once."""
        return None


class PostgresNotifier:
    """PostgreSQL's LISTEN, on a psycopg connection of its own that does nothing else."""

    WAIT_SECONDS = 1.0
    uses_connection = False

    def __init__(
        self,
        ring: OnNotify,
        on_schedule_change: OnScheduleChange,
        *,
        using: str,
        queues: frozenset[str] | None,
    ) -> None:
        self.is_listening = False
        self._on_notify = ring
        self._on_schedule_change = on_schedule_change
        self._using = using
        self._queues = queues
        self._connection: Any = None

    @property
    def is_listening_for_schedules(self) -> bool:
        """True while it listens."""
        return self.is_listening

    def step(self) -> float | None:
        """Wait up to a second for notifications and ring for those of served queues."""
        import psycopg

        try:
            if self._connection is None:
                self._connection = psycopg.connect(
                    **connections[self._using].get_connection_params(), autocommit=True
                )
                self._connection.execute(f"LISTEN {CHANNEL}")
                self._connection.execute(f"LISTEN {SCHEDULERS_CHANNEL}")
                self.is_listening = True
                self._on_notify(FAST_POLL_SECONDS)
                self._on_schedule_change()
            for heard in self._connection.notifies(timeout=self.WAIT_SECONDS, stop_after=1):
                if heard.channel == SCHEDULERS_CHANNEL:
                    self._on_schedule_change()
                elif self._queues is None or heard.payload in self._queues:
                    self._on_notify(FAST_POLL_SECONDS)
        except psycopg.Error as error:
            self._close()
            raise DatabaseError(f"LISTEN: {error}") from error
        return 0

    def _close(self) -> None:
        self.is_listening = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SqliteNotifier:
    """SQLite's ``PRAGMA data_version``: it changes when another connection has committed, and costs microseconds."""

    INTERVAL_SECONDS = 0.02
    is_listening_for_schedules = False
    uses_connection = True

    def __init__(self, ring: OnNotify, *, using: str) -> None:
        self.is_listening = True
        self._on_notify = ring
        self._using = using
        self._seen: int | None = None

    def step(self) -> float | None:
        """Ring where anything was committed since the last look."""
        with connections[self._using].cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        if version != self._seen:
            self._seen = version
            self._on_notify(0)
        return self.INTERVAL_SECONDS


def create_notifier(
    ring: OnNotify,
    *,
    on_schedule_change: OnScheduleChange,
    using: str,
    queues: frozenset[str] | None,
    wanted: bool,
) -> Notifier:
    """Return the doorbell of the jobs' database; ``wanted`` False (WORKER["NOTIFY"]) or no psycopg 3: none."""
    vendor = connections[using].vendor
    if vendor == "sqlite":
        return SqliteNotifier(ring, using=using)
    if vendor == "postgresql" and wanted:
        try:
            import psycopg  # noqa: F401 - its notifies(timeout=) is what the bell is made of
        except ImportError:
            logger.info("psycopg 3 is not installed: idle workers poll instead of LISTEN")
        else:
            return PostgresNotifier(ring, on_schedule_change, using=using, queues=queues)
    return PollingOnly()
