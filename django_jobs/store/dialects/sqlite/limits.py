"""Limits on SQLite: one queue a statement."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from ..shared.limits import SELECT_QUEUE_HEAD, MultiStatementLimits


class SQLiteLimits(MultiStatementLimits):
    """Limits on SQLite 3.35 and later."""

    def read_queue_heads(
        self, connection: BaseDatabaseWrapper, lengths: Mapping[int, int]
    ) -> list[tuple[int, int, bool]]:
        """Read limit by limit: a statement costs no round trip."""
        found: list[tuple[int, int, bool]] = []
        with connection.cursor() as cursor:
            for limit in lengths.items():
                cursor.execute(SELECT_QUEUE_HEAD, limit)
                found += cursor.fetchall()
        return found
