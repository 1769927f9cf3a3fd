"""Sessions of the database server: one whose client was killed still does what was sent before.

A claim, say, which would take the next test's jobs for a worker that is dead.
"""

from __future__ import annotations

import threading
import time

from django.db import DatabaseError, connection

SECONDS = 10.0
SESSIONS = {
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()",
}


def sessions() -> set[int]:
    """Return the server's numbers of all other sessions in the test database; none on SQLite."""
    statement = SESSIONS.get(connection.vendor)
    if statement is None:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return {number for (number,) in cursor.fetchall()}


def wait_until_ended(others: set[int]) -> None:
    """Wait until no session but the ``others`` is left; for what outlives that, a test has its own assertions."""
    deadline, pause = time.monotonic() + SECONDS, threading.Event()
    try:
        while sessions() - others and time.monotonic() < deadline:
            pause.wait(0.01)
    except DatabaseError:
        return  # the test has cut this session too
