"""Keep a thread's database connections usable for its next job, whatever the last one did to them.

They stay open between jobs, whatever CONN_MAX_AGE says: one connection per job was slower by a factor of 3.5.
"""

from __future__ import annotations

import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...log_records import record_fields
from ...store.dialects import is_idle, name_option, network_timeouts, sessions_of
from ..system.forked_copies import close_in_copies
from .sessions import (
    NO_JOB,
    JobKey,
    SessionObserver,
    connections_used_here,
    find_observer,
    forget_connections_used_here,
    shared_observers,
)

logger = logging.getLogger("django_jobs.worker")

IDLE_SECONDS = 5.0
"""A connection that was idle for this long is checked before the next job uses it."""

JOB_SESSION = "django_jobs job"

_thread = threading.local()


def reset_connections(ended: Mapping[JobKey, bool] = MappingProxyType({})) -> None:
    """Close connections on which the next job could not run as if it were the first.

    That is, with an open or broken transaction, autocommit off, settings or locks that a job left, or of a job that
    failed. ``ended``: the jobs that have ended in this thread, and whether they failed.
    """
    if any(ended.values()):
        forget_connections_used_here()
    if used := connections_used_here():
        for connection in used:
            _reset(connection, find_observer(connection), ended)
        _thread.last_used = time.monotonic()


def reset_async_connections(
    ended: Mapping[JobKey, bool], running: Callable[[], Collection[JobKey]] = frozenset
) -> None:
    """Do the same for jobs that have ended on the event loop, in the thread in which they use the database.

    Then for connections of other threads, as of ``asyncio.to_thread``, unless one of the ``running`` jobs uses them, or
    one of another database, of which this loop does not know whether it runs: its own reset follows. ``running`` is
    asked for under the lock of each session: a job may have started after the reset.
    """
    reset_connections(ended)
    databases = {"", *(database for database, _ in ended)}
    for observer in shared_observers():
        connection = observer.connection()
        if connection is None:
            continue
        with observer.lock:
            if observer.used_by.isdisjoint(ended):
                continue
            has_others = any(database not in databases for database, _ in observer.used_by)
            if has_others or _is_in_use(connection, observer) or not observer.used_by.isdisjoint(running()):
                observer.leave_to_next_reset(ended, is_unclean=_is_unclean(observer, ended))
                continue
            connection.inc_thread_sharing()
            try:
                _reset(connection, observer, ended)
            finally:
                connection.dec_thread_sharing()


def check_idle_connections() -> None:
    """Have this thread's connections checked at their next use if they may have been dropped since the last.

    That is, if they were idle for long, or if the server has sent unrequested data: the end of the
    connection. Checking for such data costs no round trip.
    """
    if used := connections_used_here():
        idle = time.monotonic() - getattr(_thread, "last_used", 0.0) >= IDLE_SECONDS
        for connection in used:
            if idle or _has_unread(connection):
                _demand_check(connection)


def check_shared_connections() -> None:
    """Do the same, from any thread, for those of the threads in which async jobs use the database.

    And forget the queries that DEBUG logs.
    """
    for observer in shared_observers():
        connection = observer.connection()
        if connection is None:
            continue
        connection.queries_log.clear()
        if connection.in_atomic_block or observer.is_executing:
            continue
        if time.monotonic() - observer.last_used >= IDLE_SECONDS or _has_unread(connection):
            _demand_check(connection)


def _demand_check(connection: BaseDatabaseWrapper) -> None:
    connection.health_check_enabled = True  # type: ignore[attr-defined]  # Django's own since 4.1
    connection.health_check_done = False  # type: ignore[attr-defined]  # the same


def duplicate_socket(connection: BaseDatabaseWrapper) -> socket.socket | None:
    """Return another handle on the socket of an open connection, None if it has none (SQLite).

    Any thread may shut it down while the driver waits in the connection's thread. Close it with the connection.
    """
    fileno = getattr(connection.connection, "fileno", None)
    if fileno is None:
        return None
    duplicate = socket.socket(fileno=os.dup(fileno()))
    close_in_copies(duplicate)
    return duplicate


def use_own_connections() -> None:
    """Take connections of this process outside of Django's pool (``OPTIONS["pool"]``), for all databases.

    Each thread of a worker keeps its connection, so that a pool of four would starve the others for ever.
    """
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and connection.settings_dict.get("OPTIONS", {}).get("pool"):
            connection.close()
            connection.close_pool()  # type: ignore[attr-defined]  # of the vendors that have pools
    for settings in connections.settings.values():
        settings.get("OPTIONS", {}).pop("pool", None)


def set_network_timeouts(alias: str) -> None:
    """Make connections to ``alias`` fail on a dead network, unless the project sets these options itself.

    Connecting may take ten seconds; sent data must be acknowledged within thirty; idle connections are probed.
    """
    connection = connections[alias]
    options = connection.settings_dict.setdefault("OPTIONS", {})
    for option, value in network_timeouts(connection).items():
        options.setdefault(option, value)


def name_job_sessions(alias: str) -> None:
    """Name sessions of this process at the server, which are those of jobs, unless the project names them.

    The name is part of the connection's start: no round trip more.
    """
    connection = connections[alias]
    option = name_option(connection)
    options = connection.settings_dict.setdefault("OPTIONS", {})
    if option is not None and "service" not in options and "PGAPPNAME" not in os.environ:
        options.setdefault(option, JOB_SESSION)


def name_loop_session(alias: str, name: str) -> None:
    """Name sessions of this thread after its loop, if those of the process have a name of ours."""
    connection = connections[alias]
    option, options = name_option(connection), connection.settings_dict.get("OPTIONS", {})
    if option is not None and options.get(option) == JOB_SESSION:
        # Threads share the settings, but not this copy.
        connection.settings_dict = {**connection.settings_dict, "OPTIONS": {**options, option: f"django_jobs {name}"}}


def close_shared_connections() -> None:
    """Close, from any thread, the connections of async jobs' threads, unless a job still uses them."""
    for observer in shared_observers():
        connection = observer.connection()
        if connection is None:
            continue
        with observer.lock:
            if _is_in_use(connection, observer):
                continue
            connection.inc_thread_sharing()
            try:
                _discard(connection)
            finally:
                connection.dec_thread_sharing()


def has_unclean_connections(ended: Mapping[JobKey, bool]) -> bool:
    """Tell, from any thread, whether jobs that have ended left a connection of an async job's thread unclean."""
    for observer in shared_observers():
        connection = observer.connection()
        if connection is None or connection.connection is None or observer.used_by.isdisjoint(ended):
            continue
        if _is_unclean(observer, ended) or connection.errors_occurred or not is_idle(connection):
            return True
    return False


def _is_in_use(connection: BaseDatabaseWrapper, observer: SessionObserver) -> bool:
    return observer.is_executing or connection.in_atomic_block


def _reset(connection: BaseDatabaseWrapper, observer: SessionObserver | None, ended: Mapping[JobKey, bool]) -> None:
    connection.queries_log.clear()
    if connection.connection is None:
        return
    if _has_open_transaction(connection, ended) or (observer is not None and _is_unclean(observer, ended)):
        _discard(connection, observer)
    elif connection.errors_occurred:
        connection.errors_occurred = False
        if not connection.is_usable():
            _discard(connection, observer)
    if observer is not None:
        observer.forget(ended)


def _has_unread(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether an open idle connection has unread data."""
    fileno = getattr(connection.connection, "fileno", None)
    if fileno is None:
        return False
    try:
        poll = select.poll()
        poll.register(fileno(), select.POLLIN)
        return bool(poll.poll(0))
    except Exception:  # noqa: BLE001 - a closed connection has no descriptor; the check will find it
        return True


def _has_open_transaction(connection: BaseDatabaseWrapper, ended: Collection[JobKey]) -> bool:
    """Tell, without a round trip, whether a job left a transaction open or broken, and say so."""
    if connection.in_atomic_block or connection.needs_rollback or not connection.get_autocommit():
        _warn("a job left a transaction open on %r; it is rolled back", connection, ended)
        return True
    if not is_idle(connection):
        _warn("a job left a transaction open, or no connection, on %r", connection, ended)
        return True
    return False


def _warn(text: str, connection: BaseDatabaseWrapper, jobs: Collection[JobKey]) -> None:
    """Log what a job did to a connection, with the job's id if it can only be one."""
    known = [job_id for _, job_id in jobs if job_id != NO_JOB[1]]
    logger.warning(text, connection.alias, extra=record_fields(job_id=known[0] if len(known) == 1 else None))


def _is_unclean(observer: SessionObserver, ended: Mapping[JobKey, bool]) -> bool:
    """Tell whether the jobs that have ended changed the session, or failed in it."""
    if observer.changed_by and not observer.changed_by.isdisjoint((NO_JOB, *ended)):
        return True
    return any(failed and job in observer.used_by for job, failed in ended.items())


def _release(connection: BaseDatabaseWrapper, changed_by: Collection[JobKey]) -> None:
    """Release what a changed session has, and say so if that is a transaction of which the driver does not know."""
    sessions = sessions_of(connection)
    try:
        if sessions.has_transaction(connection):
            _warn("a job left a transaction open on %r; it is rolled back", connection, changed_by)
        sessions.release(connection)
    except Exception:  # the server is gone, or refuses; the end of the connection releases it, too
        logger.debug("releasing %r failed", connection.alias, exc_info=True)


def _discard(connection: BaseDatabaseWrapper, observer: SessionObserver | None = None) -> None:
    """Close without a commit, even inside an atomic block, and reset the block; release locks of a job at once."""
    if observer is not None and observer.changed_by:
        _release(connection, observer.changed_by)
    if connection.in_atomic_block:
        connection.in_atomic_block = False
        connection.atomic_blocks = []
        connection.savepoint_ids = []
        connection.closed_in_transaction = False
    connection.needs_rollback = False
    connection.run_on_commit = []
    try:
        connection.close()
    except Exception:  # a driver may fail to close a broken connection
        logger.debug("closing %r failed", connection.alias, exc_info=True)
        connection.connection = None
    if observer is not None:
        observer.forget_all()
