from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.batches import (
    BatchFacts,
    BatchState,
    Callback,
    Counts,
    accepts_jobs,
    decide_batch,
    parent_count_delta,
)

SUCCEEDED, FAILED, CANCELLED = BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED


def facts(total=0, succeeded=0, dead=0, cancelled=0, **others):
    counts = Counts(total, succeeded, dead, cancelled)
    return BatchFacts(counts=counts, **({"is_closed": True} | others))


@pytest.mark.parametrize(
    ("given_facts", "state", "callbacks"),
    [
        (facts(3, 3), SUCCEEDED, (Callback.ON_SUCCESS, Callback.ON_COMPLETE)),
        (facts(3, 2, 1), FAILED, (Callback.ON_FAILURE, Callback.ON_COMPLETE)),
        (facts(3, 2, 0, 1), CANCELLED, (Callback.ON_COMPLETE,)),
        (facts(3, 1, 1, 1), FAILED, (Callback.ON_FAILURE, Callback.ON_COMPLETE)),
        (facts(3, 3, is_cancelled=True), CANCELLED, (Callback.ON_COMPLETE,)),
        (facts(3, 2, 1, is_cancelled=True), CANCELLED, (Callback.ON_COMPLETE,)),
        (facts(3, 3, is_abandoned=True), FAILED, (Callback.ON_FAILURE, Callback.ON_COMPLETE)),
        (facts(), SUCCEEDED, (Callback.ON_SUCCESS, Callback.ON_COMPLETE)),
    ],
    ids=[
        "all succeeded",
        "one is dead",
        "one was cancelled",
        "one is dead and one was cancelled",
        "somebody cancelled it",
        "somebody cancelled it and one is dead",
        "the builder died",
        "an empty one",
    ],
)
def test_how_a_batch_ends_and_what_it_enqueues(given_facts, state, callbacks):
    verdict = decide_batch(given_facts)
    assert (verdict.state, verdict.callbacks, verdict.has_ended) == (state, callbacks, True)


def test_an_open_batch_does_not_end_and_neither_does_one_with_jobs_left():
    assert decide_batch(facts(3, 3, is_closed=False)).state is BatchState.OPEN
    verdict = decide_batch(facts(3, 2))
    assert (verdict.state, verdict.callbacks, verdict.has_ended) == (BatchState.RUNNING, (), False)


def test_a_failed_batch_whose_dead_are_redriven_fires_its_success_once_and_nothing_again():
    assert decide_batch(facts(3, 2, outcome=FAILED)).state is BatchState.RUNNING
    assert decide_batch(facts(3, 3, outcome=FAILED)).callbacks == (Callback.ON_SUCCESS,)
    assert decide_batch(facts(3, 2, 1, outcome=FAILED)).callbacks == ()
    assert decide_batch(facts(3, 3, outcome=SUCCEEDED)).callbacks == ()


@given(
    counts=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    waiting=st.integers(0, 2),
    closed=st.booleans(),
    abandoned=st.booleans(),
    cancelled=st.booleans(),
    outcome=st.sampled_from([None, SUCCEEDED, FAILED, CANCELLED]),
)
def test_callbacks_are_due_at_an_end_only_and_success_and_failure_never_together(
    counts, waiting, closed, abandoned, cancelled, outcome
):
    given_facts = BatchFacts(
        counts=Counts(sum(counts) + waiting, *counts),
        is_closed=closed,
        is_abandoned=abandoned,
        is_cancelled=cancelled,
        outcome=outcome,
    )
    verdict = decide_batch(given_facts)
    assert verdict.has_ended == (closed and waiting == 0)
    assert not verdict.callbacks or verdict.has_ended
    assert not {Callback.ON_SUCCESS, Callback.ON_FAILURE} <= set(verdict.callbacks)
    assert (Callback.ON_COMPLETE in verdict.callbacks) == (verdict.has_ended and outcome is None)
    if verdict.has_ended:
        after = BatchFacts(
            counts=given_facts.counts,
            is_closed=True,
            is_abandoned=abandoned,
            is_cancelled=cancelled,
            outcome=verdict.state,
        )
        assert decide_batch(after).callbacks == ()
        assert decide_batch(after).state is verdict.state


@given(st.lists(st.sampled_from([SUCCEEDED, FAILED, CANCELLED]), max_size=5))
def test_a_batch_inside_another_counts_there_as_its_last_outcome_and_as_one(outcomes):
    counts, before = Counts(total=1), None
    for outcome in outcomes:
        counts, before = counts.plus(parent_count_delta(before, outcome)), outcome
    expected = {SUCCEEDED: Counts(1, 1), FAILED: Counts(1, 0, 1), CANCELLED: Counts(1, 0, 0, 1)}
    assert counts == (expected[outcomes[-1]] if outcomes else Counts(total=1))


@pytest.mark.parametrize(
    ("given_facts", "grows"),
    [
        (facts(is_closed=False), True),
        (facts(3, 2), True),
        (facts(3, 2, 1, outcome=FAILED), False),
        (facts(3, 2, outcome=FAILED), True),
        (facts(3, 3, outcome=SUCCEEDED), False),
        (facts(3, 2, 0, 1, outcome=CANCELLED), False),
        (facts(3, 2, is_cancelled=True), False),
    ],
)
def test_which_batches_accept_jobs(given_facts, grows):
    assert accepts_jobs(given_facts) is grows
