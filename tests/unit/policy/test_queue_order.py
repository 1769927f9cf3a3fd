from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.claim_cursors import Lane
from django_jobs.policy.priorities import BACKGROUND_PRIORITY
from django_jobs.policy.queue_order import FairOrder, StrictOrder, WeightedOrder

HIGH = Lane("default", 10)
LOW = Lane("default", -10)
MAIL = Lane("mail", 0)
DOCUMENTS = Lane("documents", 0)
NAMES = ("critical", "default", "low")


def claim_in_order(order: WeightedOrder, lanes: list[Lane], *, rounds: int, room: int = 1) -> Counter[str]:
    """Claim ``room`` jobs from the first lane in each of ``rounds``, all of them with more than that."""
    taken: Counter[str] = Counter()
    for _ in range(rounds):
        first = order.order(lanes)[0]
        order.record_claimed(first, room)
        taken[first.queue_name] += room
    return taken


def test_the_fair_order_has_the_highest_priority_of_all_queues_first():
    assert FairOrder().order([LOW, MAIL, HIGH]) == [HIGH, MAIL, LOW]


def test_in_the_fair_order_lanes_of_equal_priority_take_turns():
    order = FairOrder()
    firsts = []
    for _ in range(4):
        lanes = order.order([MAIL, DOCUMENTS, HIGH])
        assert lanes[0] == HIGH
        firsts.append(lanes[1])
        order.record_claimed(lanes[1], 1)

    assert firsts == [DOCUMENTS, MAIL] * 2


@given(numbers=st.lists(st.integers(1, 700), min_size=1, max_size=60))
def test_in_the_fair_order_no_lane_starves_however_many_there_are_and_few_are_reached_in_a_round(numbers):
    lanes = [Lane(f"customer {at}", 0) for at in range(700)]
    order = FairOrder()
    taken: Counter[str] = Counter()
    for number in numbers:
        for lane in order.order(lanes)[:number]:
            order.record_claimed(lane, 1)
            taken[lane.queue_name] += 1

    shares = [taken[lane.queue_name] for lane in lanes]
    assert max(shares) - min(shares) <= 1


def test_the_strict_order_has_later_queues_last_at_any_priority():
    assert StrictOrder(["mail", "default"]).order([HIGH, DOCUMENTS, MAIL, LOW]) == [
        MAIL,
        HIGH,
        LOW,
        DOCUMENTS,
    ]


@pytest.mark.parametrize("order", [FairOrder(), StrictOrder(["mail"]), WeightedOrder({"mail": 1_000})])
def test_in_every_order_the_background_of_a_queue_comes_behind_all_other_queues(order):
    background = Lane("mail", BACKGROUND_PRIORITY)
    assert order.order([background, MAIL, LOW])[-1] == background
    order.record_claimed(MAIL, 1)
    assert order.order([background, LOW]) == [LOW, background]


def test_the_background_takes_nothing_of_its_queues_share():
    mail, background = Lane("mail", 0), Lane("mail", BACKGROUND_PRIORITY)
    order = WeightedOrder({})
    order.record_claimed(background, 1_000)

    assert claim_in_order(order, [mail, background, DOCUMENTS], rounds=100) == {"mail": 50, "documents": 50}


@pytest.mark.parametrize("order", [FairOrder(), StrictOrder(["mail"]), WeightedOrder({"mail": 3})])
def test_no_lanes_have_no_order(order):
    assert order.order([]) == []


def test_within_a_queue_weights_do_not_change_priority():
    assert WeightedOrder({}).order([LOW, HIGH]) == [HIGH, LOW]


def test_weights_are_the_shares_of_the_claimed_jobs():
    lanes = [Lane("critical", 0), Lane("default", 50)]

    taken = claim_in_order(WeightedOrder({"critical": 3, "default": 1}), lanes, rounds=400)

    assert taken == {"critical": 300, "default": 100}


@given(
    weights=st.lists(st.integers(1, 20), min_size=2, max_size=5),
    room=st.integers(1, 500),
    rounds=st.integers(1, 300),
)
def test_no_queue_is_ever_further_behind_its_share_than_one_claim(weights, room, rounds):
    names = [f"queue {at}" for at in range(len(weights))]
    order = WeightedOrder(dict(zip(names, weights, strict=True)))

    taken = claim_in_order(order, [Lane(name, 0) for name in names], rounds=rounds, room=room)

    passes = [taken[name] / weight for name, weight in zip(names, weights, strict=True)]
    assert max(passes) - min(passes) <= room


def test_a_queue_that_was_empty_for_long_gets_its_share_and_no_more():
    busy, idle = Lane("busy", 0), Lane("idle", 0)
    order = WeightedOrder({"busy": 1, "idle": 1})
    claim_in_order(order, [busy], rounds=1000)

    assert claim_in_order(order, [busy, idle], rounds=100) == {"busy": 50, "idle": 50}


def test_a_queue_that_is_ahead_stays_ahead_after_a_moment_without_jobs():
    order = WeightedOrder({})
    order.record_claimed(Lane("greedy", 0), 100)
    order.order([MAIL])

    assert order.order([Lane("greedy", 0), MAIL])[0] == MAIL
