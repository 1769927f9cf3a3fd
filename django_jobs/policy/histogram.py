"""Histograms of durations: buckets, and percentiles computed from them.

Buckets grow by a factor of the fourth root of two, so that a percentile is at most 9 % off; bucket 0
has all durations up to 0.1 ms. Histograms of time spans and queues are merged by adding counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

SPANS = (60, 600, 3600)
"""The time spans, in seconds, of the statistics: for pages over an hour, a day, a week."""

MIN_SECONDS = 0.0001
BUCKETS_PER_DOUBLING = 4
MAX_BUCKET = 160
"""About three years."""


def bucket_of(seconds: float) -> int:
    """Return the bucket of a duration. Negative durations (a clock was set) count as zero."""
    if seconds <= MIN_SECONDS:
        return 0
    return min(math.ceil(math.log2(seconds / MIN_SECONDS) * BUCKETS_PER_DOUBLING), MAX_BUCKET)


def seconds_of(bucket: int) -> float:
    """Return the duration that represents a bucket: the geometric mean of its bounds."""
    if bucket <= 0:
        return MIN_SECONDS / 2
    return float(MIN_SECONDS * 2 ** ((bucket - 0.5) / BUCKETS_PER_DOUBLING))


def percentile(counts: Mapping[int, int], share: float) -> float | None:
    """Return the duration in seconds below which ``share`` (0 to 1) of all are, or None if there are none."""
    total = sum(counts.values())
    if not total:
        return None
    wanted = max(math.ceil(total * share), 1)
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed >= wanted:
            return seconds_of(bucket)
    raise AssertionError("the counts add up to their total")
