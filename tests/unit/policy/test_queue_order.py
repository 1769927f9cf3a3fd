from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.claim_cursors import Line
from django_jobs.policy.queue_order import Fair, Strict, Weighted

HIGH = Line("default", 10)
LOW = Line("default", -10)
MAIL = Line("mail", 0)
DOCUMENTS = Line("documents", 0)
NAMES = ("critical", "default", "low")


def take_in_turns(turns: Weighted, lines: list[Line], *, rounds: int, room: int = 1) -> Counter[str]:
    """Take ``room`` jobs from the first line in each of ``rounds``, all of them with more than that."""
    taken: Counter[str] = Counter()
    for _ in range(rounds):
        first = turns.order(lines)[0]
        turns.took(first, room)
        taken[first.queue_name] += room
    return taken


def test_fair_turns_give_the_highest_priority_of_all_queues_first():
    assert Fair().order([LOW, MAIL, HIGH]) == [HIGH, MAIL, LOW]


def test_fair_turns_begin_with_another_of_the_queues_of_equal_priority_each_time():
    turns = Fair()

    firsts = {turns.order([MAIL, DOCUMENTS, HIGH])[1] for _ in range(3)}

    assert firsts == {MAIL, DOCUMENTS}


def test_strict_turns_take_nothing_of_a_later_queue_whatever_its_priority():
    assert Strict(["mail", "default"]).order([HIGH, DOCUMENTS, MAIL, LOW]) == [MAIL, HIGH, LOW, DOCUMENTS]


@pytest.mark.parametrize("turns", [Fair(), Strict(["mail"]), Weighted({"mail": 3})])
def test_no_lines_are_no_turn(turns):
    assert turns.order([]) == []


def test_within_a_queue_the_weights_leave_priority_alone():
    assert Weighted({}).order([LOW, HIGH]) == [HIGH, LOW]


def test_weights_are_the_shares_of_what_is_taken():
    lines = [Line("critical", 0), Line("default", 50)]

    taken = take_in_turns(Weighted({"critical": 3, "default": 1}), lines, rounds=400)

    assert taken == {"critical": 300, "default": 100}


@given(
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    room=st.integers(1, 500),
    rounds=st.integers(1, 300),
)
def test_no_queue_is_ever_further_behind_its_share_than_one_turn(weights, room, rounds):
    names = [f"queue {at}" for at in range(len(weights))]
    turns = Weighted(dict(zip(names, weights, strict=True)))

    taken = take_in_turns(turns, [Line(name, 0) for name in names], rounds=rounds, room=room)

    passes = [taken[name] / weight for name, weight in zip(names, weights, strict=True)]
    assert max(passes) - min(passes) <= room


def test_a_queue_that_was_empty_for_long_takes_its_share_and_no_more():
    busy, idle = Line("busy", 0), Line("idle", 0)
    turns = Weighted({"busy": 1, "idle": 1})
    take_in_turns(turns, [busy], rounds=1000)

    assert take_in_turns(turns, [busy, idle], rounds=100) == {"busy": 50, "idle": 50}


def test_a_queue_that_is_ahead_does_not_get_forgiven_by_being_empty_for_a_moment():
    turns = Weighted({})
    turns.took(Line("greedy", 0), 100)
    turns.order([MAIL])

    assert turns.order([Line("greedy", 0), MAIL])[0] == MAIL
