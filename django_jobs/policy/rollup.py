"""Roll up counted attempts and deaths into totals of each queue and time span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from .histogram import MAX_BUCKET

SPAN_RETENTION = {60: timedelta(hours=3), 600: timedelta(days=3), 3600: timedelta(days=60)}
"""How long the totals of each span are stored: at least three times the period of the page that shows them."""

MAX_CLOCK_SKEW = timedelta(hours=1)
"""Counts further in the future come from a wrong clock and would never be pruned."""


ALL_QUEUES = ",all"
"""Name of the totals over all queues, which no queue can have: pages need not merge them."""


class AttemptCount(NamedTuple):
    """How ``number`` attempts of one job type ended, in one queue and one minute, counted from the epoch.

    ``waits`` and ``runs`` have a bucket of ``histogram`` for each attempt that was measured, in digits or as a number;
    ``run_seconds``: how long all of them ran.
    """

    minute: int
    queue_name: str
    job_name: str
    number: int
    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    run_seconds: float = 0.0
    waits: Sequence[str | int] = ()
    runs: Sequence[str | int] = ()


class Span(NamedTuple):
    """One queue in one span of time."""

    seconds: int
    starts_at: datetime
    queue_name: str


@dataclass(slots=True)
class SpanTotals:
    """Totals of one span. Buckets are collected, and counted once at the end: ten times as fast as adding counts."""

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    run_seconds: float = 0.0
    wait_buckets: list[str | int] = field(default_factory=list)
    run_buckets: list[str | int] = field(default_factory=list)

    def add(self, count: AttemptCount) -> None:
        """Add a count."""
        self.succeeded += count.succeeded
        self.retried += count.retried
        self.dead += count.dead
        self.run_seconds += count.run_seconds
        self.wait_buckets += count.waits
        self.run_buckets += count.runs

    @property
    def waits(self) -> Counter[int]:
        """How many attempts each bucket of the wait times has."""
        return _histogram(self.wait_buckets)

    @property
    def runs(self) -> Counter[int]:
        """How many attempts each bucket of the run times has."""
        return _histogram(self.run_buckets)


def totals_by_span(counted: Iterable[AttemptCount], *, now: datetime) -> dict[Span, SpanTotals]:
    """Return the totals of each span that is still stored, per queue and for all queues."""
    starts: dict[int, list[tuple[int, datetime]]] = {}
    totals: dict[Span, SpanTotals] = {}
    for count in counted:
        if count.minute not in starts:
            starts[count.minute] = _stored_spans(count.minute, now)
        for seconds, starts_at in starts[count.minute]:
            for name in (count.queue_name, ALL_QUEUES):
                span = Span(seconds, starts_at, name)
                of_span = totals.get(span)
                if of_span is None:
                    of_span = totals[span] = SpanTotals()
                of_span.add(count)
    return totals


def _stored_spans(minute: int, now: datetime) -> list[tuple[int, datetime]]:
    spans = [(seconds, span_start(minute * 60, seconds), kept) for seconds, kept in SPAN_RETENTION.items()]
    return [(seconds, start) for seconds, start, kept in spans if now - kept <= start <= now + MAX_CLOCK_SKEW]


def span_start(epoch_seconds: float, span_seconds: int) -> datetime:
    """Return the start of the span that contains a time."""
    return datetime.fromtimestamp(int(epoch_seconds // span_seconds) * span_seconds, UTC)


def _histogram(buckets: Iterable[str | int]) -> Counter[int]:
    histogram: Counter[int] = Counter()
    for bucket, number in Counter(map(int, buckets)).items():
        histogram[min(MAX_BUCKET, bucket)] += number
    return histogram
