"""Cut database connections from the server's side."""

from __future__ import annotations

from django.db import connection


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
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        ids = [row[0] for row in cursor.fetchall()]
        for one in ids:
            cursor.execute("KILL %s", [one])
        return len(ids)
