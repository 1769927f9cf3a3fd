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
from ...store.notify import AWAKE_SECONDS

logger = logging.getLogger("django_jobs.worker")

Ring = Callable[[float], None]
"""Called with how many seconds the worker is to stay awake."""


RingScheduler = Callable[[], None]
"""Called where schedules have changed."""


class Doorbell(Protocol):
    """``step`` waits for a ring, passes it on and returns the seconds until it wants to wait again."""

    rings: bool
    """True while whatever is enqueued will be heard of."""
    uses_connection: bool
    """True where it needs Django's connection of its thread."""

    @property
    def rings_schedulers(self) -> bool:
        """True while every change of a schedule will be heard of."""

    def step(self) -> float | None:
        """Wait once; raises a database error where the bell is out of order."""


class Silent:
    """No doorbell: workers poll."""

    rings = False
    rings_schedulers = False
    uses_connection = False

    def step(self) -> float | None:
        """End the loop at once."""
        return None


class Listen:
    """PostgreSQL's LISTEN, on a psycopg connection of its own that does nothing else."""

    WAIT_SECONDS = 1.0
    uses_connection = False

    def __init__(
        self, ring: Ring, ring_scheduler: RingScheduler, *, using: str, queues: frozenset[str] | None
    ) -> None:
        self.rings = False
        self._ring = ring
        self._ring_scheduler = ring_scheduler
        self._using = using
        self._queues = queues
        self._connection: Any = None

    @property
    def rings_schedulers(self) -> bool:
        """True while it listens."""
        return self.rings

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
                self.rings = True
                self._ring(AWAKE_SECONDS)
                self._ring_scheduler()
            for heard in self._connection.notifies(timeout=self.WAIT_SECONDS, stop_after=1):
                if heard.channel == SCHEDULERS_CHANNEL:
                    self._ring_scheduler()
                elif self._queues is None or heard.payload in self._queues:
                    self._ring(AWAKE_SECONDS)
        except psycopg.Error as error:
            self._close()
            raise DatabaseError(f"LISTEN: {error}") from error
        return 0

    def _close(self) -> None:
        self.rings = False
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


class DataVersion:
    """SQLite's ``PRAGMA data_version``: it changes when another connection has committed, and costs microseconds."""

    INTERVAL_SECONDS = 0.02
    rings_schedulers = False
    uses_connection = True

    def __init__(self, ring: Ring, *, using: str) -> None:
        self.rings = True
        self._ring = ring
        self._using = using
        self._seen: int | None = None

    def step(self) -> float | None:
        """Ring where anything was committed since the last look."""
        with connections[self._using].cursor() as cursor:
            cursor.execute("PRAGMA data_version")
            (version,) = cursor.fetchone()
        if version != self._seen:
            self._seen = version
            self._ring(0)
        return self.INTERVAL_SECONDS


def choose_doorbell(
    ring: Ring,
    *,
    ring_scheduler: RingScheduler,
    using: str,
    queues: frozenset[str] | None,
    wanted: bool,
) -> Doorbell:
    """Return the doorbell of the jobs' database; ``wanted`` False (setting RING) or no psycopg 3: none."""
    vendor = connections[using].vendor
    if vendor == "sqlite":
        return DataVersion(ring, using=using)
    if vendor == "postgresql" and wanted:
        try:
            import psycopg  # noqa: F401 - its notifies(timeout=) is what the bell is made of
        except ImportError:
            logger.info("psycopg 3 is not installed: idle workers poll instead of LISTEN")
        else:
            return Listen(ring, ring_scheduler, using=using, queues=queues)
    return Silent()
