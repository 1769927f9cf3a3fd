"""Totals of each job type in a span of time: at most 500 types, the rest as one.

A span is stored as one JSON object, so that a fold writes one row however many types there are::

    {"shop.tasks.charge": [succeeded, retried, dead, run seconds, [wait bucket, number, ...], [run bucket, ...]]}
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

from .rollup import MAX_CLOCK_SKEW, AttemptCount, SpanTotals, span_start

TYPE_SPANS = {600: timedelta(hours=3), 3600: timedelta(hours=49), 86_400: timedelta(days=60)}
"""How old the spans of each length become. Older ones are moved into the next longer one; days are deleted.

So an attempt is in one span only, and a fold writes one: to add to all three took twice the CPU. A page of a day
compares hours with yesterday's, a page of a week days.
"""

MAX_TYPES = 500
OTHER_TYPES = ",other"
"""Name of the totals of all further types, and of jobs that were deleted before they were counted."""

StoredTotals = list[Any]
"""As in the JSON object; see above."""


@dataclass(slots=True)
class TypeTotals:
    """Totals of one type; ``run_seconds``: how long its attempts ran, all together."""

    succeeded: int = 0
    retried: int = 0
    dead: int = 0
    run_seconds: float = 0.0
    waits: Counter[int] = field(default_factory=Counter)
    runs: Counter[int] = field(default_factory=Counter)

    def merge(self, other: TypeTotals | SpanTotals) -> None:
        """Add other totals."""
        self.succeeded += other.succeeded
        self.retried += other.retried
        self.dead += other.dead
        self.run_seconds += other.run_seconds
        self.waits.update(other.waits)
        self.runs.update(other.runs)

    @property
    def ended(self) -> int:
        """How many attempts succeeded or are repeated, and how many jobs died."""
        return self.succeeded + self.retried + self.dead

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return self.retried + self.dead


class SummedTotals:
    """Stored totals of one type, added up. Its histograms are when they are read: a list of all types needs few."""

    def __init__(self) -> None:
        self.ended = self.failed = 0
        self.run_seconds = 0.0
        self._waits: list[Sequence[int]] = []
        self._runs: list[Sequence[int]] = []

    def add(self, stored: StoredTotals) -> None:
        """Add the totals of a span."""
        succeeded, retried, dead, run_seconds, waits, runs = stored
        self.failed += retried + dead
        self.ended += succeeded + retried + dead
        self.run_seconds += run_seconds
        self._waits.append(waits)
        self._runs.append(runs)

    @cached_property
    def waits(self) -> dict[int, int]:
        """The histogram of the wait times."""
        return sum_pairs(self._waits)

    @cached_property
    def runs(self) -> dict[int, int]:
        """The histogram of the run times."""
        return sum_pairs(self._runs)


class TypeSpan(NamedTuple):
    """All types in one span of time."""

    seconds: int
    starts_at: datetime


def totals_by_type(counted: Iterable[AttemptCount], *, now: datetime) -> dict[TypeSpan, dict[str, SpanTotals]]:
    """Return the totals of each type in the shortest spans, if they are stored for as long."""
    shortest, oldest = min(TYPE_SPANS), now - max(TYPE_SPANS.values())
    types: dict[int, dict[str, SpanTotals]] = {}
    for count in counted:
        of_span = types.setdefault(count.minute * 60 // shortest, {})
        name = count.job_name or OTHER_TYPES
        totals = of_span.get(name)
        if totals is None:
            totals = of_span[name] = SpanTotals()
        totals.add(count)
    spans = {TypeSpan(shortest, span_start(number * shortest, shortest)): totals for number, totals in types.items()}
    return {span: of for span, of in spans.items() if oldest <= span.starts_at <= now + MAX_CLOCK_SKEW}


def longer_span(span: TypeSpan) -> TypeSpan | None:
    """Return the next longer span, that contains this one; None for a day."""
    longer = min((seconds for seconds in TYPE_SPANS if seconds > span.seconds), default=None)
    return None if longer is None else TypeSpan(longer, span_start(span.starts_at.timestamp(), longer))


def add_types(
    stored: Mapping[str, StoredTotals], added: Mapping[str, SpanTotals] | Mapping[str, TypeTotals]
) -> dict[str, StoredTotals]:
    """Return the stored types with others added, limited to the 500 of which most attempts ended."""
    types = dict(stored)
    for name, totals in added.items():
        _add(types, name, totals)
    return limit_types(types)


def limit_types(types: dict[str, StoredTotals], *, limit: int = MAX_TYPES) -> dict[str, StoredTotals]:
    """Return the types of which most attempts ended, and the sum of the rest under ``OTHER_TYPES``.

    A type that is left out begins anew when it is seen again, so one that runs often comes in soon.
    """
    named = [name for name in types if name != OTHER_TYPES]
    if len(named) <= limit:
        return types
    named.sort(key=lambda name: (-sum(types[name][:3]), name))
    kept = {name: types[name] for name in (*named[:limit], OTHER_TYPES) if name in types}
    for name in named[limit:]:
        _add(kept, OTHER_TYPES, type_totals(types[name]))
    return kept


def type_totals(stored: StoredTotals) -> TypeTotals:
    """Return stored totals as an object."""
    succeeded, retried, dead, run_seconds, waits, runs = stored
    return TypeTotals(succeeded, retried, dead, run_seconds, _histogram(waits), _histogram(runs))


def _add(types: dict[str, StoredTotals], name: str, added: TypeTotals | SpanTotals) -> None:
    stored = types.get(name)
    totals = TypeTotals() if stored is None else type_totals(stored)
    totals.merge(added)
    types[name] = [
        totals.succeeded,
        totals.retried,
        totals.dead,
        round(totals.run_seconds, 3),
        _pairs(totals.waits),
        _pairs(totals.runs),
    ]


def sum_pairs(stored: Iterable[Sequence[int]]) -> dict[int, int]:
    """Add stored histograms up."""
    pairs = chain.from_iterable(stored)
    histogram: dict[int, int] = defaultdict(int)
    for bucket, number in zip(pairs, pairs, strict=True):
        histogram[bucket] += number
    return dict(histogram)


def _histogram(pairs: Sequence[int]) -> Counter[int]:
    return Counter(dict(zip(pairs[::2], pairs[1::2], strict=True)))


def _pairs(histogram: Counter[int]) -> list[int]:
    return [value for pair in sorted(histogram.items()) for value in pair]
