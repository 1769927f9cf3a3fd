"""A thread that repeats one step, outlives an outage of the database, and never dies unseen."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from django.db import Error as DatabaseError
from django.db import connections

from ..store.dialects import open_dialect
from .outage import Outage

logger = logging.getLogger("django_jobs.worker")

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 5.0

Step = Callable[[], float | None]
"""Does one round of work and returns the seconds until the next; None ends the loop."""


class Loop:
    """Repeats ``step`` in a thread with a database connection of its own.

    ``durable`` False lets its commits not wait for the disk; None leaves the connection unopened.
    An error of the database, or an OSError, is told to ``outage`` and tried again after growing pauses, on a new
    connection. Any other error is a bug: it ends the loop and calls ``on_death`` with its name.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        using: str,
        outage: Outage,
        on_death: Callable[[str], None],
        durable: bool | None = True,
    ) -> None:
        self.name = name
        self.wake = threading.Event()
        self._step = step
        self._using = using
        self._outage = outage
        self._on_death = on_death
        self._durable = durable
        self._prepared = False
        self._failures = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"jobs-{name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the step at hand be the last."""
        self._stopping = True
        self.wake.set()

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread to end and tell whether it has."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self.wake.clear()
                delay = self._step_or_pause()
                if delay is None:
                    break
                if delay > 0 and not self._stopping:
                    self.wake.wait(delay)
        except BaseException:
            logger.critical("the %s of this worker died; the worker stops", self.name, exc_info=True)
            self._on_death(self.name)
        finally:
            self._outage.ends(self.name)
            connections.close_all()

    def _step_or_pause(self) -> float | None:
        try:
            if not self._prepared and self._durable is not None:
                dialect, connection = open_dialect(self._using)
                dialect.prepare(connection, durable=self._durable)
                self._prepared = True
            delay = self._step()
        except (DatabaseError, OSError) as error:
            return self._pause_after(error)
        if self._failures:
            self._outage.ends(self.name)
            self._failures = 0
        return delay

    def _pause_after(self, error: Exception) -> float:
        if not self._failures:
            self._outage.begins(self.name, error)
        self._prepared = False
        self._abandon_connection()
        pause: float = min(FIRST_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 20)
        return pause

    def _abandon_connection(self) -> None:
        connection = connections[self._using]
        try:
            connection.close()
        except Exception:  # a driver may fail to close what is broken already
            logger.debug("closing the connection of the %s failed", self.name, exc_info=True)
            connection.connection = None
