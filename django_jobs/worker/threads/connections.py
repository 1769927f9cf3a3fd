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
from collections.abc import Mapping
from types import MappingProxyType

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...store.dialects import is_idle, network_timeouts, sessions_of
from ..forked_copies import close_in_copies
from .sessions import NO_JOB, SessionObserver, find_observer

logger = logging.getLogger("django_jobs.worker")

IDLE_SECONDS = 5.0
"""A connection that was idle for this long is checked before the next job uses it."""

_thread = threading.local()


def reset_connections(ended: Mapping[int, bool] = MappingProxyType({})) -> None:
    """Close connections on which the next job could not run as if it were the first.

    That is, with an open or broken transaction, autocommit off, settings or locks that a job left, or of a job that
    failed. ``ended``: ids of the jobs that have ended in this thread, and whether they failed.
    """
    for connection in connections.all(initialized_only=True):
        connection.queries_log.clear()
        if connection.connection is None:
            continue
        observer = find_observer(connection)
        if _has_open_transaction(connection) or (observer is not None and _is_unclean(connection, observer, ended)):
            _discard(connection, observer)
        elif connection.errors_occurred:
            connection.errors_occurred = False
            if not connection.is_usable():
                _discard(connection, observer)
        if observer is not None:
            observer.forget(ended)
    _thread.last_used = time.monotonic()


def check_idle_connections() -> None:
    """Have this thread's connections checked at their next use if they may have been dropped since the last.

    That is, if they were idle for long, or if the server has sent unrequested data: the end of the
    connection. Checking for such data costs no round trip.
    """
    idle = time.monotonic() - getattr(_thread, "last_used", 0.0) >= IDLE_SECONDS
    for connection in connections.all(initialized_only=True):
        if idle or _has_unread(connection):
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


def set_network_timeouts(alias: str) -> None:
    """Make connections to ``alias`` fail on a dead network, unless the project sets these options itself.

    Connecting may take ten seconds; sent data must be acknowledged within thirty; idle connections are probed.
    """
    connection = connections[alias]
    options = connection.settings_dict.setdefault("OPTIONS", {})
    for option, value in network_timeouts(connection).items():
        options.setdefault(option, value)


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


def _has_open_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell, without a round trip, whether a job left a transaction open or broken, and say so."""
    if connection.in_atomic_block or connection.needs_rollback or not connection.get_autocommit():
        logger.warning("a job left a transaction open on %r; it is rolled back", connection.alias)
        return True
    if not is_idle(connection):
        logger.warning("a job left a transaction open, or no connection, on %r", connection.alias)
        return True
    return False


def _is_unclean(connection: BaseDatabaseWrapper, observer: SessionObserver, ended: Mapping[int, bool]) -> bool:
    """Tell whether the jobs that have ended changed the session, or failed in it."""
    if observer.changed_by and not observer.changed_by.isdisjoint((NO_JOB, *ended)):
        if _has_hidden_transaction(connection):
            logger.warning("a job left a transaction open on %r; it is rolled back", connection.alias)
        return True
    return any(failed and job_id in observer.used_by for job_id, failed in ended.items())


def _has_hidden_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a transaction is open of which the driver does not know."""
    try:
        return sessions_of(connection).has_transaction(connection)
    except Exception:  # the server is gone, or refuses to tell; the connection is closed anyway
        logger.debug("cannot tell whether a transaction is open on %r", connection.alias, exc_info=True)
        return False


def _discard(connection: BaseDatabaseWrapper, observer: SessionObserver | None = None) -> None:
    """Close without a commit, even inside an atomic block, and reset the block; release locks of a job at once."""
    if observer is not None and observer.changed_by:
        try:
            sessions_of(connection).release(connection)
        except Exception:  # the server is gone, or refuses; the end of the connection releases them, too
            logger.debug("releasing %r failed", connection.alias, exc_info=True)
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
