"""The database's clock as a query expression."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import DateTimeField, Func


class DatabaseNow(Func):
    """The instant at which the statement began, by the database's clock, with an optional offset.

    Django's own ``Now()`` uses the session's time zone on MySQL and, inside a transaction on some databases, the
    time at which that began.
    """

    arity = 0
    output_field = DateTimeField()

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        super().__init__()
        self.seconds = offset.total_seconds()

    def _constructor_args(
        self,
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:  # pragma: no cover - used by Django's repr
        return (timedelta(seconds=self.seconds),), {}

    def as_postgresql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Return the expression for PostgreSQL."""
        return "(statement_timestamp() + %s * interval '1 second')", [self.seconds]

    def as_mysql(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, list[Any]]:
        """Return the expression for MySQL and MariaDB."""
        return "TIMESTAMPADD(MICROSECOND, %s, UTC_TIMESTAMP(6))", [round(self.seconds * 1_000_000)]

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> tuple[str, Any]:
        """Return the expression for SQLite."""
        return "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now', %s)", [f"{self.seconds:+.6f} seconds"]
