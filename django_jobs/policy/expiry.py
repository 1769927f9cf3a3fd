"""Expiry of a new job, and whether it could start before it expires."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple


class Expiry(NamedTuple):
    """A datetime, or seconds after the enqueue by the database's clock; neither: the job does not expire."""

    at: datetime | None = None
    seconds: float | None = None


NO_EXPIRY = Expiry()


def resolve_expiry(
    own: datetime | timedelta | None,
    usual: timedelta | None,
    *,
    run_after: datetime | timedelta | None,
    now: datetime,
) -> Expiry:
    """Return when a job expires: ``own`` is the option of its enqueue, ``usual`` that of its definition.

    A datetime, or a time after the enqueue; ``usual`` counts from when the job is due.
    """
    match own, usual, run_after:
        case datetime(), _, _:
            return Expiry(at=own)
        case timedelta(), _, _:
            return Expiry(seconds=own.total_seconds())
        case None, timedelta(), datetime():
            return Expiry(at=max(run_after, now) + usual)
        case None, timedelta(), timedelta():
            return Expiry(seconds=(max(run_after, timedelta(0)) + usual).total_seconds())
        case None, timedelta(), None:
            return Expiry(seconds=usual.total_seconds())
    return NO_EXPIRY


def expiry_error(expiry: Expiry, *, run_after: datetime | timedelta | None, now: datetime) -> str | None:
    """Return what the expiry was expected to be if the job could never start before it, else None."""
    expires = now + timedelta(seconds=expiry.seconds) if expiry.seconds is not None else expiry.at
    if expires is None:
        return None
    if expires <= now:
        return "an instant in the future"
    due = now + run_after if isinstance(run_after, timedelta) else run_after
    if due is not None and expires <= due:
        return f"an instant after its run_after ({run_after})"
    return None
