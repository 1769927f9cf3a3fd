"""Instants after the database's clock was set back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.policy.clock_steps import ClockReading, clamped, clamped_closing, shifted, step_back, step_forward

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("instant", "span", "expected"),
    [
        (NOW - HOUR, MINUTE, NOW - HOUR),
        (NOW + MINUTE, MINUTE, NOW + MINUTE),
        (NOW + MINUTE + SECOND, MINUTE, NOW + MINUTE + SECOND),
        (NOW + HOUR, MINUTE, NOW + MINUTE),
        (NOW + HOUR, timedelta(0), NOW),
    ],
)
def test_an_instant_is_at_most_its_span_ahead(instant: datetime, span: timedelta, expected: datetime) -> None:
    assert clamped(instant, now=NOW, span=span) == expected


def test_an_instant_made_in_the_future_is_as_far_ahead_as_it_was() -> None:
    assert shifted(NOW + HOUR + MINUTE, NOW + HOUR, now=NOW) == NOW + MINUTE
    assert shifted(NOW + HOUR, NOW - MINUTE, now=NOW) == NOW + HOUR
    assert shifted(NOW + MINUTE, NOW + HOUR, now=NOW) == NOW + MINUTE, "it was made after the step"


def test_a_closing_without_a_known_beginning_is_clamped_by_its_span_alone() -> None:
    assert clamped_closing(NOW + HOUR, None, now=NOW, span=MINUTE) == NOW + MINUTE
    assert clamped_closing(NOW + HOUR, None, now=NOW, span=None) == NOW + HOUR
    assert clamped_closing(NOW + HOUR + MINUTE, NOW + HOUR, now=NOW, span=None) == NOW + MINUTE


def test_a_step_is_told_from_a_pause_and_a_slow_answer() -> None:
    last = ClockReading(9.0, NOW, 10.0)
    assert step_back(last, ClockReading(15.0, NOW - HOUR, 15.0)) == HOUR + 5 * SECOND
    assert step_back(last, ClockReading(15.0, NOW + HOUR, 15.0)) == timedelta(0)
    assert step_back(last, ClockReading(15.5, NOW + 5 * SECOND, 15.5)) == timedelta(0)
    assert step_back(last, ClockReading(15.0, NOW + 6 * SECOND, 95.0)) == timedelta(0)


def test_a_step_forward_is_more_than_the_time_that_may_have_passed() -> None:
    last = ClockReading(9.0, NOW, 10.0)
    assert step_forward(last, ClockReading(15.0, NOW + HOUR, 15.0)) == HOUR - 6 * SECOND
    assert step_forward(last, ClockReading(15.0, NOW + 6 * SECOND, 15.0)) == timedelta(0)
    assert step_forward(last, ClockReading(15.0, NOW - HOUR, 15.0)) == timedelta(0)
