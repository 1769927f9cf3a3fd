"""When the backlog is sampled, and what two samples say about the jobs that arrived between them.

A sample is a level: how many jobs of a queue were ready and how many ran, within ten seconds of a minute's start. What
arrived during a span follows from the levels at its two ends and the attempts that ended in it::

    arrived = ended + (waiting + running) at the end - (waiting + running) at the start

So nothing is written or read for each job. It holds for jobs of long transactions, retries and scheduled jobs alike:
each arrives when it becomes ready. The ids of new jobs would not do: their transactions are the caller's, and one that
is open for a minute commits ids far below the newest. Waiting jobs that are cancelled or moved away count against the
arrivals.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from .rollup import span_start

SAMPLE_SPAN = timedelta(minutes=1)
MAX_DELAY = timedelta(seconds=10)
"""A sample that is taken later than that after the start of its minute would be of another time."""

MAX_SAMPLED = 100_000
"""Waiting jobs of one queue are counted up to this number.

A count reads one index entry a job. On PostgreSQL, where a part of them also needs the row, 100,000 take at most as
much as 0.3 % of a core, once a minute.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """How many jobs of a queue were ready and how many ran, at one instant.

    ``is_more``: at least ``waiting`` were ready.
    """

    waiting: int = 0
    running: int = 0
    is_more: bool = False


def due_sample(now: datetime, sampled_at: datetime | None) -> datetime | None:
    """Return the minute whose sample is due; None if it was taken, or if it is too late for it."""
    minute = span_start(now.timestamp(), int(SAMPLE_SPAN.total_seconds()))
    if now - minute >= MAX_DELAY or (sampled_at is not None and sampled_at >= minute):
        return None
    return minute


def until_next_minute(now: datetime) -> float:
    """Return the seconds until the next minute starts."""
    seconds = SAMPLE_SPAN.total_seconds()
    return seconds - now.timestamp() % seconds


def count_arrivals(before: Level | None, after: Level | None, *, ended: int) -> int | None:
    """Return how many jobs arrived between two samples while ``ended`` attempts ended.

    None if a sample is missing, or counted less than all.
    """
    if before is None or after is None or before.is_more or after.is_more:
        return None
    return max(ended + after.waiting + after.running - before.waiting - before.running, 0)
