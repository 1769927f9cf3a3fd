import pytest

from django_jobs.policy.states import State
from django_jobs.store.lifecycle.promote import promote
from tests.factories import ago, make_job

pytestmark = pytest.mark.django_db


def test_a_due_job_becomes_ready_now():
    job = make_job(State.SCHEDULED, run_after=ago(seconds=1))

    assert promote() == 1

    job.refresh()
    assert job.state == State.READY
    assert job.run_after is None
    assert job.ready_at > ago(seconds=30)


def test_a_job_that_is_not_due_stays_scheduled():
    job = make_job(State.SCHEDULED, run_after=ago(hours=-1))

    assert promote() == 0
    assert job.refresh().state == State.SCHEDULED


def test_the_longest_due_are_promoted_first_and_no_more_than_the_limit():
    later = make_job(State.SCHEDULED, run_after=ago(minutes=1))
    first = make_job(State.SCHEDULED, run_after=ago(minutes=3))
    second = make_job(State.SCHEDULED, run_after=ago(minutes=2))

    assert promote(limit=2) == 2

    assert [first.refresh().state, second.refresh().state, later.refresh().state] == [
        State.READY,
        State.READY,
        State.SCHEDULED,
    ]


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_only_scheduled_jobs_are_promoted(state):
    job = make_job(state)

    assert promote() == 0
    assert job.refresh().state == state
