"""After a conflict claims begin at a random place, further down after each one, and at the head again in the end."""

import pytest

from django_jobs.policy.claim_spread import CALM_SECONDS, FIRST_CLAIMS, MAX_JOBS, ClaimSpread, first_place


def test_claims_begin_at_the_head_until_one_is_undone():
    assert ClaimSpread().jobs(1_000.0) == 0


def test_each_conflict_doubles_the_jobs_among_which_a_claim_begins():
    spread, seen = ClaimSpread(), []
    for _ in range(3):
        spread.conflicted(limit=10, now=100.0)
        seen.append(spread.jobs(100.0))
    assert seen == [FIRST_CLAIMS * 10, FIRST_CLAIMS * 20, FIRST_CLAIMS * 40]


def test_a_look_down_the_lane_has_a_maximum():
    spread = ClaimSpread()
    for _ in range(40):
        spread.conflicted(limit=1_000, now=100.0)
    assert spread.jobs(100.0) == MAX_JOBS


def test_without_conflicts_for_a_while_claims_begin_at_the_head_again():
    spread = ClaimSpread()
    spread.conflicted(limit=10, now=100.0)
    spread.conflicted(limit=10, now=100.0)
    assert spread.jobs(100.0 + CALM_SECONDS) == 0
    spread.conflicted(limit=10, now=200.0)
    assert spread.jobs(200.0) == FIRST_CLAIMS * 10


@pytest.mark.parametrize(
    ("found", "dice", "place"),
    [(0, 0.9, 0), (9, 0.99, 0), (10, 0.99, 0), (11, 0.99, 1), (100, 0.0, 0), (100, 0.5, 45), (100, 0.999, 90)],
)
def test_a_whole_claim_is_left_behind_the_place(found, dice, place):
    assert first_place(found, limit=10, dice=dice) == place
