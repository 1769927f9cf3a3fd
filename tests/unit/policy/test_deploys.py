"""What counts as a change since a deploy, and what as chance or as too few."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import comb
from typing import NamedTuple

import pytest

from django_jobs.policy.deploys import (
    FailureChange,
    RunCounts,
    Side,
    _chance,
    compared_from,
    deploy_of_error,
    find_changes,
    short_release,
    side_of_deploy,
)

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTES, HOUR = timedelta(minutes=10), timedelta(hours=1)


def found(before: tuple[int, int], after: tuple[int, int]) -> bool:
    changes = find_changes({"a": RunCounts(*before)}, {"a": RunCounts(*after)})
    return bool(changes)


def test_a_job_that_fails_more_often_is_found_with_both_shares() -> None:
    (change,) = find_changes({"sync": RunCounts(10_000, 40)}, {"sync": RunCounts(1_000, 61)})
    assert (change.job_name, change.is_worse) == ("sync", True)
    assert (round(change.before.share, 4), round(change.after.share, 4)) == (0.004, 0.061)


def test_a_job_that_fails_less_often_is_found_too() -> None:
    (change,) = find_changes({"sync": RunCounts(1_000, 61)}, {"sync": RunCounts(10_000, 40)})
    assert change.is_worse is False


@pytest.mark.parametrize(
    ("before", "after", "is_found"),
    [
        ((1_000, 0), (20, 20), True),
        ((1_000, 0), (19, 19), False),  # too few runs after
        ((19, 0), (1_000, 1_000), False),  # and before
        ((20, 0), (20, 20), True),
        ((100_000, 0), (30, 4), False),  # too few failures, however unlikely
        ((100_000, 0), (30, 5), True),
        ((100_000, 1_000), (100_000, 1_900), False),  # less than one percentage point, however sure
        ((100_000, 1_000), (100_000, 2_100), True),
        ((100_000, 10_000), (100_000, 14_000), False),  # not by half
        ((100_000, 10_000), (100_000, 15_100), True),
        ((200, 10), (200, 17), False),  # chance
        ((200, 10), (200, 40), True),
        ((50, 50), (50, 50), False),
        ((50, 0), (50, 0), False),
    ],
)
def test_a_change_must_be_large_and_not_by_chance(
    before: tuple[int, int], after: tuple[int, int], is_found: bool
) -> None:
    assert found(before, after) is is_found
    assert found(after, before) is is_found, "the way back likewise"


def test_among_many_jobs_a_change_must_be_surer() -> None:
    before, after = {"sync": RunCounts(200, 10)}, {"sync": RunCounts(200, 32)}
    assert find_changes(before, after)
    others = {f"job {at}": RunCounts(200, 10) for at in range(400)}
    assert find_changes(before | others, after | others) == []
    assert find_changes(before, after | others), "jobs that are new are not compared"


def test_the_worst_comes_first() -> None:
    before = {name: RunCounts(1_000, 100) for name in "abc"}
    after = {"a": RunCounts(1_000, 0), "b": RunCounts(1_000, 300), "c": RunCounts(1_000, 900)}
    assert [change.job_name for change in find_changes(before, after)] == ["c", "b", "a"]


@pytest.mark.parametrize(("before", "after"), [((30, 3), (20, 9)), ((20, 0), (25, 6)), ((8, 8), (9, 2))])
def test_the_chance_is_that_of_fishers_exact_test(before: tuple[int, int], after: tuple[int, int]) -> None:
    less, more = sorted((before, after), key=lambda counts: counts[1] / counts[0])
    failed = less[1] + more[1]
    ways = [comb(more[0], at) * comb(less[0], failed - at) for at in range(more[1], min(failed, more[0]) + 1)]
    exact = sum(ways) / comb(less[0] + more[0], failed)
    assert _chance(FailureChange("a", RunCounts(*before), RunCounts(*after))) == pytest.approx(exact, rel=1e-9)


def test_large_numbers_are_compared_without_overflow() -> None:
    assert _chance(FailureChange("a", RunCounts(10**8, 10**5), RunCounts(10**8, 10**5 + 50))) == pytest.approx(
        0.46, abs=0.02
    )


@pytest.mark.parametrize(
    ("previous", "hours"), [(None, 24), (timedelta(days=9), 24), (timedelta(hours=5), 5), (timedelta(minutes=3), 1)]
)
def test_a_deploy_is_compared_with_the_time_since_the_one_before(previous: timedelta | None, hours: int) -> None:
    previous_at = None if previous is None else NOON - previous
    assert compared_from(NOON, previous_at) == NOON - timedelta(hours=hours)


@pytest.mark.parametrize(
    ("starts_at", "span", "side"),
    [
        (NOON - MINUTES, MINUTES, Side.BEFORE),
        (NOON - MINUTES / 2, MINUTES, None),
        (NOON, MINUTES, Side.AFTER),
        (NOON - HOUR / 2, HOUR, None),
        (NOON + MINUTES, HOUR, Side.AFTER),
    ],
)
def test_the_span_of_the_deploy_is_on_neither_side(starts_at: datetime, span: timedelta, side: Side | None) -> None:
    assert side_of_deploy(starts_at, span, NOON) is side


class Deployed(NamedTuple):
    project: str
    first_seen_at: datetime


def test_an_error_is_new_since_the_newest_deploy_of_a_project_before_it() -> None:
    newest, other, older = Deployed("shop", NOON), Deployed("mail", NOON - HOUR), Deployed("shop", NOON - 2 * HOUR)
    deploys = [newest, other, older]
    assert deploy_of_error(NOON + MINUTES, deploys) is newest
    assert deploy_of_error(NOON - MINUTES, deploys) is other
    assert deploy_of_error(NOON - 2 * HOUR + MINUTES, deploys) is None, "there was a deploy since"
    assert deploy_of_error(NOON, []) is None


def test_the_sha_of_a_commit_is_short_as_git_writes_it() -> None:
    assert short_release("4f2c1a7" + "0" * 33) == "4f2c1a7"
    assert [short_release(name) for name in ("4f2c1a", "v1.2", "0" * 39, "release-" + "x" * 80)] == [
        "4f2c1a", "v1.2", "0" * 39, "release-" + "x" * 80,
    ]  # fmt: skip
