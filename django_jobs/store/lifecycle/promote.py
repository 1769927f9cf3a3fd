"""Promote: scheduled to ready, when the database's clock says it is due."""

from __future__ import annotations

from ..dialects import open_dialect
from ..limits.permits import arrive

BATCH = 1_000


def promote(*, limit: int = BATCH, using: str | None = None) -> int:
    """Make up to ``limit`` due jobs ready, in the order of their due time, and return how many were.

    One statement (two on MySQL); jobs locked by another worker's promotion are passed over. Those under limits wait at
    these then: three statements more.
    """
    dialect, connection = open_dialect(using)
    with dialect.writing(connection):
        promoted = dialect.promote(connection, limit)
        if promoted.limited:
            arrive(promoted.limited, using=connection.alias)
    return promoted.number
