from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.histogram import MAX_BUCKET, bucket_of, percentile, seconds_of

durations = st.floats(min_value=0.0002, max_value=10_000_000)


@given(durations)
def test_a_bucket_stands_for_a_duration_at_most_a_tenth_off(seconds: float) -> None:
    assert seconds_of(bucket_of(seconds)) == pytest.approx(seconds, rel=0.1)


@given(durations, durations)
def test_longer_durations_never_fall_into_lower_buckets(one: float, other: float) -> None:
    assert (one <= other) <= (bucket_of(one) <= bucket_of(other))


@pytest.mark.parametrize("seconds", [-5.0, 0.0, 0.0001])
def test_tiny_and_negative_durations_are_in_the_first_bucket(seconds: float) -> None:
    assert bucket_of(seconds) == 0


def test_no_duration_is_beyond_the_highest_bucket() -> None:
    assert bucket_of(1e300) == MAX_BUCKET


@given(st.lists(durations, min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentiles_are_those_of_the_durations_themselves_a_tenth_off(all_seconds: list[float], share: float) -> None:
    exact = sorted(all_seconds)[max(math.ceil(len(all_seconds) * share), 1) - 1]
    assert percentile(Counter(map(bucket_of, all_seconds)), share) == pytest.approx(exact, rel=0.1)


def test_no_durations_have_no_percentile() -> None:
    assert percentile({}, 0.5) is None
