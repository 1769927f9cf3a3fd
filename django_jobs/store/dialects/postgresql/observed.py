"""Tell whether anything observes, or changes, what Django's cursors on PostgreSQL execute: logs, wrappers, tools.

Tools replace methods of Django's (Sentry), give the connection a ``cursor`` of their own (Datadog, test cases without
database access), subclass the backend (django-tenants sets its schema in ``_cursor``), or put a proxy in the driver's
place (New Relic, OpenTelemetry). So nothing observes it only if every method on the way is the one that Django or
psycopg has defined. Without psycopg 3 everything counts as observed.
"""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import django
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.postgresql import base
from django.db.backends.utils import CursorWrapper

try:
    import psycopg
except ImportError:
    psycopg = None  # type: ignore[assignment]  # Django works with psycopg 2, too


_of_backend = attrgetter("cursor", "_cursor", "create_cursor", "_prepare_cursor", "make_cursor")
_of_cursors = attrgetter("execute", "_execute_with_wrappers", "_execute")
_of_driver = attrgetter("Connection.cursor", "Connection.wait", "Cursor.execute")


def is_observed(connection: BaseDatabaseWrapper) -> bool:
    """Tell whether something may see or change what the connection's cursors execute. It need not be open."""
    return bool(
        connection.execute_wrappers
        or connection.queries_logged
        or not _CAN_TELL
        or "cursor" in vars(connection)
        or _of_backend(type(connection)) != _BACKEND
        or _of_cursors(CursorWrapper) != _CURSORS
    )


def is_driver_observed(driver_connection: Any) -> bool:
    """Tell whether something may see or change what psycopg's connection executes."""
    return (
        type(driver_connection) is not psycopg.Connection
        or driver_connection.cursor_factory is not _CURSOR_FACTORY
        or "wait" in vars(driver_connection)
        or _of_driver(psycopg) != _DRIVER
    )


def _are_defined_by(package: ModuleType, methods: tuple[Any, ...]) -> bool:
    """Tell whether the code of functions is in a package: that of a function in its place is not, whatever its name."""
    folder = str(Path(str(package.__file__)).parent)
    return all(type(one) is FunctionType and one.__code__.co_filename.startswith(folder) for one in methods)


def _find_methods() -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]] | None:
    """Return the methods that are there at import; None if they are not genuine, or those of another version."""
    try:
        found = _of_backend(base.DatabaseWrapper), _of_cursors(CursorWrapper), _of_driver(psycopg)
    except AttributeError:
        return None
    is_genuine = _are_defined_by(django, found[0] + found[1]) and _are_defined_by(psycopg, found[2])
    return found if is_genuine else None


_METHODS = _find_methods()
_CAN_TELL = _METHODS is not None
_BACKEND, _CURSORS, _DRIVER = _METHODS or ((), (), ())
_CURSOR_FACTORY: Any = getattr(base, "Cursor", None)
