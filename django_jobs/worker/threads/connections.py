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

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...store.dialects import is_idle, network_timeouts

logger = logging.getLogger("django_jobs.worker")

IDLE_SECONDS = 5.0
"""A connection that was idle for this long is checked before the next job uses it."""

_thread = threading.local()


def reset_connections() -> None:
    """Close connections that a job left unusable: an open or broken transaction, autocommit off, an error."""
    for connection in connections.all(initialized_only=True):
        connection.queries_log.clear()
        if connection.connection is None:
            continue
        if connection.in_atomic_block or connection.needs_rollback or not connection.get_autocommit():
            logger.warning("a job left a transaction open on %r; it is rolled back", connection.alias)
            _discard(connection)
        elif not is_idle(connection):
            logger.warning("a job left a transaction open, or no connection, on %r", connection.alias)
            _discard(connection)
        elif connection.errors_occurred:
            connection.errors_occurred = False
            if not connection.is_usable():
                _discard(connection)
    _thread.last_used = time.monotonic()


def check_idle_connections() -> None:
    """Have connections checked at their next use if they may have been dropped since the last.

    That is, if they were idle for long, or if the server has sent unrequested data: the end of the
    connection. Checking for such data costs no round trip.
    """
    idle = time.monotonic() - getattr(_thread, "last_used", 0.0) >= IDLE_SECONDS
    for connection in connections.all(initialized_only=True):
        if idle or _has_unread(connection):
            connection.health_check_enabled = True  # type: ignore[attr-defined]  # Django's own since 4.1
            connection.health_check_done = False  # type: ignore[attr-defined]  # the same


def duplicate_socket(connection: BaseDatabaseWrapper) -> socket.socket | None:
    """Return another handle on the socket of an open connection, None if it has none (SQLite).

    Any thread may shut it down while the driver waits in the connection's thread. Close it with the connection.
    """
    fileno = getattr(connection.connection, "fileno", None)
    return None if fileno is None else socket.socket(fileno=os.dup(fileno()))


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


def _discard(connection: BaseDatabaseWrapper) -> None:
    """Close without a commit, even inside an atomic block, and reset the block."""
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
