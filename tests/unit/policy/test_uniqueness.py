from datetime import UTC, datetime, timedelta

import pytest

from django_jobs.policy.states import FINAL_STATES, WAITING_STATES, State
from django_jobs.policy.uniqueness import (
    UNIQUE_STATES,
    ConflictDecision,
    OnConflict,
    canonical_json,
    decide_conflict,
    key_digest,
    rescheduled_due,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("on_conflict", list(OnConflict))
@pytest.mark.parametrize("holder", [None, *sorted(FINAL_STATES), State.RUNNING])
def test_a_deleted_job_or_one_in_another_state_frees_its_key(on_conflict, holder):
    assert decide_conflict(on_conflict, holder=holder, states=WAITING_STATES) is ConflictDecision.ENQUEUE


@pytest.mark.parametrize("holder", sorted(WAITING_STATES))
@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_a_waiting_job_gets_the_option_of_the_enqueue(on_conflict, holder):
    assert decide_conflict(on_conflict, holder=holder, states=WAITING_STATES) == on_conflict.value


@pytest.mark.parametrize("on_conflict", list(OnConflict))
def test_a_running_job_is_never_changed(on_conflict):
    assert decide_conflict(on_conflict, holder=State.RUNNING, states=UNIQUE_STATES) is ConflictDecision.SKIP


def test_a_job_may_be_stored_states_as_text_too():
    assert decide_conflict(OnConflict.SKIP, holder=State.READY, states=("ready",)) is ConflictDecision.SKIP
    assert decide_conflict(OnConflict.SKIP, holder=State.READY, states=("scheduled",)) is ConflictDecision.ENQUEUE


@pytest.mark.parametrize(
    ("due", "max_wait", "expected"),
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
def test_a_job_is_rescheduled_but_not_for_ever(due, max_wait, expected):
    assert rescheduled_due(due, now=NOW, enqueued_at=NOW - 5 * MINUTE, max_wait=max_wait) == expected


def test_a_digest_tells_where_its_parts_begin_and_end():
    digests = {
        key_digest("a", "bc"),
        key_digest("ab", "c"),
        key_digest("abc"),
        key_digest("a", "b", "c"),
        key_digest('a","bc'),
    }
    assert len(digests) == 5
    assert all(len(digest) == 32 and int(digest, 16) for digest in digests)


def test_equal_values_have_one_text():
    assert canonical_json({"b": [1, {"d": 1, "c": 2}], "a": "é"}) == '{"a":"é","b":[1,{"c":2,"d":1}]}'
    assert canonical_json({"a": 1, "b": 2}) == canonical_json({"b": 2, "a": 1})
