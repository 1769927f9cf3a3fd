"""Clamp instants after the database's clock was set back: none may be further ahead than the span it was made of."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

TOLERANCE = timedelta(seconds=1)
"""How far ahead an instant may be without a step: transactions and servers of a cluster differ by less."""


def clamped(instant: datetime, *, now: datetime, span: timedelta = timedelta(0)) -> datetime:
    """Return an instant that was computed as the time of then plus ``span``: at most ``span`` ahead of now."""
    latest = now + span
    return latest if instant > latest + TOLERANCE else instant


def shifted(instant: datetime, made_at: datetime, *, now: datetime) -> datetime:
    """Return an instant that was computed at ``made_at``; if that is in the future, as far ahead of now as of then."""
    if made_at <= now + TOLERANCE or instant <= made_at:
        return instant
    return now + (instant - made_at)


def clamped_closing(until: datetime, closed_at: datetime | None, *, now: datetime, span: timedelta | None) -> datetime:
    """Return until when a limit is closed that was closed at ``closed_at``, if known, for ``span``, if it is fixed."""
    if closed_at is not None:
        until = shifted(until, closed_at, now=now)
    return until if span is None else clamped(until, now=now, span=span)


class ClockReading(NamedTuple):
    """The database's time, and this host's monotonic clock in seconds ``before`` and ``after`` it was asked."""

    before: float
    instant: datetime
    after: float


def step_back(last: ClockReading, reading: ClockReading) -> timedelta:
    """Return by how much at least the database's clock was set back between two readings, or zero.

    A slow answer is no step: only the time that has surely passed between the two counts.
    """
    passed = timedelta(seconds=reading.before - last.after)
    behind = passed - (reading.instant - last.instant)
    return behind if behind > TOLERANCE else timedelta(0)


def step_forward(last: ClockReading, reading: ClockReading) -> timedelta:
    """Return by how much at least the database's clock was set forward between two readings, or zero.

    The same is seen after a suspended host resumes: its monotonic clock stands still meanwhile.
    """
    ahead = (reading.instant - last.instant) - timedelta(seconds=reading.after - last.before)
    return ahead if ahead > TOLERANCE else timedelta(0)
