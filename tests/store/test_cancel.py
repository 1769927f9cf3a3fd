import pytest
from django.db import transaction

from django_jobs.models import Job
from django_jobs.policy.states import WAITING_STATES, State
from django_jobs.store import mark_cancelled as marking
from django_jobs.store.cancel import cancel, is_cancel_requested, request_cancel
from django_jobs.store.redrive import redrive
from tests.factories import make_job, make_jobs, make_letter, make_worker, take

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", sorted(WAITING_STATES))
def test_a_job_that_waits_is_cancelled_and_never_claimed(state):
    job = make_job(state)

    assert cancel(job) == 1

    job.refresh()
    assert job.state == State.CANCELLED
    assert job.finished_at is not None
    assert job.run_after is None
    assert take(make_worker()) == []


@pytest.mark.parametrize("state", sorted(set(State) - WAITING_STATES))
def test_a_job_that_runs_or_has_ended_is_left_alone(state):
    job = make_job(state)
    finished_at = job.finished_at

    assert cancel(job) == 0

    job.refresh()
    assert (job.state, job.finished_at) == (state, finished_at)


def test_of_a_queryset_the_jobs_that_wait_are_cancelled():
    make_jobs(3, queue_name="mail")
    running = make_job(State.RUNNING, queue_name="mail")
    other = make_job(queue_name="documents")

    assert cancel(Job.objects.filter(queue_name="mail")) == 3
    assert running.refresh().state == State.RUNNING
    assert other.refresh().state == State.READY


def test_a_slice_of_a_queryset_is_just_that():
    make_jobs(5)

    assert cancel(Job.objects.order_by("-pk")[:2]) == 2
    assert Job.objects.filter(state=State.CANCELLED).count() == 2


def test_more_than_a_thousand_jobs_are_all_cancelled():
    first = make_job()
    Job.objects.bulk_create(
        Job(
            name="x",
            queue_name="default",
            max_attempts=1,
            enqueued_at=first.enqueued_at,
            ready_at=first.ready_at,
        )
        for _ in range(2_100)
    )

    assert cancel(Job.objects.all()) == 2_101
    assert set(Job.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_a_job_that_is_claimed_between_the_two_looks_of_a_cancel_is_left_alone(monkeypatch):
    job = make_job()
    lock = marking.lock

    def claimed_just_before(*args, **kwargs):
        assert len(take(make_worker())) == 1
        return lock(*args, **kwargs)

    monkeypatch.setattr(marking, "lock", claimed_just_before)

    assert cancel(job) == 0
    assert job.refresh().state == State.RUNNING


def test_a_cancel_is_part_of_the_callers_transaction():
    job = make_job()

    with transaction.atomic():
        assert cancel(job) == 1
        transaction.set_rollback(True)

    assert job.refresh().state == State.READY


def test_the_job_itself_can_be_cancelled_and_tells_whether_it_is():
    waiting, running = make_job(), make_job(State.RUNNING)

    assert waiting.cancel() is True
    assert waiting.state == State.CANCELLED
    assert waiting.cancel() is True
    assert running.cancel() is False
    assert running.state == State.RUNNING


@pytest.mark.parametrize("target", ["all", 5, None, [1]])
def test_another_target_is_refused(target):
    with pytest.raises(
        TypeError, match="expected a Job, a DeadLetter, a queryset of either, or a Q on dead letters"
    ):
        cancel(target)


def test_a_dead_job_is_not_cancelled_through_its_letter():
    letter = make_letter()

    assert cancel(letter) == 0
    assert letter.job.refresh().state == State.DEAD


def test_a_request_cancels_what_waits_and_asks_what_runs_once():
    waiting, running, ended = make_job(), make_job(State.RUNNING), make_job(State.SUCCEEDED)

    assert request_cancel(Job.objects.all()) == 2

    asked_at = running.refresh().cancel_requested_at
    assert (waiting.refresh().state, running.state, ended.refresh().state) == (
        "cancelled",
        "running",
        "succeeded",
    )
    assert asked_at is not None
    assert ended.cancel_requested_at is None
    assert [is_cancel_requested(job.pk) for job in (waiting, running, ended)] == [False, True, False]
    assert request_cancel(running) == 0
    assert running.refresh().cancel_requested_at == asked_at


def test_a_redriven_job_is_not_asked_any_more():
    job = make_job(State.DEAD, cancel_requested_at=make_job().enqueued_at)

    redrive(job)

    assert not is_cancel_requested(job.pk)
