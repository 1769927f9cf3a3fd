"""Limits on MySQL and MariaDB: the heads of a hundred queues in one statement."""

from __future__ import annotations

from collections.abc import Mapping

from django.db.backends.base.base import BaseDatabaseWrapper

from ..shared.limits import SELECT_QUEUE_HEAD, MultiStatementLimits

LIMITS_PER_STATEMENT = 100


class MySQLLimits(MultiStatementLimits):
    """Limits on MySQL 8 and MariaDB 10.6 and later."""

    def read_queue_heads(
        self, connection: BaseDatabaseWrapper, lengths: Mapping[int, int]
    ) -> list[tuple[int, int, bool]]:
        """Read a hundred ranges of the index in one statement: MariaDB has no LATERAL."""
        found: list[tuple[int, int, bool]] = []
        limits = list(lengths.items())
        with connection.cursor() as cursor:
            for start in range(0, len(limits), LIMITS_PER_STATEMENT):
                part = limits[start : start + LIMITS_PER_STATEMENT]
                heads = (f"SELECT * FROM ({SELECT_QUEUE_HEAD}) AS head_{at}" for at in range(len(part)))
                cursor.execute(" UNION ALL ".join(heads), [value for limit in part for value in limit])
                found += cursor.fetchall()
        return found
