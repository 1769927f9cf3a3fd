"""What the benchmark asks of each database besides jobs: a place to measure in, and what only that vendor knows."""

from __future__ import annotations

from .base import Server


def open_server(vendor: str, name: str) -> Server:
    """Return the server of ``vendor``; ``name`` is the database that the benchmark may make and drop."""
    match vendor:
        case "postgresql":
            from .postgresql import PostgreSQLServer

            return PostgreSQLServer(name)
        case "mysql":
            from .mysql import MySQLServer

            return MySQLServer(name)
        case _:
            from .sqlite import SQLiteServer

            return SQLiteServer(name)
