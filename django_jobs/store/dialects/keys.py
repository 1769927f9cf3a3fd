"""Keys of enqueues and of ``once``: a part of the dialect, one module for each database vendor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .base.keys import KeyDialect

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["KeyDialect", "key_dialect"]


def key_dialect(connection: BaseDatabaseWrapper) -> KeyDialect:
    """Return what the database of this connection does with keys; one that ``open_dialect`` has let through."""
    return _keys_for(connection.vendor)


@lru_cache(maxsize=8)
def _keys_for(vendor: str) -> KeyDialect:
    match vendor:
        case "postgresql":
            from .postgresql.keys import PostgreSQLKeys

            return PostgreSQLKeys()
        case "mysql":
            from .mysql.keys import MySQLKeys

            return MySQLKeys()
        case _:
            from .sqlite.keys import SQLiteKeys

            return SQLiteKeys()
