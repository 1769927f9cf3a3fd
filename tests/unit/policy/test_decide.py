from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.decide import DecisionSettings, JobFacts, decide
from django_jobs.policy.outcomes import (
    AttemptOutcome,
    Cancelled,
    DeathReason,
    Discarded,
    Error,
    Expired,
    Failed,
    Interrupted,
    Lost,
    Released,
    Snoozed,
    Succeeded,
    UnknownJob,
    Unreadable,
)
from django_jobs.policy.states import FINAL_STATES, State, is_legal

RULES = DecisionSettings(unknown_retry_delay=timedelta(minutes=1), unknown_ttl=timedelta(days=1), max_worker_deaths=3)
ERROR = Error(error_class="ValueError", message="no", traceback="...", fingerprint="f" * 32)


def decided(outcome, *, attempt=1, max_attempts=5, unknown_for=None, worker_deaths=0):
    facts = JobFacts(attempt, max_attempts, unknown_for, worker_deaths)
    return decide(outcome, facts, rules=RULES)


@pytest.mark.parametrize("result", [None, "42"])
def test_a_success_is_final_and_carries_the_result(result):
    decision = decided(Succeeded(result=result), attempt=5)

    assert decision.state is State.SUCCEEDED
    assert decision.attempt_outcome is AttemptOutcome.SUCCEEDED
    assert decision.result == result
    assert (decision.error, decision.death, decision.delay) == (None, None, None)


@pytest.mark.parametrize("retry_in", [timedelta(0), timedelta(seconds=25)])
def test_a_failure_with_attempts_left_is_scheduled_after_its_wait_even_of_zero(retry_in):
    decision = decided(Failed(error=ERROR, retry_in=retry_in), attempt=4)

    assert decision.state is State.SCHEDULED
    assert decision.delay == retry_in
    assert decision.attempt_outcome is AttemptOutcome.FAILED
    assert decision.error is ERROR
    assert not decision.gives_back_attempt


@pytest.mark.parametrize("attempt", [5, 6])
def test_a_failure_of_the_last_attempt_is_death(attempt):
    decision = decided(Failed(error=ERROR, retry_in=timedelta(seconds=5)), attempt=attempt)

    assert decision.state is State.DEAD
    assert decision.death is DeathReason.ATTEMPTS_USED_UP
    assert decision.error is ERROR
    assert decision.delay is None


def test_a_failure_that_is_not_to_be_retried_is_death_at_once():
    decision = decided(Failed(error=ERROR, retry_in=None), attempt=1)

    assert decision.state is State.DEAD
    assert decision.death is DeathReason.NOT_RETRYABLE
    assert decision.attempt_outcome is AttemptOutcome.FAILED


@pytest.mark.parametrize(
    ("marks", "outcome"),
    [
        ({}, AttemptOutcome.FAILED),
        ({"timed_out": True}, AttemptOutcome.TIMED_OUT),
        ({"retry_requested": True}, AttemptOutcome.RETRIED),
    ],
)
@pytest.mark.parametrize("attempt", [1, 5])
def test_the_attempt_tells_a_timeout_and_a_requested_retry_from_a_failure(marks, outcome, attempt):
    decision = decided(Failed(error=ERROR, retry_in=timedelta(1), **marks), attempt=attempt)

    assert decision.attempt_outcome is outcome


def test_a_discard_is_death_with_attempts_left():
    decision = decided(Discarded(error=ERROR), attempt=1)

    assert decision.state is State.DEAD
    assert decision.death is DeathReason.DISCARDED
    assert decision.attempt_outcome is AttemptOutcome.DISCARDED
    assert decision.error is ERROR


def test_a_job_that_ends_itself_as_cancelled_is_no_dead_letter():
    decision = decided(Cancelled(error=ERROR))

    assert decision.state is State.CANCELLED
    assert decision.attempt_outcome is AttemptOutcome.CANCELLED
    assert (decision.error, decision.death) == (ERROR, None)


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=1)])
def test_a_snooze_is_scheduled_and_gives_its_attempt_back_even_the_last(delay):
    decision = decided(Snoozed(delay=delay), attempt=5)

    assert decision.state is State.SCHEDULED
    assert decision.delay == delay
    assert decision.gives_back_attempt
    assert decision.attempt_outcome is AttemptOutcome.SNOOZED


def test_a_claim_released_before_the_start_is_ready_and_leaves_no_attempt():
    decision = decided(Released(started=False), attempt=5)

    assert decision.state is State.READY
    assert decision.gives_back_attempt
    assert decision.attempt_outcome is None
    assert decision.delay is None


def test_a_claim_released_during_the_run_is_ready_and_records_an_attempt():
    decision = decided(Released(started=True), attempt=5)

    assert decision.state is State.READY
    assert decision.gives_back_attempt
    assert decision.attempt_outcome is AttemptOutcome.RELEASED


@pytest.mark.parametrize("attempt", [1, 5])
def test_a_lost_job_is_ready_again_and_has_used_no_attempt(attempt):
    decision = decided(Lost(reason="worker 7 died"), attempt=attempt)

    assert decision.state is State.READY
    assert decision.gives_back_attempt
    assert decision.worker_died
    assert decision.attempt_outcome is AttemptOutcome.LOST
    assert decision.error.error_class == "django_jobs.exceptions.WorkerLostError"
    assert decision.error.message == "worker 7 died"


@pytest.mark.parametrize(("worker_deaths", "state"), [(1, State.READY), (2, State.DEAD), (7, State.DEAD)])
def test_a_job_that_kills_worker_after_worker_is_quarantined(worker_deaths, state):
    decision = decided(Lost(reason="worker 7 died"), worker_deaths=worker_deaths)

    assert decision.state is state
    assert decision.death is (DeathReason.QUARANTINED if state is State.DEAD else None)
    assert decision.attempt_outcome is AttemptOutcome.LOST
    assert decision.error.message == f"worker 7 died ({worker_deaths + 1} workers died while it ran)"


@pytest.mark.parametrize(
    ("most", "worker_deaths", "suspect"),
    [(3, 1, False), (3, 2, True), (3, 9, True), (1, 0, False), (1, 1, True), (2, 0, False), (2, 1, True)],
)
def test_a_job_whose_next_worker_death_would_quarantine_it_needs_isolation(most, worker_deaths, suspect):
    assert replace(RULES, max_worker_deaths=most).needs_isolation(worker_deaths) is suspect


def test_a_claim_lost_before_the_start_leaves_no_attempt():
    decision = decided(Lost(reason="worker 7 died", ran=False), worker_deaths=9)

    assert decision.state is State.READY
    assert decision.attempt_outcome is None
    assert decision.gives_back_attempt
    assert not decision.worker_died


@pytest.mark.parametrize("unknown_for", [None, timedelta(days=1) - timedelta(microseconds=1)])
def test_an_unknown_job_is_retried_without_an_attempt(unknown_for):
    decision = decided(UnknownJob(), attempt=5, unknown_for=unknown_for)

    assert decision.state is State.SCHEDULED
    assert decision.delay == RULES.unknown_retry_delay
    assert decision.name_unknown
    assert decision.gives_back_attempt
    assert decision.attempt_outcome is None


def test_a_job_that_stays_unknown_for_the_whole_time_to_live_is_dead():
    decision = decided(UnknownJob(), unknown_for=timedelta(days=1))

    assert decision.state is State.DEAD
    assert decision.death is DeathReason.UNKNOWN_JOB
    assert decision.attempt_outcome is None
    assert decision.error.message == "no worker knew this job for 1 day, 0:00:00"


def test_unreadable_arguments_are_death_at_once():
    decision = decided(Unreadable(error=ERROR), attempt=1)

    assert decision.state is State.DEAD
    assert decision.death is DeathReason.UNREADABLE
    assert decision.attempt_outcome is AttemptOutcome.UNREADABLE


delays = st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650))
outcomes = st.one_of(
    st.builds(Succeeded, result=st.none() | st.just("1")),
    st.builds(
        Failed,
        error=st.just(ERROR),
        retry_in=st.none() | delays,
        timed_out=st.booleans(),
        retry_requested=st.booleans(),
    ),
    st.builds(Discarded, error=st.just(ERROR)),
    st.builds(Cancelled, error=st.just(ERROR)),
    st.builds(Snoozed, delay=delays),
    st.builds(Released, started=st.booleans()),
    st.builds(Lost, reason=st.text()),
    st.just(UnknownJob()),
    st.builds(Unreadable, error=st.just(ERROR)),
)


@given(
    outcome=outcomes,
    attempt=st.integers(1, 12),
    max_attempts=st.integers(1, 10),
    unknown_for=st.none() | st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3)),
)
def test_every_decision_keeps_what_the_finish_relies_on(outcome, attempt, max_attempts, unknown_for):
    decision = decided(outcome, attempt=attempt, max_attempts=max_attempts, unknown_for=unknown_for)

    assert is_legal("finish", State.RUNNING, decision.state)
    assert (decision.delay is not None) == (decision.state is State.SCHEDULED)
    assert (decision.death is not None) == (decision.state is State.DEAD)
    assert decision.error is not None or decision.death is None
    assert decision.result is None or decision.state is State.SUCCEEDED
    if decision.state not in FINAL_STATES and attempt >= max_attempts:
        assert decision.gives_back_attempt, "a job that has used up its tries would run once more"


def test_an_interrupted_run_gives_its_attempt_back_and_knows_what_it_would_be_otherwise():
    failure = Failed(error=ERROR, retry_in=None)
    decision = decided(Interrupted(failure=failure), attempt=5)
    assert (decision.state, decision.attempt_outcome) == (State.SCHEDULED, AttemptOutcome.RELEASED)
    assert (decision.gives_back_attempt, decision.error) == (True, ERROR)
    assert decision.after_interruptions == decided(failure, attempt=5)


def test_a_run_that_was_interrupted_before_its_start_leaves_no_attempt():
    decision = decided(Interrupted())
    assert (decision.state, decision.attempt_outcome) == (State.SCHEDULED, None)
    assert (decision.gives_back_attempt, decision.keeps_unknown_since) == (True, True)
    assert decision.after_interruptions is None


def test_an_expired_job_is_cancelled_and_its_attempt_does_not_count():
    decision = decided(Expired())
    assert (decision.state, decision.attempt_outcome, decision.delay) == (State.CANCELLED, None, None)
    assert (decision.gives_back_attempt, decision.has_expired) == (True, True)
