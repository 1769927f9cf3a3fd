"""Observe what jobs do to database sessions: an execute wrapper on each connection, without a round trip.

The wrapper is installed when a thread of the worker process connects. Statements of ``connection_created`` receivers
and of Django itself, while it connects, belong to every session and do not count.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import currentframe, unwrap
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ...context import current_job_or_none
from ...policy.session_effects import SessionEffect, session_effect
from ...store.dialects import sessions_of
from .watched_thread import WatchedThread

JobKey = tuple[str, int]
"""A job: its database and id. The threads of a project may serve jobs of several databases."""
NO_JOB: JobKey = ("", 0)
"""Stands for a statement outside of a job's function, as a receiver of ``job_started`` sends."""

_CONNECT = unwrap(BaseDatabaseWrapper.connect).__code__
_shared: weakref.WeakSet[SessionObserver] = weakref.WeakSet()
_shared_lock = threading.Lock()
_thread = threading.local()
_observing: list[object | None] = [None]
"""What stands for the present time of observation, None outside of one: what a thread noted in another is not used."""


class SessionObserver:
    """Execute wrapper of one connection. ``used_by`` and ``changed_by``: jobs, since the connection was opened.

    A session is changed by a statement that affects those after its transaction. ``lock``: held by a thread that resets
    the session from outside, and taken before each statement. So a session is reset before it is used again, or not.
    """

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.used_by: set[JobKey] = set()
        self.changed_by: set[JobKey] = set()
        self.last_used = time.monotonic()
        self.is_executing = False
        self.lock = threading.RLock()
        self.has_connected = False
        self.connection = weakref.ref(connection)
        self._sessions = sessions_of(connection)
        self._keeps_settings = False
        self._kept: Sequence[Any] | None = None

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Note the statement, and execute it."""
        connection = context["connection"]
        with self.lock:
            self._use(session_effect(_as_text(sql, connection), self._sessions.rules), connection)
            self.is_executing = True
        try:
            return execute(sql, params, many, context)
        finally:
            self.is_executing = False
            self.last_used = time.monotonic()

    def connected(self, connection: BaseDatabaseWrapper) -> None:
        """Begin anew, with a new session."""
        self.has_connected = True
        self.forget_all()
        self.last_used = time.monotonic()
        self._sessions.observe_driver(connection.connection, self)

    @contextmanager
    def driver_executes(self, statement: str) -> Iterator[None]:
        """Note a statement that the block sends by the driver's own means."""
        effect = session_effect(statement, self._sessions.rules) if statement else SessionEffect.SESSION
        with self.lock:
            self._use(effect, None)
            self.is_executing = True
        try:
            yield
        finally:
            self.is_executing = False

    def begins_use(self) -> None:
        """Note that the job in this thread is about to use the session."""
        with self.lock:
            self._use(SessionEffect.NONE, None)

    def forget(self, jobs: Iterable[JobKey]) -> None:
        """Forget jobs that have ended."""
        self.used_by.difference_update(jobs, (NO_JOB,))
        self.changed_by.difference_update(jobs, (NO_JOB,))

    def forget_all(self) -> None:
        """Forget all jobs: the session has ended."""
        self.used_by.clear()
        self.changed_by.clear()

    def leave_to_next_reset(self, jobs: Iterable[JobKey], *, is_unclean: bool) -> None:
        """Forget jobs that have ended, but not that they left the session unclean: another job uses it now."""
        self.used_by.difference_update(jobs)
        self.changed_by.difference_update(jobs)
        if is_unclean:
            self.changed_by.add(NO_JOB)

    def keep_settings(self) -> None:
        """Read the settings that the engine depends on before the next statement that may change them."""
        self._keeps_settings, self._kept = True, None

    def take_settings(self) -> Sequence[Any] | None:
        """Return the settings from before the change, None if nothing was changed since ``keep_settings``.

        Empty if they are not known.
        """
        self._keeps_settings, kept = False, self._kept
        self._kept = None
        return kept

    def _use(self, effect: SessionEffect, connection: BaseDatabaseWrapper | None) -> None:
        job = _job_here()
        self.used_by.add(job)
        if effect is SessionEffect.NONE or _is_connecting():
            return
        if self._keeps_settings:
            self._keeps_settings = False
            # The driver is busy with the statement, so that none can be sent before it.
            self._kept = () if connection is None else self._sessions.read_settings(connection)
        if effect is SessionEffect.SESSION:
            self.changed_by.add(job)


def connections_used_here() -> list[BaseDatabaseWrapper]:
    """Return the connections of this thread that may be open: those of its first call, and those opened since.

    To ask Django looks up each alias in a thread-local, which costs as much as a run that uses no database.
    """
    known: tuple[object, list[weakref.ref[BaseDatabaseWrapper]]] | None = getattr(_thread, "used", None)
    if known is None or known[0] is not _observing[0]:
        found = list(connections.all(initialized_only=True))
        _thread.used = None if _observing[0] is None else (_observing[0], [weakref.ref(each) for each in found])
        return found
    references = known[1]
    if not references:
        return []
    found = [each for reference in references if (each := reference()) is not None]
    if len(found) < len(references):
        references[:] = [weakref.ref(each) for each in found]
    return found


def forget_connections_used_here() -> None:
    """Have ``connections_used_here`` ask Django at its next call: an attempt to connect may have failed half-way."""
    _thread.used = None


def observe_connections(*, in_this_thread: bool = False) -> None:
    """Have connections observed that the process opens from now on: in all threads but the main one and loops.

    ``in_this_thread``: in this one in any case.
    """
    connection_created.connect(_on_connected, dispatch_uid="django_jobs.observe_connections")
    _observing[0] = _observing[0] or object()
    if in_this_thread:
        _thread.is_observed = True


def stop_observing() -> None:
    """Have connections that are opened from now on not observed."""
    connection_created.disconnect(dispatch_uid="django_jobs.observe_connections")
    _observing[0] = None


def exclude_this_thread() -> None:
    """Do not observe connections of this thread: it runs no code of the project."""
    _thread.is_observed = False


def observe(connection: BaseDatabaseWrapper) -> SessionObserver:
    """Return the observer of a connection; install one if there is none."""
    observer = find_observer(connection)
    if observer is None:
        observer = SessionObserver(connection)
        # The first: Django's own context manager removes the last wrapper at its end.
        connection.execute_wrappers.insert(0, observer)
    return observer


def _share(connection: BaseDatabaseWrapper, observer: SessionObserver) -> None:
    """Have the session reset from outside its thread, which the worker has not started.

    The beginning of an atomic block is noted, too: it switches autocommit off before it sends a statement.
    """
    with _shared_lock:
        if observer in _shared:
            return
        _shared.add(observer)
    switch = connection.set_autocommit

    def set_autocommit(*arguments: Any, **options: Any) -> None:
        observer.begins_use()
        switch(*arguments, **options)

    connection.set_autocommit = set_autocommit  # type: ignore[method-assign]  # of this connection only


def find_observer(connection: BaseDatabaseWrapper) -> SessionObserver | None:
    """Return the observer of a connection, None if there is none."""
    for wrapper in connection.execute_wrappers:
        if isinstance(wrapper, SessionObserver):
            return wrapper
    return None


@contextmanager
def keep_settings(connection: BaseDatabaseWrapper) -> Iterator[Callable[[], None]]:
    """Yield a function that restores the settings that the engine depends on, if the block changed them."""
    is_observed = find_observer(connection) is not None
    observer = observe(connection)

    def restore() -> None:
        settings = observer.take_settings()
        if settings is not None:
            sessions_of(connection).restore_settings(connection, settings)

    observer.keep_settings()
    try:
        yield restore
    finally:
        observer.take_settings()
        # The block may be the first to connect, in a thread whose connections are observed from then on.
        if not is_observed and not observer.has_connected:
            connection.execute_wrappers.remove(observer)


def shared_observers() -> list[SessionObserver]:
    """Return the observers of threads that the worker has not started: those of ``sync_to_async`` and ``to_thread``."""
    with _shared_lock:
        return list(_shared)


def _on_connected(connection: BaseDatabaseWrapper, **_: Any) -> None:
    if (known := getattr(_thread, "used", None)) is not None and connection not in [each() for each in known[1]]:
        known[1].append(weakref.ref(connection))
    if getattr(_thread, "is_observed", threading.current_thread() is not threading.main_thread()):
        observer = observe(connection)
        if not isinstance(threading.current_thread(), WatchedThread):
            _share(connection, observer)
        observer.connected(connection)


def _job_here() -> JobKey:
    job = current_job_or_none()
    return NO_JOB if job is None else (job.database, job.job_id)


def _as_text(sql: Any, connection: BaseDatabaseWrapper) -> str:
    """Return a statement as text; psycopg's composed statements need the driver's connection for that."""
    if isinstance(sql, str):
        return sql
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    return str(sql.as_string(connection.connection)) if hasattr(sql, "as_string") else ""


def _is_connecting() -> bool:
    """Tell whether this is called while Django opens a connection. Only after a statement that is not plain."""
    frame = currentframe()
    while frame is not None and frame.f_code is not _CONNECT:
        frame = frame.f_back
    return frame is not None
