"""Promote: scheduled to ready, when the database's clock says it is due."""

from __future__ import annotations

from .dialects import open_dialect

BATCH = 1_000


def promote(*, limit: int = BATCH, using: str | None = None) -> int:
    """Make up to ``limit`` due jobs ready, in the order of their due time, and return how many were.

    One statement (two on MySQL); jobs locked by another worker's promotion are passed over.
    """
    dialect, connection = open_dialect(using)
    return dialect.promote(connection, limit)
