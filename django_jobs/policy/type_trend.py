"""Compare a job type with itself at the same time before: does it fail more, is it slower?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import log2, sqrt
from typing import Protocol

from .histogram import percentile

MIN_ATTEMPTS = 20
"""Fewer attempts, now or before, say nothing of a percentile."""
SURE_SCORE = 3.0
"""Standard errors between two failure rates that hardly come about by chance."""
MIN_RATE_CHANGE = 0.005
SLOWER_RATIO = 1.5
"""Beyond what buckets of 19 % and chance make of the same times."""


class Mark(StrEnum):
    """Change of a type since before."""

    FAILS_MORE = "fails_more"
    SLOWER = "slower"
    NEW = "new"
    BETTER = "better"
    SAME = "same"


class Totals(Protocol):
    """Totals of a type over a time."""

    @property
    def ended(self) -> int:
        """How many attempts ended."""

    @property
    def failed(self) -> int:
        """How many of them failed."""

    @property
    def runs(self) -> Mapping[int, int]:
        """The histogram of their run times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeTrend:
    """A type compared with before. ``failure_score``: by how many standard errors its failure rate rose.

    ``slower``: the ratio of the 95th percentiles of the run times; None if there are too few runs.
    """

    mark: Mark
    failure_score: float
    slower: float | None

    @property
    def severity(self) -> tuple[int, float]:
        """Sorts by what got worse: more failures first, then slower runs."""
        match self.mark:
            case Mark.FAILS_MORE:
                return 2, self.failure_score
            case Mark.SLOWER:
                return 1, log2(self.slower or 1)
            case _:
                return 0, self.failure_score


def failure_rate(totals: Totals) -> float:
    """Return the share of ended attempts that failed, 0 if none ended."""
    return totals.failed / totals.ended if totals.ended else 0.0


def compare(now: Totals, before: Totals) -> TypeTrend:
    """Compare the totals of a type with those of before."""
    score, slower = _failure_score(now, before), _slowdown(now, before)
    return TypeTrend(mark=_mark(now, before, score, slower), failure_score=score, slower=slower)


def _mark(now: Totals, before: Totals, score: float, slower: float | None) -> Mark:
    if not before.ended:
        return Mark.NEW
    change = failure_rate(now) - failure_rate(before)
    if score >= SURE_SCORE and change >= MIN_RATE_CHANGE:
        return Mark.FAILS_MORE
    if slower is not None and slower >= SLOWER_RATIO:
        return Mark.SLOWER
    is_faster = slower is not None and slower <= 1 / SLOWER_RATIO
    return Mark.BETTER if is_faster or (score <= -SURE_SCORE and change <= -MIN_RATE_CHANGE) else Mark.SAME


def _failure_score(now: Totals, before: Totals) -> float:
    """Return the difference of two shares in standard errors; a type that did not run before is compared with none."""
    if not now.ended:
        return 0.0
    others = before.ended or now.ended
    pooled = (now.failed + before.failed + 1) / (now.ended + others + 2)  # never 0 or 1
    error = sqrt(pooled * (1 - pooled) * (1 / now.ended + 1 / others))
    return (failure_rate(now) - failure_rate(before)) / error


def _slowdown(now: Totals, before: Totals) -> float | None:
    if min(sum(now.runs.values()), sum(before.runs.values())) < MIN_ATTEMPTS:
        return None
    p95, p95_before = percentile(now.runs, 0.95), percentile(before.runs, 0.95)
    return None if p95 is None or p95_before is None else p95 / p95_before
