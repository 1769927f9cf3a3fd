"""Cut database connections from the server's side."""

from __future__ import annotations

from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

NO_SUCH_CONNECTION = 1094


def cut_all_other_connections() -> int:
    """Have the server end every connection to this database but ours and return how many there were.

    SQLite has no server: none.
    """
    if connection.vendor == "sqlite":
        return 0
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
        cursor.execute("SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()")
        return sum(_kill(cursor, row[0]) for row in cursor.fetchall())


def _kill(cursor: CursorWrapper, number: int) -> bool:
    """End a connection and tell whether it was still there."""
    try:
        cursor.execute("KILL %s", [number])
    except OperationalError as error:
        if error.args[0] != NO_SUCH_CONNECTION:
            raise
        return False
    return True
