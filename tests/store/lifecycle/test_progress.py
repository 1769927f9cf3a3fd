import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.progress import read_metadata, save_progress
from tests.factories import make_job, make_worker, take

pytestmark = pytest.mark.django_db
HALF = {"progress_done": 5, "progress_total": 10, "progress_message": "half 😀"}


@pytest.fixture
def running():
    job = make_job(metadata={"tenant": "é", "deep": {"a": [1]}})
    worker = make_worker()
    [claim] = take(worker)
    return job, worker, claim


def progress(job):
    job.refresh()
    return job.progress_done, job.progress_total, job.progress_message


def test_progress_of_a_running_job_is_saved(running):
    job, worker, claim = running

    assert save_progress(claim, HALF, worker_id=worker.pk) is True
    assert progress(job) == (5, 10, "half 😀")


def test_progress_counts_as_far_as_a_file_may_be_large(running):
    job, worker, claim = running

    save_progress(claim, {"progress_done": 2**40, "progress_total": None}, worker_id=worker.pk)

    assert progress(job) == (2**40, None, "")


def test_metadata_of_a_running_job_is_saved_and_read_by_the_next_run(running):
    _, worker, claim = running
    assert read_metadata(claim) == {"tenant": "é", "deep": {"a": [1]}}

    assert save_progress(claim, {"metadata": {"page": 3}}, worker_id=worker.pk) is True
    Job.objects.update(state=State.READY)

    [again] = take(make_worker())
    assert read_metadata(again) == {"page": 3}


def test_another_worker_saves_nothing(running):
    job, _, claim = running

    assert save_progress(claim, HALF, worker_id=make_worker().pk) is False
    assert progress(job) == (None, None, "")


def test_an_earlier_claim_saves_nothing(running):
    job, worker, claim = running
    Job.objects.update(claim_number=2)

    assert save_progress(claim, HALF, worker_id=worker.pk) is False
    assert progress(job) == (None, None, "")


@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_a_job_that_no_longer_runs_is_not_written_to(running, state):
    job, worker, claim = running
    Job.objects.update(state=state, run_after=database_now())

    assert save_progress(claim, HALF, worker_id=worker.pk) is False
    assert progress(job) == (None, None, "")
