from datetime import timedelta

import pytest
from django.db import transaction

from django_jobs.limits import Concurrency
from django_jobs.models import Batch, BatchJob, Job, Permit
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED, Released, Snoozed
from django_jobs.policy.states import WAITING_STATES, State
from django_jobs.store.batches.batch import batch_progress
from django_jobs.store.dependencies import mark_cancelled as marking
from django_jobs.store.lifecycle.cancel import (
    CancelResult,
    cancel,
    cancel_requested_ids,
    is_cancel_requested,
)
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.rescue import rescue_worker
from tests.concurrency import run_together
from tests.factories import (
    RULES,
    ended,
    failure,
    make_batch,
    make_dependency,
    make_job,
    make_jobs,
    make_letter,
    make_limit,
    make_permit,
    make_worker,
    take,
)

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", sorted(WAITING_STATES))
def test_a_job_that_waits_is_cancelled_and_never_claimed(state):
    job = make_job(state)

    assert cancel(job).cancelled == 1

    job.refresh()
    assert job.state == State.CANCELLED
    assert job.finished_at is not None
    assert job.run_after is None
    assert take(make_worker()) == []


@pytest.mark.parametrize("state", sorted(set(State) - WAITING_STATES))
def test_a_job_that_runs_or_has_ended_is_not_cancelled(state):
    job = make_job(state)
    finished_at = job.finished_at

    assert cancel(job).cancelled == 0

    job.refresh()
    assert (job.state, job.finished_at) == (state, finished_at)
    assert (job.cancel_requested_at is not None) is (state is State.RUNNING)


def test_of_a_queryset_the_jobs_that_wait_are_cancelled():
    make_jobs(3, queue_name="mail")
    running = make_job(State.RUNNING, queue_name="mail")
    other = make_job(queue_name="documents")

    assert cancel(Job.objects.filter(queue_name="mail")).cancelled == 3
    assert running.refresh().state == State.RUNNING
    assert other.refresh().state == State.READY


def test_a_sliced_queryset_cancels_its_slice_only():
    make_jobs(5)

    assert cancel(Job.objects.order_by("-pk")[:2]).cancelled == 2
    assert Job.objects.filter(state=State.CANCELLED).count() == 2


@pytest.mark.slow
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

    assert cancel(Job.objects.all()).cancelled == 2_101
    assert set(Job.objects.values_list("state", flat=True)) == {State.CANCELLED}


def test_cancellation_is_requested_for_a_job_claimed_between_the_two_reads_of_a_cancel(monkeypatch):
    job = make_job()
    lock = marking.lock_jobs

    def claimed_just_before(*args, **kwargs):
        assert len(take(make_worker())) == 1
        return lock(*args, **kwargs)

    monkeypatch.setattr(marking, "lock_jobs", claimed_just_before)

    assert cancel(job).cancelled == 0
    assert job.refresh().state == State.RUNNING
    assert job.cancel_requested_at is not None


def test_a_cancel_is_part_of_the_callers_transaction():
    job = make_job()

    with transaction.atomic():
        assert cancel(job).cancelled == 1
        transaction.set_rollback(True)

    assert job.refresh().state == State.READY


def test_the_job_itself_can_be_cancelled_and_tells_what_was_done():
    waiting, running = make_job(), make_job(State.RUNNING)

    assert waiting.cancel() == CancelResult(cancelled=1)
    assert waiting.state == State.CANCELLED
    assert not waiting.cancel()
    assert running.cancel() == CancelResult(requested=1)
    assert running.state == State.RUNNING
    assert running.cancel_requested_at is not None


@pytest.mark.parametrize("target", ["all", None, [1], 1.5])
def test_another_target_is_refused(target):
    with pytest.raises(
        TypeError,
        match="expected a Job or its id, a DeadLetter, a queryset of either, or a Q on dead letters",
    ):
        cancel(target)


def test_a_job_is_cancelled_by_its_id():
    job = make_job()

    assert cancel(job.pk) == CancelResult(cancelled=1)
    assert cancel(job.pk + 1) == CancelResult()


def test_who_cancelled_is_logged(caplog):
    make_jobs(2)
    make_job(State.RUNNING)

    with caplog.at_level("INFO", logger="django_jobs.store"):
        cancel(Job.objects.all(), by="ada")
        cancel(Job.objects.all(), by="bob")

    assert [record.getMessage() for record in caplog.records] == [
        "2 jobs cancelled, cancellation of 1 requested by ada"
    ]


def test_a_dead_job_is_not_cancelled_through_its_dead_letter():
    letter = make_letter()

    assert cancel(letter).cancelled == 0
    assert letter.job.refresh().state == State.DEAD


def test_a_cancel_cancels_waiting_jobs_and_requests_cancellation_of_running_ones_once():
    waiting, running, ended = make_job(), make_job(State.RUNNING), make_job(State.SUCCEEDED)

    assert sum(cancel(Job.objects.all())) == 2

    asked_at = running.refresh().cancel_requested_at
    assert (waiting.refresh().state, running.state, ended.refresh().state) == (
        "cancelled",
        "running",
        "succeeded",
    )
    assert asked_at is not None
    assert ended.cancel_requested_at is None
    assert [is_cancel_requested(job.pk) for job in (waiting, running, ended)] == [False, True, False]
    assert sum(cancel(running)) == 0
    assert running.refresh().cancel_requested_at == asked_at


def test_a_redrive_withdraws_the_request():
    job = make_job(State.DEAD, cancel_requested_at=make_job().enqueued_at)

    redrive(job)

    assert not is_cancel_requested(job.pk)
    assert not job.refresh().flags & JobFlag.CANCEL_REQUESTED


def test_cancelled_and_requested_are_counted_separately():
    make_jobs(2)
    make_jobs(3, State.RUNNING)

    assert cancel(Job.objects.all()) == (2, 3)
    assert cancel(Job.objects.all()) == (0, 0)


def test_requests_are_read_for_many_running_jobs_in_one_statement(django_assert_num_queries):
    running, other, ended_since = make_jobs(3, State.RUNNING)
    cancel(Job.objects.filter(pk__in=[running.pk, ended_since.pk]))
    Job.objects.filter(pk=ended_since.pk).update(state=State.SUCCEEDED)

    with django_assert_num_queries(1):
        assert cancel_requested_ids([running.pk, other.pk, ended_since.pk]) == {running.pk}
    assert cancel_requested_ids([]) == frozenset()


AGAIN = [
    failure(),
    failure(retry_in=timedelta(0)),
    Snoozed(delay=timedelta(hours=1)),
    Released(started=True),
    Released(started=False),
]


@pytest.mark.parametrize("outcome", AGAIN)
def test_a_run_with_a_cancellation_request_is_the_last(outcome):
    make_job()
    worker = make_worker()
    [claim] = take(worker)
    job = Job.objects.get()
    assert job.cancel().requested

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == {job.pk}

    assert (job.refresh().state, job.run_after) == (State.CANCELLED, None)
    assert job.finished_at is not None
    assert job.attempts.count() == (outcome != Released(started=False))
    assert take(worker) == []


@pytest.mark.parametrize(("outcome", "state"), [(SUCCEEDED, State.SUCCEEDED), (failure(retry_in=None), State.DEAD)])
def test_a_final_outcome_wins_over_a_cancellation_request(outcome, state):
    make_job()
    worker = make_worker()
    [claim] = take(worker)
    cancel(Job.objects.all())

    finish([ended(claim, outcome)], worker_id=worker.pk)

    assert Job.objects.get().state == state


def test_a_job_with_a_cancellation_request_does_not_run_again_after_its_worker_died():
    make_job()
    worker = make_worker()
    take(worker)
    cancel(Job.objects.all())

    assert rescue_worker(worker.pk, rules=RULES, reason="it died") == 1

    job = Job.objects.get()
    assert (job.state, job.attempts.get().outcome) == (State.CANCELLED, "lost")


def test_dependents_of_a_cancelled_run_are_updated():
    batch = make_batch(total=2)
    job = make_job(flags=JobFlag.IN_BATCH | JobFlag.LIMITED)
    after = make_job(State.BLOCKED, flags=JobFlag.IN_BATCH)
    make_dependency(after, job.refresh())
    for member in (job, after):
        BatchJob.objects.create(job=member, batch=batch)
    limit = make_limit(Concurrency(1))
    make_permit(limit, job, phase=PermitPhase.HELD, is_last=True)
    next_in_line = make_permit(limit, is_last=True).job
    worker = make_worker()
    [claim] = take(worker)
    cancel(job)

    finish([ended(claim, failure())], worker_id=worker.pk)

    assert [member.refresh().state for member in (job, after)] == [State.CANCELLED] * 2
    assert batch_progress(Batch.objects.get()).cancelled == 2
    assert not Permit.objects.filter(job=job).exists()
    assert next_in_line.refresh().state == State.READY


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", [SUCCEEDED, failure(), failure(retry_in=timedelta(0))])
def test_a_cancel_concurrent_with_a_finish_is_never_lost(outcome):
    worker = make_worker()
    for _ in range(10):
        job = make_job()
        [claim] = take(worker)

        run_together(
            lambda claim=claim: finish([ended(claim, outcome)], worker_id=worker.pk),
            lambda job=job: cancel(job),
        )

        state = State.SUCCEEDED if outcome == SUCCEEDED else State.CANCELLED
        assert job.refresh().state == state


@pytest.mark.django_db(transaction=True)
def test_a_cancel_concurrent_with_a_claim_cancels_the_job_or_requests_it():
    worker = make_worker()
    for _ in range(10):
        job = make_job()

        claims, cancelled = run_together(lambda: take(worker), lambda job=job: cancel(job).cancelled)

        job.refresh()
        assert cancelled + len(claims) == 1
        assert (job.state, job.cancel_requested_at is not None) in {
            (State.CANCELLED, False),
            (State.RUNNING, True),
        }
        Job.objects.filter(pk=job.pk).update(state=State.CANCELLED)
