"""Who waits for whose locks, as the database server tells it: what a test waits for before it lets go."""

from __future__ import annotations

import threading
import time

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.concurrency import DEADLINE_SECONDS

WAITERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
    "mysql": "SELECT waiter.trx_mysql_thread_id FROM information_schema.innodb_lock_waits"
    " JOIN information_schema.innodb_trx AS waiter ON waiter.trx_id = requesting_trx_id"
    " JOIN information_schema.innodb_trx AS holder ON holder.trx_id = blocking_trx_id"
    " WHERE holder.trx_mysql_thread_id = %s",
}
NUMBER = {"postgresql": "SELECT pg_backend_pid()", "mysql": "SELECT connection_id()"}


def number_of(wrapper: BaseDatabaseWrapper) -> int:
    """Return the server's number of this connection."""
    with wrapper.cursor() as cursor:
        cursor.execute(NUMBER[wrapper.vendor])
        return int(cursor.fetchone()[0])


def waiters(number: int) -> set[int]:
    """Return the server's numbers of the connections that wait for a lock which connection ``number`` holds."""
    with connection.cursor() as cursor:
        if connection.vendor == "mysql":
            # Its lists are copies, renewed once nobody has read them for 0.1 s.
            cursor.execute("SELECT sleep(0.15)")
        cursor.execute(WAITERS[connection.vendor], [number])
        return {waiter for (waiter,) in cursor.fetchall()}


def wait_for_waiters(number: int, count: int = 1) -> set[int]:
    """Wait until ``count`` connections wait for a lock of connection ``number``, and return their numbers."""
    deadline, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    while len(found := waiters(number)) < count:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(found)} wait for connection {number}, expected {count}")
        pause.wait(0.01)
    return found
