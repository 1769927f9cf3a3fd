"""The database vendors: a folder each, one contract (``base``), chosen by the connection."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from django.db import Error as DatabaseError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from ...conf.database import current_database
from ...exceptions import ConfigurationError
from .base.clock import ServerClock
from .base.dialect import Dialect
from .base.errors import REFUSED_BY_DRIVER
from .base.sessions import SessionStatements

__all__ = [
    "Dialect",
    "ServerClock",
    "clock_of",
    "is_conflict",
    "is_idle",
    "is_outage",
    "is_refusal",
    "is_supported",
    "is_unmigrated",
    "name_option",
    "network_timeouts",
    "open_dialect",
    "sessions_of",
]


@lru_cache(maxsize=8)
def _find_dialect(vendor: str) -> Dialect | None:
    match vendor:
        case "postgresql":
            from .postgresql.dialect import PostgreSQL

            return PostgreSQL()
        case "mysql":
            from .mysql.dialect import MySQL

            return MySQL()
        case "sqlite":
            from .sqlite.dialect import SQLite

            return SQLite()
        case _:
            return None


def open_dialect(using: str | None = None) -> tuple[Dialect, BaseDatabaseWrapper]:
    """Return the dialect of the jobs' database and this thread's connection to it."""
    connection = connections[using or current_database()]
    dialect = _find_dialect(connection.vendor)
    if dialect is None:
        raise ConfigurationError(
            "DJANGO_JOBS['DATABASE']: expected a PostgreSQL, MySQL, MariaDB or SQLite database,"
            f" got {connection.vendor}"
        )
    return dialect, connection


def is_supported(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether a database can hold jobs."""
    return _find_dialect(connection.vendor) is not None


def is_conflict(connection: BaseDatabaseWrapper, error: Exception) -> bool:
    """Tell whether the database rolled a transaction back in favour of another, so that a retry may succeed."""
    dialect = _find_dialect(connection.vendor)
    return dialect is not None and isinstance(error, DatabaseError) and dialect.is_conflict(error)


def is_outage(connection: BaseDatabaseWrapper, error: BaseException) -> bool:
    """Tell whether an error says that the database is away: not reachable, shutting down, read-only."""
    dialect = _find_dialect(connection.vendor)
    return dialect is not None and isinstance(error, DatabaseError) and dialect.is_outage(error)


def is_unmigrated(connection: BaseDatabaseWrapper, error: BaseException) -> bool:
    """Tell whether the database has no such table or column: migrations of this code are not applied."""
    dialect = _find_dialect(connection.vendor)
    return dialect is not None and isinstance(error, DatabaseError) and dialect.is_unmigrated(error)


def is_refusal(connection: BaseDatabaseWrapper, error: Exception) -> bool:
    """Tell whether the database, or its driver, does not take a statement's data; False for an outage."""
    if isinstance(error, REFUSED_BY_DRIVER):
        return True
    dialect = _find_dialect(connection.vendor)
    return dialect is not None and isinstance(error, DatabaseError) and dialect.is_refusal(error)


def is_idle(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether an open connection, to any database, is usable and in no transaction; True if that is unknown."""
    dialect = _find_dialect(connection.vendor)
    return dialect is None or dialect.is_idle(connection.connection)


def name_option(connection: BaseDatabaseWrapper) -> str | None:
    """Return the driver's option that names a session for people, None if there is none."""
    dialect = _find_dialect(connection.vendor)
    return None if dialect is None else dialect.name_option


def network_timeouts(connection: BaseDatabaseWrapper) -> Mapping[str, int]:
    """Return the driver's options with which a dead network ends as an error; empty for an unknown database."""
    dialect = _find_dialect(connection.vendor)
    return {} if dialect is None else dialect.network_timeouts


def clock_of(connection: BaseDatabaseWrapper) -> ServerClock | None:
    """Return how statements read the clock of a database, None for one that cannot hold jobs."""
    dialect = _find_dialect(connection.vendor)
    return None if dialect is None else dialect.clock


def sessions_of(connection: BaseDatabaseWrapper) -> SessionStatements:
    """Return what is known of the sessions of any database, also of one that cannot hold jobs."""
    dialect = _find_dialect(connection.vendor)
    return SessionStatements() if dialect is None else dialect.sessions
