"""The lines at limits: a part of the dialect, one module for each database vendor."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from .base.limits import HeldPermit, LimitDialect, LimitQueue

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["HeldPermit", "LimitDialect", "LimitQueue", "limit_dialect"]


def limit_dialect(connection: BaseDatabaseWrapper) -> LimitDialect:
    """Return what the database of this connection does with limits; one that ``open_dialect`` has let through."""
    return _limits_for(connection.vendor)


@lru_cache(maxsize=8)
def _limits_for(vendor: str) -> LimitDialect:
    match vendor:
        case "postgresql":
            from .postgresql.limits import PostgreSQLLimits

            return PostgreSQLLimits()
        case "mysql":
            from .mysql.limits import MySQLLimits

            return MySQLLimits()
        case _:
            from .sqlite.limits import SQLiteLimits

            return SQLiteLimits()
