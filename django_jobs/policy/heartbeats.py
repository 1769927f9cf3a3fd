"""Decide when a heartbeat is overdue: later than a busy database explains, long before its worker counts as lost."""

from __future__ import annotations

from datetime import timedelta

SPARE_SHARE = 1 / 4


def spare_time(*, interval: timedelta, stale_after: timedelta) -> timedelta:
    """Return how late a heartbeat may be before something is done about it."""
    return (stale_after - interval) * SPARE_SHARE


def overdue_after(*, interval: timedelta, stale_after: timedelta) -> timedelta:
    """Return the age at which the last heartbeat that was saved shows that the next one is overdue."""
    return interval + spare_time(interval=interval, stale_after=stale_after)
