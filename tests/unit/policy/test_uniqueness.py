from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.policy.states import FINAL_STATES, WAITING_STATES, State
from django_jobs.policy.uniqueness import (
    HOLDING_STATES,
    OnConflict,
    Verdict,
    canonical,
    decide_conflict,
    digest_of,
    due_again,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("on_conflict", list(OnConflict))
@pytest.mark.parametrize("holder", [None, *sorted(FINAL_STATES), State.RUNNING])
def test_a_job_that_is_gone_or_in_another_state_makes_room(on_conflict, holder):
    assert decide_conflict(on_conflict, holder=holder, states=WAITING_STATES) is Verdict.ENQUEUE


@pytest.mark.parametrize("holder", sorted(WAITING_STATES))
@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_a_waiting_job_meets_what_was_asked_for(on_conflict, holder):
    assert decide_conflict(on_conflict, holder=holder, states=WAITING_STATES) == on_conflict.value


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_what_runs_is_never_changed(on_conflict):
    assert decide_conflict(on_conflict, holder=State.RUNNING, states=HOLDING_STATES) is Verdict.SKIP


def test_a_job_may_be_stored_states_as_text_too():
    assert decide_conflict(OnConflict.SKIP, holder=State.READY, states=("ready",)) is Verdict.SKIP
    assert decide_conflict(OnConflict.SKIP, holder=State.READY, states=("scheduled",)) is Verdict.ENQUEUE


@pytest.mark.parametrize(
    ("due", "at_most", "expected"),
    [
        (NOW + MINUTE, None, NOW + MINUTE),
        (NOW + MINUTE, 10 * MINUTE, NOW + MINUTE),
        (NOW + 5 * MINUTE, 7 * MINUTE, NOW + 2 * MINUTE),
        (NOW + 5 * MINUTE, 5 * MINUTE, None),
        (NOW + 5 * MINUTE, MINUTE, None),
        (NOW, None, None),
        (NOW - MINUTE, None, None),
    ],
)
def test_a_job_is_put_off_but_not_for_ever(due, at_most, expected):
    assert due_again(due, now=NOW, enqueued_at=NOW - 5 * MINUTE, at_most=at_most) == expected


def test_a_digest_tells_where_its_parts_begin_and_end():
    digests = {
        digest_of("a", "bc"),
        digest_of("ab", "c"),
        digest_of("abc"),
        digest_of("a", "b", "c"),
        digest_of('a","bc'),
    }
    assert len(digests) == 5
    assert all(len(one) == 32 and int(one, 16) for one in digests)


def test_equal_values_have_one_text():
    assert canonical({"b": [1, {"d": 1, "c": 2}], "a": "é"}) == '{"a":"é","b":[1,{"c":2,"d":1}]}'
    assert canonical({"a": 1, "b": 2}) == canonical({"b": 2, "a": 1})
