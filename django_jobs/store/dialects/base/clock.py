"""The text by which the statements of a vendor read the database's clock: the same in all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

OWN_TABLES = "django_jobs_"
"""In every statement that reads the clock for the engine, except ``ServerClock.statement``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerClock:
    """A vendor's clock: ``reading`` is its text in a statement, ``statement`` selects it alone.

    ``literal``: text with ``{}`` for an instant, which may stand instead of ``reading``. ``resolution``: between two
    instants that the clock can tell apart.
    """

    reading: str
    statement: str
    literal: str
    resolution: timedelta = timedelta.resolution

    def is_read_by(self, sql: str) -> bool:
        """Tell whether a statement reads the clock for the engine, and not for the project."""
        return self.reading in sql and (OWN_TABLES in sql or sql == self.statement)

    def at(self, sql: str, instant: datetime) -> str:
        """Return a statement as if the clock stood at an instant."""
        text = instant.astimezone(UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
        return sql.replace(self.reading, self.literal.format(text))

    def round_up(self, instant: datetime) -> datetime:
        """Return the first instant of the clock's that is no earlier than this one."""
        return instant + (instant.min.replace(tzinfo=instant.tzinfo) - instant) % self.resolution
