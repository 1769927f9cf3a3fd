"""How far the next step of a search looks."""

from __future__ import annotations

import pytest

from django_jobs.policy.search_steps import MAX_GROWTH, next_scan


@pytest.mark.parametrize(
    ("took", "left", "expected"),
    [
        (0.01, 1.99, 20_000 * MAX_GROWTH),  # a quick step: much further, within bounds
        (0.0, 2.0, 20_000 * MAX_GROWTH),  # quicker than the clock's resolution
        (0.3, 1.0, 50_000),  # as much as three quarters of the time left suffice for
        (0.75, 1.0, 20_000),
        (0.8, 1.0, 0),  # another such step would take longer than that
        (0.1, 0.0, 0),
        (0.1, -3.0, 0),
    ],
)
def test_a_step_is_as_large_as_the_pace_and_the_time_left_suggest(took: float, left: float, expected: int) -> None:
    assert next_scan(20_000, took=took, left=left) == expected
