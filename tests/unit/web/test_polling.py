from datetime import timedelta

import pytest

from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.web.polling import parse_wait, retry_after
from django_jobs.web.problem_kinds import ProblemKind, problem_for_state

BOUND = timedelta(seconds=30)


@pytest.mark.parametrize(("age", "seconds"), [(0, 1), (5, 1), (11, 2), (100, 10), (10_000, 60), (-5, 1)])
def test_retry_after_is_a_tenth_of_the_age(age, seconds):
    assert retry_after(State.RUNNING, age=timedelta(seconds=age)) == seconds


@pytest.mark.parametrize(("due_in", "seconds"), [(90.2, 91), (0, 10), (-60, 10), (None, 10)])
def test_retry_after_is_not_before_the_job_is_due(due_in, seconds):
    due = None if due_in is None else timedelta(seconds=due_in)
    assert retry_after(State.SCHEDULED, age=timedelta(seconds=100), due_in=due) == seconds


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_an_ended_job_has_no_retry_after(state):
    assert retry_after(state, age=timedelta(0)) is None


def test_only_dead_and_cancelled_are_problems():
    problems = {state: problem_for_state(state) for state in State}
    assert {state for state, kind in problems.items() if kind} == {State.DEAD, State.CANCELLED}


@pytest.mark.parametrize(("text", "seconds"), [(None, 0), ("0", 0), ("20", 20), ("2.5", 2.5), ("30", 30)])
def test_a_wait_within_the_maximum_is_accepted(text, seconds):
    assert parse_wait(text, max_wait=BOUND) == seconds


@pytest.mark.parametrize("text", ["", "abc", "-1", "30.1", "nan", "inf", "-inf", "1e9", "20s"])
def test_any_other_wait_is_refused_with_the_maximum(text):
    with pytest.raises(ValueError, match="from 0 to 30"):
        parse_wait(text, max_wait=BOUND)


def test_every_kind_of_problem_has_a_type_of_its_own():
    assert len({kind.uri for kind in ProblemKind}) == len(ProblemKind)
    assert all(kind.status >= 400 for kind in ProblemKind)
