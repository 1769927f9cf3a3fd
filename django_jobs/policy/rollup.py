"""Add up what ended: from counted tries and deaths to what a queue did in each span of time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from .histogram import MAX_BUCKET

SPAN_RETENTION = {60: timedelta(hours=3), 600: timedelta(days=3), 3600: timedelta(days=60)}
"""How long the sums of each span are kept: three times what the page of that span shows, or more."""

MAX_CLOCK_SKEW = timedelta(hours=1)
"""What ended later than this from now has a wrong clock, and would never be pruned."""


ALL_QUEUES = ",all"
"""Under this name, which no queue can have, stands what all queues add up to: a page need not merge them."""


class AttemptCount(NamedTuple):
    """How many ended in one minute of one queue in one way. ``minute`` counts from the epoch.

    ``kind`` is ``succeeded``, ``retried``, ``dead`` or anything else; ``wait`` and ``run`` are buckets of
    ``histogram``, None where there is nothing to measure.
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
    """What ended in one span; ``waits`` and ``runs`` map a bucket to how many."""

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    def add(self, one: AttemptCount) -> None:
        """Take in what was counted."""
        match one.kind:
            case "succeeded":
                self.succeeded += one.number
            case "retried":
                self.retried += one.number
            case "dead":
                self.dead += one.number
        if one.wait is not None:
            self.waits[min(one.wait, MAX_BUCKET)] += one.number
        if one.run is not None:
            self.runs[min(one.run, MAX_BUCKET)] += one.number

    def merge(self, other: SpanTotals) -> None:
        """Take in what other sums hold."""
        self.succeeded += other.succeeded
        self.retried += other.retried
        self.dead += other.dead
        self.waits.update(other.waits)
        self.runs.update(other.runs)


def totals_by_span(counted: Iterable[AttemptCount], *, now: datetime) -> dict[Span, SpanTotals]:
    """Add up what was counted for each span that is still kept, of each queue and of all."""
    minutes: dict[tuple[int, str], SpanTotals] = {}
    for one in counted:
        minutes.setdefault((one.minute, one.queue_name), SpanTotals()).add(one)
    sums: dict[Span, SpanTotals] = {}
    for (minute, queue_name), ended in minutes.items():
        for seconds, kept in SPAN_RETENTION.items():
            starts_at = span_start(minute * 60, seconds)
            if now - kept <= starts_at <= now + MAX_CLOCK_SKEW:
                for name in (queue_name, ALL_QUEUES):
                    sums.setdefault(Span(seconds, starts_at, name), SpanTotals()).merge(ended)
    return sums


def span_start(epoch_seconds: float, span_seconds: int) -> datetime:
    """Return when the span began into which an instant falls."""
    return datetime.fromtimestamp(int(epoch_seconds // span_seconds) * span_seconds, UTC)
