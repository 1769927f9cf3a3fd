"""A thread that repeats one step, survives database outages, and never dies silently."""

from __future__ import annotations

import logging
import math
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...conf.database import set_database
from ...store.dialects import is_conflict, open_dialect
from ...store.readiness import reason_of
from ..system.forked_copies import end_copy_since, fork_count
from .connections import duplicate_socket, name_loop_session, reset_connections
from .db_outage import Outage
from .sessions import exclude_this_thread, find_observer
from .wake import Wake
from .watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

INITIAL_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.05, 5.0
IDLE_CLOSE_SECONDS = 5.0
"""A new connection costs a few milliseconds: nothing, if that happens once in so long."""
WARN_AFTER_CONFLICTS = 5
_random = random.SystemRandom()

Step = Callable[[], float | None]
"""Does one round of work and returns the seconds until the next; None ends the loop."""
Wait = Callable[[float | None], bool]
"""Waits for work, up to the seconds if given, and tells whether there is some."""


@dataclass(frozen=True, slots=True)
class LoopSpec:
    """One loop of a worker.

    ``wait`` comes before each step, without a limit in the end; it does not use the database. Setting ``wake`` ends the
    pause between two steps. A step that lasts longer than ``step_timeout`` seconds has its connection shut down.
    ``durable`` False: its commits do not wait for the disk; None: it needs no connection. ``runs_project_code``: each
    step has a context of its own, and connections are reset after it, as for a job. A loop that has nothing to do for
    ``idle_close_seconds`` has no connection meanwhile.
    """

    name: str
    step: Step
    wait: Wait | None = None
    wake: Wake = field(default_factory=threading.Event)
    durable: bool | None = True
    step_timeout: float = math.inf
    runs_project_code: bool = False
    idle_close_seconds: float = math.inf


class Loop:
    """Repeats the step of ``spec`` in a thread with a database connection of its own.

    After a database error or an OSError, which is reported to ``outage``, the step is retried on a new connection after
    growing pauses. A loop that slept through an outage takes a new connection too, because the old one may be broken.
    A deadlock or a serialization failure is no outage: the server answers, and the step is retried. Any other
    error is a bug: it ends the loop and calls ``on_death`` with its name.
    """

    def __init__(self, spec: LoopSpec, *, using: str, outage: Outage, on_death: Callable[[str], None]) -> None:
        self.name = spec.name
        self._spec = spec
        self._wake = spec.wake
        self._step_timeout = spec.step_timeout
        self._using = using
        self._outage = outage
        self._handle: socket.socket | None = None
        self._step_started_at: float | None = None
        self._handle_lock = threading.Lock()
        self._prepared = False
        self._prepared_after = 0
        self._failures = 0
        self._conflicts = 0
        self._stopping = False
        self._thread = WatchedThread(self._run, role=spec.name, on_death=on_death)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, *, step_timeout: float = math.inf) -> None:
        """Make the current step the last, and limit it to ``step_timeout``."""
        self._stopping = True
        self._step_timeout = min(self._step_timeout, step_timeout)
        self._wake.set()

    def join(self, seconds: float | None = None) -> bool:
        """Wait for the thread to end; tell whether it has."""
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def abort_if_unresponsive(self) -> bool:
        """From another thread: shut down the connection of a step that exceeds ``step_timeout``; tell whether.

        A half-open connection, or a silent proxy, would block the loop for ever. Once its socket is shut down the
        step fails at once and is retried on a new connection.
        """
        with self._handle_lock:
            began, handle = self._step_started_at, self._handle
            if began is None or handle is None or time.monotonic() - began < self._step_timeout:
                return False
            self._step_started_at = None
            with suppress(OSError):
                handle.shutdown(socket.SHUT_RDWR)
        logger.warning(
            "the database has not answered the %s for %.0f s; its connection is closed",
            self.name,
            self._step_timeout,
        )
        return True

    def _run(self) -> None:
        if not self._spec.runs_project_code:
            exclude_this_thread()
        name_loop_session(self._using, self.name)
        set_database(self._using)
        try:
            while not self._stopping:
                self._wake.clear()
                delay = self._step_or_pause()
                if delay is None:
                    break
                if delay >= self._spec.idle_close_seconds:
                    self._close_idle()
                if delay > 0 and not self._stopping:
                    self._wake.wait(delay)
        finally:
            self._outage.ends(self.name, recovered=False)
            self._close_handle()
            connections.close_all()

    def _step_or_pause(self) -> float | None:
        self._wait_for_work()
        try:
            delay = self._timed_step()
        except (DatabaseError, OSError) as error:
            if is_conflict(connections[self._using], error):
                return self._pause_after_conflict(error)
            return self._pause_after(error)
        self._on_answer()
        self._conflicts = 0
        return delay

    def _wait_for_work(self) -> None:
        if (wait := self._spec.wait) is None:
            return
        if self._spec.idle_close_seconds < math.inf:
            if wait(self._spec.idle_close_seconds):
                return
            self._close_idle()
        wait(None)

    def _on_answer(self) -> None:
        if self._failures:
            self._outage.ends(self.name)
            self._failures = 0

    def _timed_step(self) -> float | None:
        self._step_started_at, forks = time.monotonic(), fork_count()
        try:
            if self._spec.durable is not None:
                self._prepare(durable=self._spec.durable)
            return Context().run(self._step_of_project) if self._spec.runs_project_code else self._spec.step()
        finally:
            end_copy_since(forks)
            with self._handle_lock:
                self._step_started_at = None
            self._tidy()

    def _step_of_project(self) -> float | None:
        set_database(self._using)
        return self._spec.step()

    def _tidy(self) -> None:
        """Forget logged queries, which DEBUG keeps, and what code of the project left in a session."""
        if self._spec.runs_project_code:
            reset_connections()
            self._prepared = self._prepared and connections[self._using].connection is not None
        elif self._spec.durable is not None:
            connections[self._using].queries_log.clear()

    def _prepare(self, *, durable: bool) -> None:
        """Ensure a connection that is set up for this loop and newer than the latest outage."""
        if self._prepared and self._prepared_after != self._outage.number:
            self._prepared = False
            self._abandon_connection()
        if not self._prepared:
            self._prepared_after = self._outage.number
            dialect, connection = open_dialect(self._using)
            self._keep_handle(connection)
            dialect.prepare(connection, durable=durable)
            if (observer := find_observer(connection)) is not None:
                observer.forget(())  # the engine's own settings are no change
            self._prepared = True

    def _pause_after_conflict(self, error: Exception) -> float:
        """Log the conflict, as a warning after several in a row; pause at random, so as not to collide again."""
        self._on_answer()
        self._conflicts = min(self._conflicts + 1, 20)
        logger.log(
            logging.WARNING if self._conflicts > WARN_AFTER_CONFLICTS else logging.INFO,
            "the %s conflicted with another transaction and was rolled back; retrying: %s",
            self.name,
            reason_of(error),
        )
        max_pause = min(INITIAL_PAUSE_SECONDS * 2**self._conflicts, MAX_PAUSE_SECONDS)
        return _random.uniform(0, max_pause)

    def _pause_after(self, error: Exception) -> float:
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

    def _close_idle(self) -> None:
        """Close all connections of this thread, those of the project's code too; the next step opens another."""
        self._prepared = False
        self._close_handle()
        for connection in connections.all(initialized_only=True):
            self._close(connection)

    def _abandon_connection(self) -> None:
        self._close_handle()
        self._close(connections[self._using])

    def _close(self, connection: BaseDatabaseWrapper) -> None:
        try:
            connection.close()
        except Exception:  # a driver may fail to close a broken connection
            logger.debug("closing the connection of the %s failed", self.name, exc_info=True)
            connection.connection = None
