"""A thread that repeats one step, outlives an outage of the database, and never dies unseen."""

from __future__ import annotations

import logging
import math
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...store.dialects import is_conflict, open_dialect
from .connections import duplicate_socket
from .db_outage import DatabaseOutage
from .watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

INITIAL_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 5.0
WARN_AFTER_CONFLICTS = 5
_random = random.SystemRandom()

Step = Callable[[], float | None]
"""Does one round of work and returns the seconds until the next; None ends the loop."""


class Loop:
    """Repeats ``step`` in a thread with a database connection of its own.

    ``wait`` comes before each step and may take for ever; it does not use the database. A step that lasts
    longer than ``step_timeout`` seconds has its connection severed: see ``abort_if_unresponsive``.
    ``durable`` False lets its commits not wait for the disk; None leaves the connection unopened.
    An error of the database, or an OSError, is told to ``outage`` and tried again after growing pauses, on a new
    connection. A loop that has slept through an outage takes a new connection, too, rather than meet it again on
    the old one. A deadlock or a serialization failure is no outage: the server answers, and chose this loop to try
    again. Any other error is a bug: it ends the loop and calls ``on_death`` with its name.
    """

    def __init__(
        self,
        name: str,
        step: Step,
        *,
        using: str,
        outage: DatabaseOutage,
        on_death: Callable[[str], None],
        durable: bool | None = True,
        wait: Callable[[], None] | None = None,
        step_timeout: float = math.inf,
    ) -> None:
        self.name = name
        self.wake = threading.Event()
        self._step = step
        self._using = using
        self._outage = outage
        self._durable = durable
        self._wait = wait
        self._step_timeout = step_timeout
        self._handle: socket.socket | None = None
        self._step_started_at: float | None = None
        self._handle_lock = threading.Lock()
        self._prepared = False
        self._prepared_after = 0
        self._failures = 0
        self._conflicts = 0
        self._stopping = False
        self._thread = WatchedThread(self._run, role=name, on_death=on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, step_timeout: float = math.inf) -> None:
        """Let the step at hand be the last, and the database have no more than ``step_timeout`` for it."""
        self._stopping = True
        self._step_timeout = min(self._step_timeout, step_timeout)
        self.wake.set()

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread to end and tell whether it has."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def abort_if_unresponsive(self) -> bool:
        """From another thread: end a step that has waited for the database longer than ``step_timeout``; tell whether.

        A connection that is open at this end only, or goes through a proxy that has gone silent, would hold the loop
        for ever. Shut down, it fails at once and the step is tried again on a new one.
        """
        with self._handle_lock:
            began, handle = self._step_started_at, self._handle
            if began is None or handle is None or time.monotonic() - began < self._step_timeout:
                return False
            self._step_started_at = None
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
        logger.warning(
            "the database has not answered the %s for %.0f s; its connection is cut",
            self.name,
            self._step_timeout,
        )
        return True

    def _run(self) -> None:
        try:
            while not self._stopping:
                self.wake.clear()
                delay = self._step_or_pause()
                if delay is None:
                    break
                if delay > 0 and not self._stopping:
                    self.wake.wait(delay)
        finally:
            self._outage.ends(self.name)
            self._close_handle()
            connections.close_all()

    def _step_or_pause(self) -> float | None:
        if self._wait is not None:
            self._wait()
        try:
            delay = self._timed_step()
        except (DatabaseError, OSError) as error:
            if is_conflict(connections[self._using], error):
                return self._pause_after_conflict(error)
            return self._pause_after(error)
        self._on_answer()
        self._conflicts = 0
        return delay

    def _on_answer(self) -> None:
        if self._failures:
            self._outage.ends(self.name)
            self._failures = 0

    def _timed_step(self) -> float | None:
        self._step_started_at = time.monotonic()
        try:
            if self._durable is not None:
                self._prepare(durable=self._durable)
            return self._step()
        finally:
            with self._handle_lock:
                self._step_started_at = None

    def _prepare(self, *, durable: bool) -> None:
        """Have a connection that is set up for this loop and younger than the newest outage."""
        if self._prepared and self._prepared_after != self._outage.number:
            self._prepared = False
            self._abandon_connection()
        if not self._prepared:
            self._prepared_after = self._outage.number
            dialect, connection = open_dialect(self._using)
            self._keep_handle(connection)
            dialect.prepare(connection, durable=durable)
            self._prepared = True

    def _pause_after_conflict(self, error: Exception) -> float:
        """Say who was undone, louder where it happens again and again; wait for a random while, not in step."""
        self._on_answer()
        self._conflicts = min(self._conflicts + 1, 20)
        logger.log(
            logging.WARNING if self._conflicts > WARN_AFTER_CONFLICTS else logging.INFO,
            "the %s met another transaction and was undone; trying again: %s",
            self.name,
            str(error).strip(),
        )
        longest = min(INITIAL_PAUSE_SECONDS * 2**self._conflicts, MAX_PAUSE_SECONDS)
        return _random.uniform(0, longest)

    def _pause_after(self, error: Exception) -> float:
        if not self._failures:
            self._outage.begins(self.name, error)
        self._prepared = False
        self._abandon_connection()
        pause: float = min(INITIAL_PAUSE_SECONDS * 2**self._failures, MAX_PAUSE_SECONDS)
        self._failures = min(self._failures + 1, 20)
        return pause

    def _keep_handle(self, connection: BaseDatabaseWrapper) -> None:
        """Open the connection and keep a handle on its socket for ``abort_if_unresponsive``."""
        connection.ensure_connection()
        handle = duplicate_socket(connection)
        with self._handle_lock:
            self._handle = handle

    def _close_handle(self) -> None:
        with self._handle_lock:
            handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _abandon_connection(self) -> None:
        self._close_handle()
        connection = connections[self._using]
        try:
            connection.close()
        except Exception:  # a driver may fail to close what is broken already
            logger.debug("closing the connection of the %s failed", self.name, exc_info=True)
            connection.connection = None
