"""Make scheduled jobs ready when they are due by the database's clock."""

from __future__ import annotations

from ..dialects import open_dialect
from ..limits.permits import wait_at_next_limit

BATCH_SIZE = 1_000


def promote(*, limit: int = BATCH_SIZE, using: str | None = None) -> int:
    """Make up to ``limit`` due jobs ready, in the order of their due time, and return how many were.

    One statement (two on MySQL); jobs locked by another worker's promotion are skipped. Jobs under limits then wait
    for their first limit: three statements more.
    """
    dialect, connection = open_dialect(using)
    with dialect.write_transaction(connection):
        promoted = dialect.jobs.promote(connection, limit)
        if promoted.limited:
            wait_at_next_limit(promoted.limited, using=connection.alias)
    return promoted.number
