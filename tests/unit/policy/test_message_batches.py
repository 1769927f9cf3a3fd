from __future__ import annotations

import pytest

from django_jobs.policy.message_batches import (
    FIRST_MESSAGES,
    MAX_BYTES,
    MAX_MESSAGES,
    MAX_SECONDS,
    batch_seconds,
    next_limit,
)


def limits(size: int, rounds: int) -> list[int]:
    """Return the limits of so many batches, each full, of messages of one size."""
    found = [FIRST_MESSAGES]
    for _ in range(rounds):
        found.append(next_limit(found[-1], messages=found[-1], size=found[-1] * size))
    return found


def test_small_messages_are_soon_read_five_hundred_at_a_time() -> None:
    assert limits(200, 3) == [100, 400, MAX_MESSAGES, MAX_MESSAGES]


@pytest.mark.parametrize("size", [40_000, 256_000, 1_000_000])
def test_batches_of_large_messages_are_bounded_by_their_bytes(size: int) -> None:
    _, *later = limits(size, 5)
    assert all(MAX_BYTES - size < limit * size <= MAX_BYTES for limit in later)


def test_one_message_larger_than_a_batch_is_read_alone() -> None:
    assert limits(2 * MAX_BYTES, 2)[1:] == [1, 1]


def test_the_limit_grows_by_steps_after_large_messages_and_stays_without_any() -> None:
    assert next_limit(3, messages=3, size=300) == 12
    assert next_limit(60, messages=0, size=0) == 60
    assert next_limit(60, messages=2, size=0) == 240


@pytest.mark.parametrize("per_second", [2, 20, 60])
def test_batches_take_no_longer_than_they_may_however_slow_the_broker_is(per_second: int) -> None:
    limit, found = FIRST_MESSAGES, []
    for _ in range(4):
        limit = next_limit(limit, messages=limit, size=limit, seconds=limit / per_second)
        found.append(limit)
    assert found[1:] == [per_second * MAX_SECONDS] * 3


def test_a_batch_that_was_not_full_has_waited_and_makes_the_next_smaller_only_if_it_was_too_long() -> None:
    assert next_limit(100, messages=1, size=1, seconds=1.0) == 400
    assert next_limit(100, messages=20, size=1, seconds=10.0) == 10


def test_a_batch_takes_a_part_of_the_time_for_which_its_messages_are_hidden() -> None:
    assert [batch_seconds(after) for after in (None, 43_200, 30, 6)] == [MAX_SECONDS, MAX_SECONDS, MAX_SECONDS, 2.0]
