import pytest

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle import locked_chunks
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.run_now import run_now
from tests.factories import ago, make_job, make_jobs, make_letter, make_worker, take

pytestmark = pytest.mark.django_db


def test_a_scheduled_job_is_ready_now_behind_those_that_are_ready_already():
    scheduled = make_job(State.SCHEDULED, run_after=ago(days=-5), enqueued_at=ago(days=1))
    waiting = make_job(ready_at=ago(seconds=1))

    assert run_now(scheduled) == 1

    scheduled.refresh()
    assert (scheduled.state, scheduled.run_after) == (State.READY, None)
    assert waiting.ready_at < scheduled.ready_at <= database_now()
    assert [claim.job_id for claim in take(make_worker())] == [waiting.pk, scheduled.pk]


def test_a_job_claimed_between_the_two_reads_is_left_alone(monkeypatch):
    job = make_job(State.SCHEDULED, run_after=ago(seconds=1))
    ids_in_chunks = locked_chunks.job_ids_in_chunks

    def claimed_meanwhile(*arguments, **options):
        for ids in ids_in_chunks(*arguments, **options):
            promote()
            assert len(take(make_worker())) == 1
            yield ids

    monkeypatch.setattr(locked_chunks, "job_ids_in_chunks", claimed_meanwhile)

    assert run_now(job) == 0
    assert job.refresh().state == State.RUNNING


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_a_job_in_another_state_is_left_alone(state):
    job = make_job(state)
    ready_at = job.ready_at

    assert run_now(job) == 0

    job.refresh()
    assert (job.state, job.ready_at) == (state, ready_at)


def test_of_a_queryset_the_scheduled_jobs_become_ready():
    make_jobs(3, State.SCHEDULED, queue_name="mail")
    other = make_job(State.SCHEDULED, queue_name="documents")
    make_job(State.SUCCEEDED, queue_name="mail")

    assert run_now(Job.objects.filter(queue_name="mail")) == 3
    assert other.refresh().state == State.SCHEDULED


def test_the_jobs_of_dead_letters_are_not_run_now():
    make_letter()

    assert run_now(DeadLetter.objects.all()) == 0
