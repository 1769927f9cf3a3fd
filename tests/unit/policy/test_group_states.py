from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.policy.group_states import DeathRates, GroupFacts, GroupState, first_regression, group_state

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OLD = NOW - 30 * DAY


def state(**facts: object) -> GroupState:
    values = {"open": 1, "first_died_at": OLD, **facts}
    return group_state(GroupFacts(**values), now=NOW)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, GroupState.ONGOING),
        ({"first_died_at": NOW - DAY}, GroupState.ONGOING),
        ({"first_died_at": NOW - DAY + HOUR}, GroupState.NEW),
        ({"open": 0}, GroupState.CLOSED),
        ({"open": -3}, GroupState.CLOSED),
        ({"open": 0, "resolved_at": NOW - HOUR}, GroupState.RESOLVED),
        ({"open": 0, "resolved_at": NOW - DAY, "regressed_at": NOW - HOUR}, GroupState.CLOSED),
        ({"resolved_at": NOW - DAY, "regressed_at": NOW - HOUR}, GroupState.REGRESSED),
        ({"resolved_at": NOW - HOUR}, GroupState.REGRESSED),
        ({"resolved_at": NOW - HOUR, "first_died_at": NOW - 2 * HOUR}, GroupState.REGRESSED),
        ({"muted_at": NOW}, GroupState.MUTED),
        ({"muted_at": NOW, "resolved_at": NOW - HOUR}, GroupState.MUTED),
        ({"muted_at": NOW, "open": 0}, GroupState.MUTED),
    ],
)
def test_a_group_has_the_state_of_its_facts(facts, expected):
    assert state(**facts) == expected


@pytest.mark.parametrize(
    ("rates", "is_rising"),
    [
        (DeathRates(hour=10, day=10), True),
        (DeathRates(hour=9, day=9), False),
        (DeathRates(hour=21, hour_before=10, day=21, day_before=100), True),
        (DeathRates(hour=20, hour_before=10, day=20, day_before=100), False),
        (DeathRates(hour=2, hour_before=3, day=41, day_before=20), True),
        (DeathRates(hour=2, hour_before=3, day=40, day_before=20), False),
        (DeathRates(hour=100, hour_before=100, day=100, day_before=100), False),
    ],
    ids=["after silence", "too few", "hour", "same peak", "slow growth", "no growth", "nightly"],
)
def test_a_group_rises_against_its_own_past(rates, is_rising):
    assert state(rates=rates) == (GroupState.RISING if is_rising else GroupState.ONGOING)


def test_a_day_is_compared_with_a_whole_day_before():
    rates = DeathRates(hour=1, hour_before=10, day=30, day_before=10)
    assert state(rates=rates, first_died_at=NOW - 30 * HOUR) == GroupState.ONGOING
    assert state(rates=rates, first_died_at=NOW - 48 * HOUR) == GroupState.RISING


def test_what_comes_back_is_on_top():
    assert sorted(GroupState, key=lambda state: state.urgency) == [
        GroupState.REGRESSED,
        GroupState.NEW,
        GroupState.RISING,
        GroupState.ONGOING,
        GroupState.MUTED,
        GroupState.RESOLVED,
        GroupState.CLOSED,
    ]


def test_the_first_death_after_the_resolution_is_the_return_and_never_before_it():
    assert first_regression(NOW, [NOW + 2 * HOUR, NOW + HOUR]) == NOW + HOUR
    assert first_regression(NOW, [NOW - HOUR]) == NOW
    assert first_regression(NOW, []) is None
