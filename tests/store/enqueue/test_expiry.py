"""Jobs that are too old to be of use never begin, end as cancelled and say why; whoever has no expiry pays nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

import django_jobs
from django_jobs import Batch, chain
from django_jobs.limits import Concurrency, RateLimit
from django_jobs.models import Expiry, Job, Permit
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED, Expired, Outcome, Released, Snoozed
from django_jobs.policy.states import WAITING_STATES, State
from django_jobs.store.batches.batch import batch_progress
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.expire import expire
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.prune import prune
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.store.schedules.tick import tick
from django_jobs.testing import drain
from tests.concurrency import run_together
from tests.factories import (
    ago,
    ended,
    failure,
    make_expiry,
    make_job,
    make_jobs,
    make_letter,
    make_limit,
    make_permit,
    make_schedule,
    make_worker,
    take,
)
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def grow_old(*jobs: Job) -> None:
    """Let the jobs' time have come a second ago."""
    Expiry.objects.filter(job__in=jobs).update(expires_at=ago(seconds=1), check_at=ago(seconds=1))


def is_expired(job: Job) -> bool:
    job.refresh()
    return job.state == State.CANCELLED and job.expired_at is not None


class TestEnqueue:
    def test_it_counts_from_the_databases_now(self) -> None:
        job = sample.do_nothing.using(expires_at=HOUR).enqueue()
        assert job.expires_at == job.enqueued_at + HOUR
        assert (job.expired_at, job.refresh().flags) == (None, JobFlag.EXPIRES)

    def test_it_may_be_an_instant(self) -> None:
        at = database_now() + HOUR
        assert sample.do_nothing.using(expires_at=at).enqueue().refresh().expires_at == at

    def test_a_job_without_an_expiry_costs_no_row_and_no_statement(self, django_assert_num_queries: Any) -> None:
        job = sample.do_nothing.enqueue()
        assert not Expiry.objects.exists()
        with django_assert_num_queries(0):
            assert (job.expires_at, job.expired_at) == (None, None)

    @pytest.mark.parametrize(
        "enqueue",
        [
            lambda: sample.coupon.enqueue(1),
            lambda: sample.coupon.using(run_after=timedelta(minutes=5)).enqueue(1),
            lambda: sample.coupon.using(idempotency_key="one").enqueue(1),
            lambda: sample.coupon.enqueue_many([(1,)])[0],
            lambda: django_jobs.enqueue(sample.coupon.name, 1),
            lambda: chain(sample.echo.s(), sample.coupon.s(1).without_result()).enqueue()[1],
            lambda: sample.coupon.after(sample.echo.enqueue()).enqueue(1),
            lambda: django_jobs.find_job(sample.echo.name).using(expires_at=HOUR).enqueue(1),
        ],
    )
    def test_by_whichever_way(self, enqueue: Callable[[], Job]) -> None:
        job = enqueue().refresh()
        assert job.expires_at == (job.run_after or job.enqueued_at) + HOUR

    def test_by_a_stream(self) -> None:
        assert sample.coupon.enqueue_stream((number,) for number in range(3)) == 3
        assert Expiry.objects.filter(expires_at__gt=F("job__enqueued_at")).count() == 3

    def test_from_a_schedule_it_counts_from_when_the_tick_was_due(self) -> None:
        schedule = make_schedule(job_name=sample.coupon.name, arguments={"number": 1}, expires=HOUR)
        due_at = schedule.next_due_at
        assert tick().fired == 1
        assert due_at is not None
        assert Job.objects.get().expires_at == due_at + HOUR

    def test_from_the_end_of_a_batch(self) -> None:
        with Batch(on_success=sample.coupon.s(2)):
            pass
        drain()
        job = Job.objects.get()
        assert job.expires_at == job.enqueued_at + HOUR

    def test_a_copy_of_it_does_not(self) -> None:
        from django_jobs.store.lifecycle.replay import replay

        (copy,) = replay(sample.coupon.enqueue(1))
        assert Job.objects.get(pk=copy).expires_at is None

    @pytest.mark.django_db(transaction=True)
    def test_it_is_rolled_back_with_the_job(self) -> None:
        with transaction.atomic():
            sample.coupon.enqueue(1)
            transaction.set_rollback(True)
        assert not Expiry.objects.exists()


class TestClaimed:
    def test_one_that_is_too_old_is_not_begun(self) -> None:
        customer = Customer.objects.create(name="Ada")
        job = sample.count_visit.using(expires_at=HOUR).enqueue(customer.pk)
        grow_old(job)
        assert drain().runs == {State.CANCELLED: 1}
        assert is_expired(job)
        assert (job.attempts.count(), job.attempt, job.started_at) == (0, 0, None)
        assert Customer.objects.get().visits == 0

    @pytest.mark.django_db(transaction=True)
    def test_nor_is_an_asynchronous_one(self) -> None:
        job = sample.echo_async.using(expires_at=HOUR).enqueue(1)
        grow_old(job)
        drain()
        assert is_expired(job)

    def test_one_in_time_runs(self) -> None:
        job = sample.coupon.enqueue(7)
        assert drain().succeeded == 1
        assert (job.refresh().result, job.expired_at) == (7, None)

    def test_one_that_came_in_time_and_took_long_has_succeeded(self) -> None:
        job = sample.coupon.enqueue(7)
        worker = make_worker()
        [claim] = take(worker)
        grow_old(job)
        finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
        assert (job.refresh().state, job.expired_at) == (State.SUCCEEDED, None)

    def test_hurrying_it_does_not_keep_it(self) -> None:
        job = sample.coupon.using(run_after=HOUR).enqueue(7)
        grow_old(job)
        assert run_now(job) == 1
        drain()
        assert is_expired(job)


@pytest.mark.parametrize(
    "outcome",
    [
        failure(retry_in=2 * HOUR),
        Snoozed(delay=2 * HOUR),
    ],
)
def test_another_run_that_would_come_too_late_is_dropped(outcome: Outcome) -> None:
    job = sample.coupon.enqueue(7)
    worker = make_worker()
    [claim] = take(worker)
    finish([ended(claim, outcome)], worker_id=worker.pk)
    assert is_expired(job)
    assert job.attempts.count() == 1
    assert job.run_after is None


@pytest.mark.parametrize("outcome", [failure(retry_in=timedelta(minutes=1)), Released(started=True)])
def test_another_run_in_time_is_not(outcome: Outcome) -> None:
    job = sample.coupon.enqueue(7)
    worker = make_worker()
    [claim] = take(worker)
    finish([ended(claim, outcome)], worker_id=worker.pk)
    assert job.refresh().state in WAITING_STATES
    assert job.expired_at is None


@pytest.mark.parametrize("outcome", [Released(started=True), Released(started=False), failure()])
def test_what_is_put_back_after_its_time_is_dropped(outcome: Outcome) -> None:
    job = sample.coupon.enqueue(7)
    worker = make_worker()
    [claim] = take(worker)
    grow_old(job)
    finish([ended(claim, outcome)], worker_id=worker.pk)
    assert is_expired(job)


class TestWaiting:
    @pytest.mark.parametrize("state", sorted(WAITING_STATES))
    def test_it_is_cancelled_by_maintenance(self, state: State) -> None:
        old, young = (make_job(state, flags=JobFlag.EXPIRES) for _ in range(2))
        make_expiry(old, expires_at=ago(seconds=1))
        make_expiry(young, expires_at=database_now() + HOUR)
        assert expire() == (1, False)
        assert is_expired(old)
        assert old.run_after is None
        assert young.refresh().state == state
        assert expire() == (0, False)

    @pytest.mark.parametrize("state", sorted(set(State) - WAITING_STATES))
    def test_a_running_or_finished_job_is_checked_once_and_left_alone(self, state: State) -> None:
        job = make_job(state, flags=JobFlag.EXPIRES)
        make_expiry(job, expires_at=ago(seconds=1))
        assert expire() == (0, False)
        assert (job.refresh().state, job.expired_at) == (state, None)
        assert not Expiry.objects.filter(check_at__isnull=False).exists()

    def test_many_are_cancelled_some_at_a_time_the_oldest_first(self) -> None:
        jobs = make_jobs(5, flags=JobFlag.EXPIRES)
        for number, job in enumerate(jobs):
            make_expiry(job, expires_at=ago(seconds=10 - number))
        assert expire(limit=2) == (2, True)
        assert [is_expired(job) for job in jobs] == [True, True, False, False, False]
        assert expire(limit=4) == (3, False)

    def test_where_none_is_due_it_takes_one_statement(self, django_assert_num_queries: Any) -> None:
        sample.coupon.enqueue(1)
        with django_assert_num_queries(1):
            expire()

    def test_a_cancelled_one_has_not_expired(self) -> None:
        job = sample.coupon.enqueue(1)
        cancel(job)
        grow_old(job)
        expire()
        assert (job.refresh().state, job.expired_at) == (State.CANCELLED, None)

    def test_what_waits_for_it_is_cancelled_and_all_are_counted(self) -> None:
        with Batch() as batch:
            first, second = chain(sample.coupon.s(1), sample.echo.s()).enqueue()
        grow_old(first)
        assert expire() == (1, False)
        assert is_expired(first)
        assert (second.refresh().state, second.expired_at) == (State.CANCELLED, None)
        assert batch_progress(batch.row).cancelled == 2

    @pytest.mark.django_db(transaction=True)
    def test_any_number_of_workers_may_look(self) -> None:
        jobs = make_jobs(20, flags=JobFlag.EXPIRES)
        for job in jobs:
            make_expiry(job, expires_at=ago(seconds=1))
        done = run_together(expire, expire, expire)
        assert sum(number for number, _ in done) == 20
        assert all(map(is_expired, jobs))

    @pytest.mark.django_db(transaction=True)
    def test_a_claim_that_comes_at_the_same_time_gets_it_or_does_not(self) -> None:
        worker = make_worker()
        for _ in range(10):
            job = sample.coupon.enqueue(1)
            grow_old(job)
            claims, (dropped, _) = run_together(lambda: take(worker), expire)
            assert len(claims) + dropped == 1
            finish([ended(claim, Expired()) for claim in claims], worker_id=worker.pk)
            assert is_expired(job)


def test_a_chain_behind_one_that_was_not_begun_in_time_is_cancelled() -> None:
    with Batch(on_complete=sample.tell_batch) as batch:
        first, second = chain(sample.coupon.s(1), sample.echo.s()).enqueue()
    grow_old(first)
    drain()
    assert is_expired(first)
    assert second.refresh().state == State.CANCELLED
    assert (batch.progress().cancelled, batch.progress().state) == (2, "cancelled")
    assert Job.objects.get(name=sample.tell_batch.name).result == batch.id


@pytest.mark.parametrize("limit", [Concurrency(1), RateLimit(1, per=HOUR)])
def test_it_uses_nothing_of_its_limits_up(limit: Concurrency | RateLimit) -> None:
    row = make_limit(limit)
    old = make_job(flags=JobFlag.LIMITED | JobFlag.EXPIRES)
    make_expiry(old, expires_at=ago(seconds=1))
    make_permit(row, old, phase=PermitPhase.HELD)
    worker = make_worker()
    [claim] = take(worker)
    next_in_line = make_permit(row).job
    finish([ended(claim, Expired())], worker_id=worker.pk)
    drain()
    assert is_expired(old)
    assert not Permit.objects.filter(job=old).exists()
    assert next_in_line.refresh().state != State.BLOCKED


def test_a_blocked_one_gives_its_place_in_the_line_up() -> None:
    row = make_limit(Concurrency(1))
    old = make_job(State.BLOCKED, flags=JobFlag.LIMITED | JobFlag.EXPIRES)
    make_expiry(old, expires_at=ago(seconds=1))
    make_permit(row, old)
    expire()
    assert is_expired(old)
    assert not Permit.objects.exists()


def test_a_redriven_job_expires_no_more() -> None:
    job = make_job(State.DEAD, flags=JobFlag.EXPIRES)
    make_expiry(job, expires_at=ago(seconds=1))
    make_letter(job)
    assert redrive(job) == 1
    assert (job.refresh().flags, job.expires_at) == (0, None)
    assert not Expiry.objects.exists()
    expire()
    assert job.refresh().state == State.READY


@pytest.mark.parametrize("delete", [purge, lambda _: prune({State.CANCELLED: timedelta(0)}).jobs])
def test_what_is_deleted_leaves_nothing_behind(delete: Callable[[Job], int]) -> None:
    job = make_job(State.CANCELLED, flags=JobFlag.EXPIRES, enqueued_at=ago(hours=2), finished_at=ago(hours=1))
    make_expiry(job, expires_at=ago(hours=1))
    assert delete(job) == 1
    assert not Expiry.objects.exists()


class TestUnique:
    def test_a_replaced_one_expires_when_the_new_one_would(self) -> None:
        first = sample.sync_newest.using(expires_at=HOUR).enqueue(1, "old")
        second = sample.sync_newest.using(expires_at=2 * HOUR).enqueue(1, "new")
        assert second.pk == first.pk
        expires_at = first.refresh().expires_at
        assert expires_at is not None
        assert expires_at > first.enqueued_at + HOUR
        assert first.state == State.READY
        sample.sync_newest.enqueue(1, "newest")
        assert (first.refresh().expires_at, first.flags) == (None, 0)
        sample.sync_newest.using(expires_at=HOUR).enqueue(1, "again")
        assert first.refresh().expires_at is not None

    def test_a_put_off_one_too(self) -> None:
        first = sample.remind.using(run_after=HOUR, expires_at=2 * HOUR).enqueue(1)
        sample.remind.using(run_after=5 * HOUR, expires_at=6 * HOUR).enqueue(1)
        first.refresh()
        assert first.run_after is not None
        assert first.expires_at is not None
        assert first.expires_at - first.run_after == HOUR

    def test_one_that_is_skipped_for_stays_as_it_is(self) -> None:
        first = sample.sync.using(expires_at=HOUR).enqueue(1)
        expires_at = first.expires_at
        assert sample.sync.using(expires_at=2 * HOUR).enqueue(1).is_duplicate
        assert first.refresh().expires_at == expires_at


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="counts PostgreSQL's statements")
@pytest.mark.django_db(transaction=True)
def test_a_plain_enqueue_is_still_one_statement(django_assert_num_queries: Any) -> None:
    assert connection.vendor == "postgresql"
    with django_assert_num_queries(1):
        sample.echo.enqueue(1)
