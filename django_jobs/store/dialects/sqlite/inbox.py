"""The inbox on SQLite: one INSERT from a JSON array."""

from __future__ import annotations

import json
from collections.abc import Sequence

from django.db.backends.base.base import BaseDatabaseWrapper

from .statements import NOW

# Six digits, as Django writes instants: pruning compares with them. WHERE tells the parser that ON is no join's.
INSERT_NEW = f"""
INSERT INTO django_jobs_receivedid (digest, received_at)
SELECT value, {NOW.replace("%", "%%")} || '000' FROM json_each(%s) WHERE true ORDER BY key
ON CONFLICT (digest) DO NOTHING
RETURNING digest
"""


class SQLiteInbox:
    """The inbox on SQLite 3.37 and later."""

    def insert_new(self, connection: BaseDatabaseWrapper, digests: Sequence[str]) -> set[str]:
        """Insert in one statement."""
        with connection.cursor() as cursor:
            cursor.execute(INSERT_NEW, [json.dumps(digests)])
            return {row[0] for row in cursor.fetchall()}
