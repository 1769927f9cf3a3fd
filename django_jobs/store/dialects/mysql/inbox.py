"""The inbox on MariaDB and MySQL: INSERT IGNORE, which waits for other transactions' rows and passes over them.

MariaDB returns the rows that were inserted. MySQL returns none: what is there is read first, with locks, and the rest
inserted; if another transaction was faster with one of the rest, fewer rows are inserted than were missing, and the
transaction is a conflict to be repeated.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper

from .statements import NOW

INSERT_EACH = f"""
INSERT IGNORE INTO django_jobs_receivedid (digest, received_at)
SELECT given.digest, {NOW}
FROM JSON_TABLE(%s, '$[*]' COLUMNS (place FOR ORDINALITY, digest char(32) PATH '$')) AS given ORDER BY place
"""
PRESENT = "SELECT digest FROM django_jobs_receivedid WHERE digest IN %s LOCK IN SHARE MODE"
DEADLOCK = 1213


class MySQLInbox:
    """The inbox on MySQL 8 and MariaDB 10.6 and later."""

    def insert_new(self, connection: BaseDatabaseWrapper, digests: Sequence[str]) -> set[str]:
        """Insert in one statement, on MySQL in two."""
        returns = connection.features.can_return_columns_from_insert
        with connection.cursor() as cursor:
            if returns:
                cursor.execute(f"{INSERT_EACH} RETURNING digest", [json.dumps(digests)])
                return {UUID(str(row[0])).hex for row in cursor.fetchall()}
            cursor.execute(PRESENT, [tuple(digests)])
            present = {UUID(str(row[0])).hex for row in cursor.fetchall()}
            missing = [digest for digest in digests if digest not in present]
            cursor.execute(INSERT_EACH, [json.dumps(missing)])
            if cursor.rowcount != len(missing):
                raise OperationalError(DEADLOCK, "another transaction inserted one of these ids at the same time")
            return set(missing)
