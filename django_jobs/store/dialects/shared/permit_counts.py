"""Count the used permits and the waiting jobs of limits in one statement: a bounded range of the index for each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

from ..base.jobs import as_instant

# Phases: 1 waiting, 2 held, 3 cooling. Ordered like the index, so that each part reads a range of it and stops.
IN_USE = """
SELECT %s AS limit_id, 1 AS is_use, count(*) AS number, min(since) AS since FROM (
    SELECT since FROM django_jobs_permit WHERE limit_id = %s AND phase >= 2 AND (phase = 2 OR free_at > %s)
    ORDER BY phase, urgency, job_id LIMIT %s
) AS given
"""
WAITING = """
SELECT %s AS limit_id, 0 AS is_use, count(*) AS number, min(since) AS since FROM (
    SELECT since FROM django_jobs_permit WHERE limit_id = %s AND phase = 1 ORDER BY urgency, job_id LIMIT %s
) AS waiting
"""


class LimitUsage(NamedTuple):
    """The number of used permits and waiting jobs of a limit, and since when the first of these has waited."""

    in_use: int
    waiting: int
    waiting_since: datetime | None


def read_limit_usage(
    connection: BaseDatabaseWrapper, limit_ids: Sequence[int], *, now: datetime, limit: int
) -> dict[int, LimitUsage]:
    """Count each limit's permits and waiting jobs, both up to ``limit``; the longest wait is that among the counted."""
    if not limit_ids:
        return {}
    instant = connection.ops.adapt_datetimefield_value(now)
    parts: list[tuple[str, list[Any]]] = [(WAITING, [pk, pk, limit]) for pk in limit_ids]
    parts += [(IN_USE, [pk, pk, instant, limit]) for pk in limit_ids]
    in_use = dict.fromkeys(limit_ids, 0)
    waiting: dict[int, tuple[int, datetime | None]] = dict.fromkeys(limit_ids, (0, None))
    with connection.cursor() as cursor:
        cursor.execute(
            " UNION ALL ".join(f"SELECT * FROM ({part}) AS part_{at}" for at, (part, _) in enumerate(parts)),
            [value for _, values in parts for value in values],
        )
        for pk, is_use, number, since in cursor.fetchall():
            if is_use:
                in_use[pk] = number
            else:
                waiting[pk] = (number, as_instant(since))
    return {pk: LimitUsage(in_use[pk], *waiting[pk]) for pk in limit_ids}
