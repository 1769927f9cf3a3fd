from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.claim_cursors import Lane
from django_jobs.policy.queue_order import FairOrder, StrictOrder, WeightedOrder

HIGH = Lane("default", 10)
LOW = Lane("default", -10)
MAIL = Lane("mail", 0)
DOCUMENTS = Lane("documents", 0)
NAMES = ("critical", "default", "low")


def take_in_turns(turns: WeightedOrder, lines: list[Lane], *, rounds: int, room: int = 1) -> Counter[str]:
    """Take ``room`` jobs from the first line in each of ``rounds``, all of them with more than that."""
    taken: Counter[str] = Counter()
    for _ in range(rounds):
        first = turns.order(lines)[0]
        turns.record_claimed(first, room)
        taken[first.queue_name] += room
    return taken


def test_fair_turns_give_the_highest_priority_of_all_queues_first():
    assert FairOrder().order([LOW, MAIL, HIGH]) == [HIGH, MAIL, LOW]


def test_fair_turns_begin_with_another_of_the_queues_of_equal_priority_each_time():
    turns = FairOrder()

    firsts = {turns.order([MAIL, DOCUMENTS, HIGH])[1] for _ in range(3)}

    assert firsts == {MAIL, DOCUMENTS}


def test_strict_turns_take_nothing_of_a_later_queue_whatever_its_priority():
    assert StrictOrder(["mail", "default"]).order([HIGH, DOCUMENTS, MAIL, LOW]) == [
        MAIL,
        HIGH,
        LOW,
        DOCUMENTS,
    ]


@pytest.mark.parametrize("turns", [FairOrder(), StrictOrder(["mail"]), WeightedOrder({"mail": 3})])
def test_no_lines_are_no_turn(turns):
    assert turns.order([]) == []


def test_within_a_queue_the_weights_leave_priority_alone():
    assert WeightedOrder({}).order([LOW, HIGH]) == [HIGH, LOW]


def test_weights_are_the_shares_of_what_is_taken():
    lines = [Lane("critical", 0), Lane("default", 50)]

    taken = take_in_turns(WeightedOrder({"critical": 3, "default": 1}), lines, rounds=400)

    assert taken == {"critical": 300, "default": 100}


@given(
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    room=st.integers(1, 500),
    rounds=st.integers(1, 300),
)
def test_no_queue_is_ever_further_behind_its_share_than_one_turn(weights, room, rounds):
    names = [f"queue {at}" for at in range(len(weights))]
    turns = WeightedOrder(dict(zip(names, weights, strict=True)))

    taken = take_in_turns(turns, [Lane(name, 0) for name in names], rounds=rounds, room=room)

    passes = [taken[name] / weight for name, weight in zip(names, weights, strict=True)]
    assert max(passes) - min(passes) <= room


def test_a_queue_that_was_empty_for_long_takes_its_share_and_no_more():
    busy, idle = Lane("busy", 0), Lane("idle", 0)
    turns = WeightedOrder({"busy": 1, "idle": 1})
    take_in_turns(turns, [busy], rounds=1000)

    assert take_in_turns(turns, [busy, idle], rounds=100) == {"busy": 50, "idle": 50}


def test_a_queue_that_is_ahead_does_not_get_forgiven_by_being_empty_for_a_moment():
    turns = WeightedOrder({})
    turns.record_claimed(Lane("greedy", 0), 100)
    turns.order([MAIL])

    assert turns.order([Lane("greedy", 0), MAIL])[0] == MAIL
