"""Properties and methods of ``Job`` for the code that enqueued it."""

import asyncio
import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models.deletion import Collector

from django_jobs.arguments.serialization import RESULT_NOT_STORABLE
from django_jobs.exceptions import WaitTimeoutError
from django_jobs.models import Job
from django_jobs.policy.outcomes import Discarded, Error, Succeeded
from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.store.lifecycle.finish import finish
from tests.concurrency import DEADLINE_SECONDS, Background
from tests.factories import ended, make_attempt, make_job, make_worker, take

pytestmark = pytest.mark.django_db


def test_a_job_is_not_saved_because_that_would_undo_a_claim():
    job = make_job()

    with pytest.raises(TypeError, match=r"Job.save\(\) could overwrite a worker's changes"):
        job.save()
    with pytest.raises(TypeError, match=r"Job.save\(\) could overwrite"):
        Job.objects.create(name="x", queue_name="default", max_attempts=1, enqueued_at=job.enqueued_at)


def test_a_job_reads_as_its_name_number_and_state():
    job = make_job(name="shop.send")

    assert str(job) == f"shop.send #{job.pk} (ready)"


@pytest.mark.parametrize("state", list(State))
def test_a_job_is_final_in_a_final_state(state):
    assert make_job(state).is_final is (state in FINAL_STATES)


@pytest.mark.parametrize("state", [State.BLOCKED, State.SUCCEEDED])
def test_a_job_is_not_deleted_because_others_may_wait_for_it(state):
    job = make_job(state)
    collector = Collector("default")
    collector.collect(Job._base_manager.all())

    for delete in (job.delete, Job.objects.all().delete, Job._base_manager.all().delete, collector.delete):
        refused = pytest.raises(TypeError, match=r"Job.delete\(\) would leave .* use \.purge\(\) for ended jobs")
        with refused, transaction.atomic():
            delete()
    with pytest.raises(TypeError, match=r"Job.delete\(\) would leave"):
        asyncio.run(Job.objects.none().adelete())
    assert Job.objects.get() == job
    assert not hasattr(Job.objects, "delete")


def test_a_refresh_reads_the_row_again_into_the_same_object():
    job = make_job()
    Job.objects.update(state=State.CANCELLED)

    assert job.refresh() is job
    assert job.state == State.CANCELLED


def test_a_refresh_of_a_purged_job_is_an_error():
    job = make_job(State.SUCCEEDED)
    Job.objects.all().purge()

    with pytest.raises(Job.DoesNotExist):
        job.refresh()


def test_the_error_is_that_of_the_last_attempt():
    job = make_job()
    assert job.error is None
    assert job.last_attempt is None

    make_attempt(job, claim_number=1, error_class="builtins.KeyError", error_message="'a'")
    make_attempt(job, claim_number=10, error_class="shop.NoOrder", error_message="")
    make_attempt(job, claim_number=9, error_class="builtins.ValueError", error_message="no")

    assert job.last_attempt.claim_number == 10
    assert job.error == "shop.NoOrder"
    assert [attempt.error for attempt in job.attempts.order_by("claim_number")] == [
        "KeyError: 'a'",
        "ValueError: no",
        "shop.NoOrder",
    ]


def test_a_successful_attempt_leaves_no_error():
    job = make_job()
    make_attempt(job, claim_number=1, error_class="builtins.KeyError")
    make_attempt(job, claim_number=2, outcome="succeeded")

    assert job.error is None


def test_a_result_that_could_not_be_stored_is_none_and_marked_as_lost():
    job = make_job(State.SUCCEEDED, result_data=RESULT_NOT_STORABLE)

    assert job.is_result_lost
    assert job.result is None


@pytest.mark.django_db(transaction=True)
def test_a_wait_ends_with_the_job():
    job = make_job()
    worker = make_worker()
    [claim] = take(worker)
    waiting = threading.Event()

    def wait():
        waiting.set()
        return job.wait(timeout=DEADLINE_SECONDS)

    waiter = Background(wait)
    assert waiting.wait(DEADLINE_SECONDS)
    finish([ended(claim, Succeeded(result='"done"'))], worker_id=worker.pk)

    assert waiter.result() is job
    assert (job.state, job.result) == (State.SUCCEEDED, "done")


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_a_wait_for_a_job_that_has_ended_returns_at_once_whatever_its_end(state):
    job = make_job(state)

    assert job.wait(timeout=0) is job
    assert job.wait() is job


@pytest.mark.parametrize("timeout", [0.01, timedelta(milliseconds=10), 0])
def test_a_wait_that_takes_too_long_is_told_the_state(timeout):
    job = make_job(name="shop.send")

    with pytest.raises(WaitTimeoutError, match=rf"job {job.pk} \(shop.send\) is still ready after 0"):
        job.wait(timeout=timeout)


def test_a_dead_job_has_its_error_and_its_dead_letters():
    job = make_job()
    worker = make_worker()
    [claim] = take(worker)
    error = Error(error_class="shop.NoOrder", message="7", traceback="", fingerprint="a" * 32)
    finish([ended(claim, Discarded(error=error))], worker_id=worker.pk)

    assert job.refresh().error == "shop.NoOrder: 7"
    [letter] = job.dead_letters.all()
    assert str(letter) == "sample: shop.NoOrder (open)"
    assert str(job.last_attempt) == f"attempt 1 of job {job.pk}: discarded"
