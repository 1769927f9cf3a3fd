"""What differs by database vendor: one module each, one contract, chosen by the connection."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.db import Error as DatabaseError

from ...conf import get_settings
from ...exceptions import ConfigurationError
from .base.jobs import Dialect, get_connection

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

__all__ = ["SUPPORTED_VENDORS", "Dialect", "is_conflict", "is_idle", "open_dialect"]


SUPPORTED_VENDORS = frozenset({"postgresql", "mysql", "sqlite"})


@lru_cache(maxsize=8)
def _dialect_for(vendor: str) -> Dialect:
    match vendor:
        case "postgresql":
            from .postgresql.jobs import PostgreSQL

            return PostgreSQL()
        case "mysql":
            from .mysql.jobs import MySQL

            return MySQL()
        case "sqlite":
            from .sqlite.jobs import SQLite

            return SQLite()
        case _:
            raise ConfigurationError(
                f"DJANGO_JOBS['DATABASE']: expected a PostgreSQL, MySQL, MariaDB or SQLite database, got {vendor}"
            )


def open_dialect(using: str | None = None) -> tuple[Dialect, BaseDatabaseWrapper]:
    """Return the dialect of the jobs' database and this thread's connection to it."""
    connection = get_connection(using or get_settings().database)
    return _dialect_for(connection.vendor), connection


def is_conflict(connection: BaseDatabaseWrapper, error: Exception) -> bool:
    """Tell whether an error says that the jobs' database answers and undid a transaction in favour of another."""
    return isinstance(error, DatabaseError) and _dialect_for(connection.vendor).is_conflict(error)


def is_idle(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether any connection, also one of a database that holds no jobs, is open and in no transaction."""
    if connection.vendor not in SUPPORTED_VENDORS:
        return True
    return _dialect_for(connection.vendor).is_idle(connection.connection)
