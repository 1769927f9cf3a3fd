"""Roll up counted attempts and deaths into totals of each queue and time span."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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
    """How many attempts of a queue ended in one minute in one way. ``minute`` counts from the epoch.

    ``kind``: ``succeeded``, ``retried``, ``dead`` or another; ``wait`` and ``run``: buckets of ``histogram``,
    None if not measured.
    """

    minute: int
    queue_name: str
    kind: str
    wait: int | None
    run: int | None
    number: int


class Span(NamedTuple):
    """One queue in one span of time."""

    seconds: int
    starts_at: datetime
    queue_name: str


@dataclass(slots=True)
class SpanTotals:
    """Totals of one span; ``waits`` and ``runs`` map a bucket to a number."""

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    def add(self, count: AttemptCount) -> None:
        """Add a count."""
        match count.kind:
            case "succeeded":
                self.succeeded += count.number
            case "retried":
                self.retried += count.number
            case "dead":
                self.dead += count.number
        if count.wait is not None:
            self.waits[min(count.wait, MAX_BUCKET)] += count.number
        if count.run is not None:
            self.runs[min(count.run, MAX_BUCKET)] += count.number

    def merge(self, other: SpanTotals) -> None:
        """Add other totals."""
        self.succeeded += other.succeeded
        self.retried += other.retried
        self.dead += other.dead
        self.waits.update(other.waits)
        self.runs.update(other.runs)


def totals_by_span(counted: Iterable[AttemptCount], *, now: datetime) -> dict[Span, SpanTotals]:
    """Return the totals of each span that is still stored, per queue and for all queues."""
    minutes: dict[tuple[int, str], SpanTotals] = {}
    for count in counted:
        minutes.setdefault((count.minute, count.queue_name), SpanTotals()).add(count)
    totals: dict[Span, SpanTotals] = {}
    for (minute, queue_name), ended in minutes.items():
        for seconds, kept in SPAN_RETENTION.items():
            starts_at = span_start(minute * 60, seconds)
            if now - kept <= starts_at <= now + MAX_CLOCK_SKEW:
                for name in (queue_name, ALL_QUEUES):
                    totals.setdefault(Span(seconds, starts_at, name), SpanTotals()).merge(ended)
    return totals


def span_start(epoch_seconds: float, span_seconds: int) -> datetime:
    """Return the start of the span that contains a time."""
    return datetime.fromtimestamp(int(epoch_seconds // span_seconds) * span_seconds, UTC)
