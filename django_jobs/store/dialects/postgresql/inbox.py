"""The inbox on PostgreSQL: one INSERT, which waits for other transactions' rows and returns its own."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

INSERT_NEW = """
INSERT INTO django_jobs_receivedid (digest, received_at)
SELECT given::uuid, statement_timestamp() FROM unnest(string_to_array(%s, ',')) WITH ORDINALITY AS ids (given, place)
ORDER BY place
ON CONFLICT (digest) DO NOTHING
RETURNING replace(digest::text, '-', '')
"""


class PostgreSQLInbox:
    """The inbox on PostgreSQL 14 and later."""

    def insert_new(self, connection: BaseDatabaseWrapper, digests: Sequence[str]) -> set[str]:
        """Insert in one statement; the ids are one text, because an array is escaped in Python."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_NEW, [",".join(digests)])
            return {row[0] for row in cursor.fetchall()}
