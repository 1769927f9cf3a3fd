"""A sample is due once a minute, near its start; arrivals follow from two samples and what ended between them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.policy.backlog import Level, count_arrivals, due_sample, until_next_minute

MINUTE = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return MINUTE + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("now", "sampled", "due"),
    [
        (at(0), None, MINUTE),
        (at(9.9), None, MINUTE),
        (at(0.2), at(-59), MINUTE),
        (at(0.2), at(-0.001), MINUTE),
        (at(5), at(0), None),
        (at(5), at(0.2), None),
        (at(5), at(3600), None),  # by a clock that was set back
        (at(10), None, None),
        (at(59.9), at(-59), None),
    ],
)
def test_a_sample_is_due_near_the_start_of_a_minute_that_has_none(
    now: datetime, sampled: datetime | None, due: datetime | None
) -> None:
    assert due_sample(now, sampled) == due


def test_the_next_minute_is_at_most_one_away() -> None:
    assert until_next_minute(MINUTE) == 60
    assert until_next_minute(at(59.75)) == pytest.approx(0.25)


def test_what_ended_and_what_waits_or_runs_in_addition_has_arrived() -> None:
    assert count_arrivals(Level(), Level(), ended=0) == 0
    assert count_arrivals(Level(), Level(waiting=7, running=3), ended=0) == 10
    assert count_arrivals(Level(waiting=50, running=4), Level(waiting=20, running=4), ended=30) == 0
    assert count_arrivals(Level(waiting=50, running=4), Level(waiting=60, running=2), ended=90) == 98


def test_waiting_jobs_that_were_cancelled_never_make_arrivals_negative() -> None:
    assert count_arrivals(Level(waiting=50), Level(), ended=3) == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, Level()),
        (Level(), None),
        (Level(waiting=5, is_more=True), Level()),
        (Level(), Level(waiting=5, is_more=True)),
    ],
)
def test_without_two_full_counts_arrivals_are_not_known(before: Level | None, after: Level | None) -> None:
    assert count_arrivals(before, after, ended=5) is None
