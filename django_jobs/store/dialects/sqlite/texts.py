"""Write instants and durations as SQLite stores and reads them: text, which sorts like the time."""

from __future__ import annotations

from datetime import UTC, datetime

from ..base.jobs import from_epoch


def as_text(value: datetime | None) -> str | None:
    """Return an instant as SQLite stores it."""
    return None if value is None else _naive_text(value.astimezone(UTC).replace(tzinfo=None))


def epoch_text(seconds: float | None) -> str | None:
    """Return an instant, in seconds since the epoch, as SQLite stores it."""
    return None if seconds is None else _naive_text(from_epoch(seconds).replace(tzinfo=None))


def _naive_text(value: datetime) -> str:
    """Write an instant as SQLite's ``strftime`` does if milliseconds are enough, so that equal times are equal text."""
    text = value.isoformat(sep=" ", timespec="microseconds")
    return text.removesuffix("000")


def as_modifier(seconds: float | None) -> str | None:
    """Return seconds as a modifier of SQLite's date functions."""
    return None if seconds is None else f"{seconds:+.6f}"
