"""All instants that are compared with the database's clock and may be left ahead of it when it is set back.

Workers clamp them a window of each table at a time; ``jobs doctor`` counts them by the same functions. Heartbeats are
clamped before each search for lost workers (``workers.py``), and the start of a schedule's code when it is read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from django.db.models import Manager, Q

from ..models import AlertHistory, Batch, Deploy, RollupPosition
from ..policy.batches import BatchState
from ..policy.clock_steps import TOLERANCE
from .clock import DatabaseNow
from .dialects import open_dialect
from .enqueue.future_instants import clamp_keys
from .lifecycle.future_instants import clamp_retries
from .limits.future_instants import clamp_cooling_permits, clamp_limits
from .schedules.future_instants import clamp_schedules
from .workers import clamp_heartbeats


class FutureInstants(NamedTuple):
    """A kind of instant: its ``name``, and ``clamp(after=, dry=, using=)`` from ``start`` on."""

    name: str
    clamp: Callable[..., tuple[int, Any]]
    start: Any = None


def future_instants(*, unknown_delay: timedelta) -> tuple[FutureInstants, ...]:
    """Return all kinds. ``clamp`` returns how many were too far ahead, and where to continue, None at the end."""
    return (
        FutureInstants("heartbeats", _one_statement(clamp_heartbeats)),
        FutureInstants("uses under rate limits", clamp_cooling_permits, 0),
        FutureInstants("closed limits and their checks", clamp_limits),
        FutureInstants("retries", partial(clamp_retries, unknown_delay=unknown_delay)),
        FutureInstants("idempotency keys", clamp_keys),
        FutureInstants("next ticks of schedules", clamp_schedules, 0),
        FutureInstants("activity of batches", _column(Batch.objects, "last_activity_at", Q(state=BatchState.OPEN))),
        FutureInstants("alerts", _column(AlertHistory.objects, "alerted_at")),
        FutureInstants("deploys", _column(Deploy.objects, "first_seen_at")),
        FutureInstants("positions of the rollup", _column(RollupPosition.objects, "seen_at")),
    )


def _one_statement(clamp: Callable[..., int]) -> Callable[..., tuple[int, None]]:
    def clamp_all(*, after: object, dry: bool = False, using: str | None = None) -> tuple[int, None]:
        return clamp(dry=dry, using=using), None

    return clamp_all


def _column(manager: Manager[Any], column: str, where: Q | None = None) -> Callable[..., tuple[int, None]]:
    """Return a function that sets a column of a small table to now where it is in the future."""

    def clamp(*, dry: bool = False, using: str | None = None) -> int:
        _, connection = open_dialect(using)
        rows = manager.using(connection.alias).filter(where or Q())
        ahead = rows.filter(**{f"{column}__gt": DatabaseNow(TOLERANCE)})
        return ahead.count() if dry else ahead.update(**{column: DatabaseNow()})

    return _one_statement(clamp)
