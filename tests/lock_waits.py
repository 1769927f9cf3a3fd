"""Who waits for whose locks, as the database server tells it: what a test waits for before it lets go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from tests.concurrency import wait_until

WAITERS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
    "mysql": "SELECT waiter.trx_mysql_thread_id FROM information_schema.innodb_lock_waits"
    " JOIN information_schema.innodb_trx AS waiter ON waiter.trx_id = requesting_trx_id"
    " JOIN information_schema.innodb_trx AS holder ON holder.trx_id = blocking_trx_id"
    " WHERE holder.trx_mysql_thread_id = %s",
}
LOCK = "SELECT id FROM django_jobs_job WHERE id = %s FOR UPDATE"
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

    def all_of_them() -> set[int] | None:
        found = waiters(number)
        return found if len(found) >= count else None

    waiting: set[int] = wait_until(all_of_them, f"{count} to wait for connection {number}")
    return waiting


class Session:
    """A transaction of the test's own that the server spares: it is never a deadlock's victim."""

    def __init__(self, wrapper: BaseDatabaseWrapper) -> None:
        self._wrapper = wrapper
        wrapper.ensure_connection()
        if wrapper.vendor == "postgresql":
            self.execute("SET deadlock_timeout = '1h'")  # who looks finds itself the victim
        self.number = number_of(wrapper)
        wrapper.set_autocommit(False)
        if wrapper.vendor == "mysql":
            # InnoDB undoes the transaction that has done less.
            names = ", ".join(["('ballast', 0)"] * 200)
            self.execute(f"INSERT INTO sampleapp_customer (name, visits) VALUES {names}")

    def execute(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """Run a statement and return its rows."""
        with self._wrapper.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall()) if cursor.description else []

    def rollback(self) -> None:
        """Let all its locks go."""
        self._wrapper.rollback()


@contextmanager
def session() -> Iterator[Session]:
    """Open a session on a connection of its own."""
    wrapper = connection.copy()
    wrapper.inc_thread_sharing()
    try:
        yield Session(wrapper)
    finally:
        wrapper.close()
        wrapper.dec_thread_sharing()
