"""Wake idle workers: by LISTEN on PostgreSQL, by the file's version on SQLite, else by polling alone.

A notifier only saves time: the claimer's poll finds whatever it misses.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from django.db import Error as DatabaseError
from django.db import connections

from ...store.dialects.postgresql.channels import CHANNEL, SCHEDULERS_CHANNEL
from ...store.notify import FAST_POLL_SECONDS
from ..execution.runtime import WorkerContext
from ..forked_copies import detach_in_copies

logger = logging.getLogger("django_jobs.worker")


class Notifier(Protocol):
    """``step`` waits for a notification, reports it and returns the seconds until the next wait."""

    is_listening: bool
    """True while every enqueue will be noticed."""
    is_listening_for_schedules: bool
    """True while every change of a schedule will be noticed."""
    uses_connection: bool
    """True if it needs Django's connection of its thread."""

    def step(self) -> float | None:
        """Wait once; raises a database error if notifications are out of order."""


class PollingOnly:
    """No notifications: workers poll."""

    is_listening = False
    is_listening_for_schedules = False
    uses_connection = False

    def step(self) -> float | None:
        """End the loop at once."""
        return None


class PostgresNotifier:
    """PostgreSQL's LISTEN, on a psycopg connection of its own."""

    WAIT_SECONDS = 1.0
    uses_connection = False

    def __init__(self, context: WorkerContext) -> None:
        self.is_listening = self.is_listening_for_schedules = False
        self._events = context.events
        self._using = context.using
        queues = context.options.queues
        self._queues = None if queues is None else frozenset(queues)
        self._connection: Any = None

    def step(self) -> float | None:
        """Wait up to a second for a notification; report those of served queues."""
        import psycopg

        try:
            if self._connection is None:
                self._listen()
            for notification in self._connection.notifies(timeout=self.WAIT_SECONDS, stop_after=1):
                if notification.channel == SCHEDULERS_CHANNEL:
                    self._events.schedules_changed()
                elif self._queues is None or notification.payload in self._queues:
                    self._events.work_enqueued(FAST_POLL_SECONDS, notification.payload)
        except psycopg.Error as error:
            self._close()
            raise DatabaseError(f"LISTEN: {error}") from error
        return 0

    def _listen(self) -> None:
        import psycopg

        parameters = connections[self._using].get_connection_params()
        self._connection = psycopg.connect(**parameters, autocommit=True)
        detach_in_copies(self._connection)
        self._connection.execute(f"LISTEN {CHANNEL}")
        self._connection.execute(f"LISTEN {SCHEDULERS_CHANNEL}")
        self.is_listening = self.is_listening_for_schedules = True
        # Something may have happened before.
        self._events.work_enqueued(FAST_POLL_SECONDS)
        self._events.schedules_changed()

    def _close(self) -> None:
        self.is_listening = self.is_listening_for_schedules = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class SqliteNotifier:
    """SQLite's ``PRAGMA data_version``: it changes when another connection has committed, and costs microseconds."""

    INTERVAL_SECONDS = 0.02
    is_listening = True
    is_listening_for_schedules = False
    uses_connection = True

    def __init__(self, context: WorkerContext) -> None:
        self._events = context.events
        self._using = context.using
        self._last_version: int | None = None

    def step(self) -> float | None:
        """Report if anything was committed since the last step."""
        with connections[self._using].cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        if version != self._last_version:
            self._last_version = version
            self._events.work_enqueued(0)
        return self.INTERVAL_SECONDS


def create_notifier(context: WorkerContext) -> Notifier:
    """Return the notifier of the jobs' database, PollingOnly if it has none or notifications are off."""
    vendor = connections[context.using].vendor
    if vendor == "sqlite":
        return SqliteNotifier(context)
    if vendor == "postgresql" and context.settings.worker.notify:
        try:
            import psycopg  # noqa: F401 - for its notifies(timeout=)
        except ImportError:
            logger.info("psycopg 3 is not installed: idle workers poll instead of LISTEN")
        else:
            return PostgresNotifier(context)
    return PollingOnly()
