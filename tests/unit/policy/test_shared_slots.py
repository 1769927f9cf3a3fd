"""A database whose heartbeat is overdue holds no slot that another could use, and gets no more."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_jobs.policy.heartbeats import overdue_after
from django_jobs.policy.shared_slots import free_slots, next_request

TWO_EACH = {"eu": 2, "us": 2}


@pytest.mark.parametrize(
    ("requests", "overdue", "capacity", "expected"),
    [
        ((), (), 5, None),
        (("us", "eu"), (), 5, 0),
        (("us", "eu"), (), 4, None),
        (("us", "eu"), ("eu",), 4, 0),
        (("eu", "us"), ("eu",), 4, 1),
        (("eu", "eu"), ("eu",), 9, None),
        (("eu", "us"), ("eu",), 2, None),
        (("eu", "us"), ("eu", "us"), 9, None),
        (("eu", "asia"), ("eu", "us"), 1, 1),
    ],
)
def test_the_first_request_of_a_database_that_answers_gets_a_slot(
    requests: tuple[str, ...], overdue: tuple[str, ...], capacity: int, expected: int | None
) -> None:
    assert next_request(requests, held=TWO_EACH, overdue=overdue, capacity=capacity) == expected


def test_runs_beyond_the_capacity_leave_no_slot_free_once_the_database_answers() -> None:
    assert free_slots(TWO_EACH, overdue=("eu",), capacity=2) == 0
    assert free_slots(TWO_EACH, overdue=(), capacity=2) == 0


@pytest.mark.parametrize(("interval", "stale_after", "expected"), [(5, 15, 7.5), (10, 20, 12.5)])
def test_a_heartbeat_is_overdue_after_its_interval_and_long_before_its_worker_is_lost(
    interval: int, stale_after: int, expected: float
) -> None:
    overdue = overdue_after(interval=timedelta(seconds=interval), stale_after=timedelta(seconds=stale_after))
    assert overdue == timedelta(seconds=expected)
