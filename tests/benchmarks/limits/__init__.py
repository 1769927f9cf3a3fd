"""The limit: for each database the fastest program known that does a job queue's durable work, and nothing else."""

from __future__ import annotations

from ..servers import Server
from .base import Limit


def open_limit(vendor: str, server: Server, *, makes_tables: bool = True) -> Limit:
    """Return the limit program of ``vendor``, with empty tables or with those that are there."""
    match vendor:
        case "postgresql":
            from .postgresql import PostgreSQLLimit

            return PostgreSQLLimit(server, makes_tables=makes_tables)
        case "mysql":
            from .mysql import MySQLLimit

            return MySQLLimit(server, makes_tables=makes_tables)
        case _:
            from .sqlite import SQLiteLimit

            return SQLiteLimit(server, makes_tables=makes_tables)
