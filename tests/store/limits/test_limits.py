"""Limits of every kind: jobs wait, are admitted as permits become free, and no permit is granted twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection  # noqa: F401 - named by the marks below

from django_jobs import JobDefinition
from django_jobs.exceptions import LimitKeyError
from django_jobs.limits import Concurrency, Ordering, as_limits
from django_jobs.models import DeadLetter, Job, Limit, LimitSignal, Permit
from django_jobs.policy.limits import LimitKind, PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED, Lost, Released, Snoozed
from django_jobs.policy.states import State
from django_jobs.policy.why_not_running import WaitReason
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.dialects.shared.by_id import InIds
from django_jobs.store.doctor.why_not_running import why_not_running
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.store.limits.admit import admit
from django_jobs.store.limits.definitions import sync_limits
from django_jobs.store.limits.open_limits import lock_limits
from django_jobs.store.limits.permits import insert_permits
from django_jobs.store.limits.prune import prune_limits
from django_jobs.store.limits.repair import repair_permits
from django_jobs.testing import drain
from tests.admission import admit_all
from tests.concurrency import Background, elsewhere, run_together
from tests.factories import ago, ended, failure, make_worker, take
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db
needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")


@pytest.fixture
def redefined() -> Callable[..., JobDefinition]:
    """Return a job as a newer version of the code would define it."""

    def define(definition: JobDefinition, **limits) -> JobDefinition:
        given = {"rate_limit": None, "concurrency": None, "ordering_key": None, "breaker": None} | limits
        options = replace(definition.options, limits=as_limits("@job", **given))
        return JobDefinition(definition.function, name=definition.name, options=options)

    return define


def states(jobs: list[Job]) -> list[str]:
    return [job.refresh().state for job in jobs]


def run_all(outcome=SUCCEEDED, **kwargs) -> list[int]:
    """Claim what is ready, end it all with ``outcome`` and return the jobs' ids in the order of their claims."""
    worker = make_worker()
    claims = take(worker)
    finish([ended(claim, outcome, **kwargs) for claim in claims], worker_id=worker.pk)
    return [claim.job_id for claim in claims]


def pass_time(**duration: float) -> None:
    """Move all recorded instants into the past by this much."""
    by = timedelta(**duration)
    for permit in Permit.objects.filter(free_at__isnull=False):
        Permit.objects.filter(pk=permit.pk).update(free_at=permit.free_at - by)
    for limit in Limit.objects.all():
        Limit.objects.filter(pk=limit.pk).update(
            check_at=limit.check_at and limit.check_at - by,
            closed_until=limit.closed_until and limit.closed_until - by,
        )


class TestEnqueue:
    def test_a_job_of_a_limit_is_blocked_until_a_worker_admits_it(self):
        job = sample.render.enqueue(1)

        assert job.state == State.BLOCKED
        admit_all()
        assert job.refresh().state == State.READY

    @needs_row_locks
    def test_an_enqueue_locks_no_row_that_another_enqueue_or_a_worker_wants(self, transactional_db):
        with elsewhere(lambda: sample.render.enqueue(1)):
            job = sample.render.enqueue(1)
            admit_all()
            assert job.refresh().state == State.READY

    def test_a_rolled_back_enqueue_leaves_no_permit_and_no_signal(self, transactional_db):
        with elsewhere(lambda: sample.render.enqueue(1)):
            pass

        assert not Permit.objects.exists()
        assert not LimitSignal.objects.exists()

    def test_jobs_of_many_keys_are_admitted_up_to_the_limit_of_each_key(self):
        jobs = sample.render.enqueue_many([(at % 3,) for at in range(12)])
        admit_all()

        ready = [job.arguments["customer_id"] for job in Job.objects.filter(state=State.READY)]
        assert sorted(ready) == [0, 0, 1, 1, 2, 2]
        assert states(jobs[:6]) == [State.READY] * 6

    def test_a_key_of_none_is_no_limit(self):
        jobs = sample.render.enqueue_many([(None,), (1,), (None,)])

        assert [job.state for job in jobs] == [State.READY, State.BLOCKED, State.READY]
        assert [job.arguments["customer_id"] for job in jobs] == [None, 1, None]
        assert Permit.objects.count() == 1

    def test_a_delayed_job_waits_at_its_limit_when_it_is_due(self):
        job = sample.render.using(run_after=timedelta(hours=1)).enqueue(1)
        admit_all()
        assert job.refresh().state == State.SCHEDULED

        Job.objects.filter(pk=job.pk).update(run_after=ago(seconds=1))
        assert promote() == 1
        assert job.refresh().state == State.BLOCKED
        admit_all()
        assert job.refresh().state == State.READY

    def test_run_now_takes_a_delayed_job_to_its_limit(self):
        job = sample.render.using(run_after=timedelta(hours=1)).enqueue(1)

        assert run_now(job) == 1
        assert job.refresh().state == State.BLOCKED
        admit_all()
        assert job.refresh().state == State.READY

    def test_the_higher_priority_is_admitted_first(self):
        low = sample.render.enqueue_many([(1,)] * 3)
        high = sample.render.using(priority=5).enqueue(1)
        admit_all()

        assert high.refresh().state == State.READY
        assert states(low) == [State.READY, State.BLOCKED, State.BLOCKED]

    def test_a_key_that_cannot_be_computed_fails_the_enqueue(self):
        with pytest.raises(LimitKeyError, match=r"render: concurrency: expected a key .* got list"):
            sample.render.enqueue([1, 2])

        assert not Job.objects.exists()


class TestConcurrency:
    def test_the_end_of_a_run_admits_the_next_job(self):
        jobs = sample.render.enqueue_many([(1,)] * 5)
        admit_all()
        worker = make_worker()
        first, second = take(worker)

        finish([ended(first, SUCCEEDED)], worker_id=worker.pk)

        assert states(jobs) == [State.SUCCEEDED, State.RUNNING, State.READY, State.BLOCKED, State.BLOCKED]
        assert second.job_id == jobs[1].pk

    def test_no_more_than_the_limit_hold_a_permit_through_a_whole_run(self):
        jobs = sample.render.enqueue_many([(1,)] * 7)
        admit_all()
        rounds = 0
        while Job.objects.exclude(state=State.SUCCEEDED).exists():
            assert Permit.objects.filter(phase=PermitPhase.HELD).count() <= 2
            assert run_all()
            rounds += 1

        assert rounds == 4
        assert not Permit.objects.exists()
        assert states(jobs) == [State.SUCCEEDED] * 7

    def test_a_failed_job_releases_its_permit_and_waits_for_another(self):
        jobs = sample.render.enqueue_many([(1,)] * 3)
        admit_all()
        worker = make_worker()
        claims = take(worker)
        finish([ended(claims[0], failure())], worker_id=worker.pk)

        assert states(jobs) == [State.SCHEDULED, State.RUNNING, State.READY]
        Job.objects.filter(pk=jobs[0].pk).update(run_after=ago(seconds=1))
        promote()
        admit_all()
        assert jobs[0].refresh().state == State.BLOCKED
        finish([ended(claims[1], SUCCEEDED)], worker_id=worker.pk)
        assert jobs[0].refresh().state == State.READY

    def test_rescue_releases_the_permit_of_a_killed_workers_run(self):
        jobs = sample.render.enqueue_many([(1,)] * 3)
        admit_all()
        worker = make_worker()
        claims = take(worker)

        finish([ended(claim, Lost(reason="killed")) for claim in claims], worker_id=worker.pk)

        assert sorted(states(jobs)) == [State.BLOCKED, State.READY, State.READY]
        assert Permit.objects.filter(phase=PermitPhase.HELD).count() == 2

    def test_a_job_given_back_before_it_began_keeps_its_permit(self):
        sample.render.enqueue_many([(1,)] * 3)
        admit_all()

        returned = run_all(Released(started=False))

        assert set(Job.objects.filter(state=State.READY).values_list("pk", flat=True)) == set(returned)

    def test_a_dead_job_releases_its_permit_and_waits_again_when_it_is_redriven(self):
        jobs = sample.render.enqueue_many([(1,)] * 3)
        admit_all()
        dead = run_all(failure(retry_in=None))
        assert jobs[2].refresh().state == State.READY

        assert redrive(Job.objects.filter(pk__in=dead)) == 2
        assert states(jobs[:2]) == [State.BLOCKED, State.BLOCKED]
        admit_all()
        assert sorted(states(jobs)) == [State.BLOCKED, State.READY, State.READY]

    def test_cancelling_a_job_with_a_permit_admits_the_next(self):
        jobs = sample.render.enqueue_many([(1,)] * 3)
        admit_all()

        assert cancel(jobs[0]).cancelled == 1
        admit_all()

        assert states(jobs) == [State.CANCELLED, State.READY, State.READY]
        assert cancel(Job.objects.all()).cancelled == 2
        assert not Permit.objects.exists()

    def test_purging_dead_jobs_leaves_no_permit_behind(self):
        sample.render.enqueue(1)
        admit_all()
        run_all(failure(retry_in=None))

        assert purge(Job.objects.all()) == 1
        assert not Permit.objects.exists()

    def test_a_newer_definition_is_taken_at_once(self, redefined):
        jobs = sample.render.enqueue_many([(1,)] * 4)
        admit_all()
        assert states(jobs).count(State.READY) == 2

        redefined(sample.render, concurrency=Concurrency(3, key="customer_id")).enqueue(1)
        admit_all()

        assert states(jobs).count(State.READY) == 3

    def test_a_worker_makes_a_job_enqueued_without_the_limit_wait_at_it(self, redefined):
        job = redefined(sample.render).enqueue(1)
        assert job.state == State.READY

        drain()

        assert job.refresh().state == State.SUCCEEDED
        assert job.attempts.count() == 1
        assert job.flags == 1


class TestRate:
    def test_no_more_than_the_count_run_until_the_window_has_passed(self):
        jobs = sample.call_api.enqueue_many([("stripe",)] * 5)
        admit_all()

        assert len(run_all()) == 2
        admit_all()
        assert run_all() == []

        pass_time(hours=1)
        admit_all()
        assert len(run_all()) == 2
        assert states(jobs) == [State.SUCCEEDED] * 4 + [State.BLOCKED]

    def test_keys_do_not_wait_for_each_other(self):
        sample.call_api.enqueue_many([("stripe",)] * 100)
        other = sample.call_api.enqueue("paypal")
        admit_all()

        assert other.refresh().state == State.READY

    def test_each_attempt_counts_and_a_retry_needs_a_permit_of_its_own(self):
        job = sample.call_api.enqueue("stripe")
        admit_all()
        run_all(failure())
        Job.objects.filter(pk=job.pk).update(run_after=ago(seconds=1))
        promote()
        admit_all()
        run_all(failure())
        Job.objects.filter(pk=job.pk).update(run_after=ago(seconds=1))
        promote()
        admit_all()

        assert job.refresh().state == State.BLOCKED
        assert Permit.objects.filter(phase=PermitPhase.COOLING).count() == 2
        pass_time(hours=1)
        admit_all()
        assert job.refresh().state == State.READY

    def test_a_lost_run_may_have_called_and_counts(self):
        job = sample.call_api.enqueue("stripe")
        for _ in range(2):
            admit_all()
            run_all(Lost(reason="killed"))
        admit_all()

        assert job.refresh().state == State.BLOCKED

    def test_a_limit_says_when_it_is_due_for_its_next_check(self):
        sample.call_api.enqueue_many([("stripe",)] * 3)
        admit_all()
        run_all()

        admit_all()
        limit = Limit.objects.get()
        first_free = Permit.objects.filter(phase=PermitPhase.COOLING).order_by("free_at").first()
        assert first_free.free_at - timedelta(minutes=1) < limit.check_at <= first_free.free_at

    def test_a_server_that_answers_too_many_requests_closes_the_whole_key(self):
        jobs = sample.call_api.enqueue_many([("stripe",)] * 4)
        other = sample.call_api.enqueue("paypal")
        admit_all()
        worker = make_worker()
        claims = take(worker, limit=1)
        refused = Snoozed(delay=timedelta(hours=2), closes_limit=True)

        finish([ended(claims[0], refused)], worker_id=worker.pk)

        assert states(jobs) == [State.SCHEDULED, State.BLOCKED, State.BLOCKED, State.BLOCKED]
        assert other.refresh().state == State.READY
        admit_all()
        pass_time(minutes=119)
        admit_all()
        assert states(jobs[1:]) == [State.BLOCKED] * 3
        pass_time(minutes=2)
        admit_all()
        assert states(jobs[1:]) == [State.READY, State.READY, State.BLOCKED]


class TestOrder:
    def test_jobs_of_one_key_run_one_after_another_in_the_order_of_enqueue(self):
        jobs = [sample.bill.using(priority=at).enqueue(1, at) for at in range(4)]
        admit_all()
        ran = []
        while batch := run_all():
            assert len(batch) == 1
            ran += batch

        assert ran == [job.pk for job in jobs]

    def test_a_failing_head_blocks_its_key_until_it_is_dead(self):
        head, second = sample.bill.enqueue_many([(1,), (1,)])
        admit_all()
        run_all(failure())
        admit_all()
        assert states([head, second]) == [State.SCHEDULED, State.BLOCKED]

        Job.objects.filter(pk=head.pk).update(run_after=ago(seconds=1))
        promote()
        assert head.refresh().state == State.READY
        run_all(failure(retry_in=None))
        assert states([head, second]) == [State.DEAD, State.READY]

    def test_a_failing_head_that_releases_its_permit_on_retry_returns_to_the_head(self):
        head, second, third = sample.bill_aside.enqueue_many([(1,)] * 3)
        admit_all()
        run_all(failure())
        assert states([head, second, third]) == [State.SCHEDULED, State.READY, State.BLOCKED]

        Job.objects.filter(pk=head.pk).update(run_after=ago(seconds=1))
        promote()
        run_all()
        assert states([head, second, third]) == [State.READY, State.SUCCEEDED, State.BLOCKED]

    @needs_row_locks
    def test_the_queue_waits_for_its_head_while_another_transaction_has_locked_it(self, transactional_db):
        head, second = sample.bill.enqueue_many([(1,), (1,)])

        with elsewhere(lambda: cancel(Job.objects.filter(pk=head.pk))):
            admit()
            assert second.refresh().state == State.BLOCKED


class TestOrderOfDead:
    """Of an ordering with ``hold_when_dead``."""

    @pytest.fixture
    def line(self, redefined) -> list[Job]:
        """Three jobs of one key, of which the first is dead, and one of another key."""
        held = redefined(sample.bill, ordering_key=Ordering("customer_id", hold_when_dead=True))
        head, second, third = (held.enqueue(1) for _ in range(3))
        other = held.enqueue(2)
        admit_all()
        worker = make_worker()
        claims = take(worker)
        assert [claim.job_id for claim in claims] == [head.pk, other.pk]
        finish([ended(claims[0], failure(retry_in=None)), ended(claims[1], SUCCEEDED)], worker_id=worker.pk)
        admit_all()
        assert states([head, second, third, other]) == [State.DEAD, State.BLOCKED, State.BLOCKED, State.SUCCEEDED]
        return [head, second, third]

    def test_a_redriven_job_runs_first(self, line):
        redrive(line[0])
        admit_all()

        assert states(line) == [State.READY, State.BLOCKED, State.BLOCKED]
        assert [run_all() for _ in range(3)] == [[job.pk] for job in line]

    @pytest.mark.parametrize("let_go", [purge, lambda job: resolve(DeadLetter.objects.get(job=job))])
    def test_the_others_go_on_without_a_job_that_is_purged_or_resolved(self, line, let_go):
        assert let_go(line[0]) == 1
        admit_all()

        assert states(line[1:]) == [State.READY, State.BLOCKED]

    def test_a_resolved_job_that_is_redriven_waits_for_its_turn(self, line):
        resolve(DeadLetter.objects.get(job=line[0]))
        admit_all()
        redrive(line[0])
        admit_all()

        assert states(line) == [State.BLOCKED, State.READY, State.BLOCKED]
        run_all()
        assert states(line) == [State.READY, State.SUCCEEDED, State.BLOCKED]

    def test_the_repair_leaves_its_turn_to_a_dead_job_as_long_as_the_rule_says_so(self, line):
        assert repair_permits(after=0, resolve=lambda _: None) == (0, None)
        Limit.objects.update(rule=Ordering("customer_id").rule().as_json())

        assert repair_permits(after=0, resolve=lambda _: None) == (1, None)
        admit_all()
        assert states(line[1:]) == [State.READY, State.BLOCKED]

    def test_a_dead_job_gives_up_its_turn_if_the_code_does_not_say_so_any_more(self, line, redefined):
        now = redefined(sample.bill, ordering_key=Ordering("customer_id"))
        was = redefined(sample.bill, ordering_key=Ordering("customer_id", hold_when_dead=True))
        assert repair_permits(after=0, resolve=lambda job: was.needs(job.arguments)) == (0, None)

        assert repair_permits(after=0, resolve=lambda job: now.needs(job.arguments)) == (1, None)
        admit_all()
        assert states(line[1:]) == [State.READY, State.BLOCKED]

    def test_a_job_that_it_holds_back_says_so(self, line):
        reason = why_not_running(line[1].refresh())

        assert (reason.why, reason.values["holder"]) == (WaitReason.IN_ORDER_DEAD, line[0].pk)

    def test_a_function_of_the_arguments_says_which_jobs_hold(self, redefined):
        ordering = Ordering("customer_id", hold_when_dead=lambda customer_id, number: customer_id == 1)
        definition = redefined(sample.bill, ordering_key=ordering)
        jobs = [definition.enqueue(customer) for customer in (1, 1, 2, 2)]
        admit_all()
        run_all(failure(retry_in=None))
        admit_all()

        assert states(jobs) == [State.DEAD, State.BLOCKED, State.DEAD, State.READY]


class TestBreaker:
    def test_repeated_failures_open_it_and_one_success_closes_it(self):
        jobs = sample.ask_partner.enqueue_many([("acme",)] * 4)
        admit_all()
        worker = make_worker()
        claims = take(worker, limit=2)
        finish([ended(claim, failure(retry_in=None)) for claim in claims], worker_id=worker.pk)
        assert states(jobs) == [State.DEAD, State.DEAD, State.BLOCKED, State.BLOCKED]
        admit_all()
        assert states(jobs[2:]) == [State.BLOCKED, State.BLOCKED]

        pass_time(hours=1)
        admit_all()
        assert states(jobs[2:]) == [State.READY, State.BLOCKED]
        run_all()
        assert states(jobs[2:]) == [State.SUCCEEDED, State.READY]

    def test_a_failed_trial_run_opens_it_again(self):
        jobs = sample.ask_partner.enqueue_many([("acme",)] * 4)
        admit_all()
        worker = make_worker()
        claims = take(worker, limit=2)
        finish([ended(claim, failure(retry_in=None)) for claim in claims], worker_id=worker.pk)
        pass_time(hours=1)
        admit_all()
        run_all(failure(retry_in=None))

        admit_all()
        assert states(jobs) == [State.DEAD, State.DEAD, State.DEAD, State.BLOCKED]

    def test_other_keys_go_on(self):
        sample.ask_partner.enqueue_many([("acme",)] * 2)
        admit_all()
        run_all(failure(retry_in=None))

        other = sample.ask_partner.enqueue("other")
        admit_all()
        assert other.refresh().state == State.READY


class TestSeveral:
    def test_a_job_takes_its_permits_one_after_another_and_waits_at_one_limit_at_a_time(self):
        first = sample.sync_customer.enqueue(1, "api")
        same_customer = sample.sync_customer.enqueue(1, "api")
        same_api = sample.sync_customer.enqueue(2, "api")
        admit_all()

        assert states([first, same_customer, same_api]) == [State.READY, State.BLOCKED, State.BLOCKED]
        waits_at = dict(Permit.objects.filter(phase=PermitPhase.WAITING).values_list("job_id", "kind"))
        assert waits_at == {same_customer.pk: LimitKind.ORDER, same_api.pk: LimitKind.CONCURRENCY}

        run_all()
        admit_all()
        assert Job.objects.filter(state=State.READY).count() == 1

    def test_all_end_although_each_holds_what_others_wait_for(self):
        sample.sync_customer.enqueue_many([(at % 3, f"api {at % 2}") for at in range(12)])
        for _ in range(40):
            admit_all()
            run_all()
            pass_time(hours=1)

        assert Job.objects.filter(state=State.SUCCEEDED).count() == 12
        assert not Permit.objects.exclude(phase=PermitPhase.COOLING).exists()


class TestAtOnce:
    @pytest.fixture(autouse=True)
    def _committed(self, transactional_db):
        """Let other connections see what a test has made."""

    def test_two_workers_that_admit_at_the_same_moment_grant_no_permit_twice(self):
        sample.render.enqueue_many([(1,)] * 6)

        run_together(admit, admit, admit)

        assert Permit.objects.filter(phase=PermitPhase.HELD).count() <= 2
        admit_all()
        assert Permit.objects.filter(phase=PermitPhase.HELD).count() == 2

    def test_finishes_of_many_workers_at_once_admit_exactly_as_many(self):
        sample.render.enqueue_many([(at % 4,) for at in range(80)])
        admit_all()
        workers = [make_worker() for _ in range(4)]
        ran = 0
        while Job.objects.exclude(state=State.SUCCEEDED).exists():
            batches = [(worker, take(worker, limit=2)) for worker in workers]
            ran += sum(len(claims) for _, claims in batches)
            assert Permit.objects.filter(phase=PermitPhase.HELD).count() <= 8
            run_together(
                *[
                    lambda worker=worker, claims=claims: finish(
                        [ended(claim, SUCCEEDED) for claim in claims], worker_id=worker.pk
                    )
                    for worker, claims in batches
                ]
            )
            admit_all()

        assert ran == 80
        assert not Permit.objects.exists()

    def test_a_rescue_and_a_finish_of_one_run_free_one_permit(self):
        sample.render.enqueue_many([(1,)] * 4)
        admit_all()
        worker = make_worker()
        one = take(worker, limit=1)[0]

        run_together(
            lambda: finish([ended(one, SUCCEEDED)], worker_id=worker.pk),
            lambda: finish([ended(one, Lost(reason="silent"))], worker_id=worker.pk),
        )

        assert Permit.objects.filter(phase=PermitPhase.HELD).count() == 2

    @needs_row_locks
    def test_an_uncommitted_cancel_holds_up_no_other_job(self):
        jobs = sample.render.enqueue_many([(1,)] * 3)

        with elsewhere(lambda: cancel(Job.objects.filter(pk=jobs[0].pk))):
            admitted = admit()
            assert admitted.granted == 1
            assert states(jobs[1:]) == [State.READY, State.BLOCKED]


class TestUpkeep:
    def test_a_worker_that_starts_with_a_newer_definition_writes_it_into_all_keys(self):
        jobs = sample.render.enqueue_many([(at % 2,) for at in range(8)])
        admit_all()
        assert states(jobs).count(State.READY) == 4

        assert sync_limits([(sample.render.name, Concurrency(3).rule())]) == 2
        assert sync_limits([(sample.render.name, Concurrency(3).rule())]) == 0
        admit_all()

        assert states(jobs).count(State.READY) == 6

    def test_a_lowered_limit_admits_no_job_until_enough_have_ended(self):
        jobs = sample.render.enqueue_many([(1,)] * 4)
        admit_all()
        sync_limits([(sample.render.name, Concurrency(1).rule())])
        admit_all()
        worker = make_worker()
        first, second = take(worker)

        finish([ended(first, SUCCEEDED)], worker_id=worker.pk)
        assert states(jobs[2:]) == [State.BLOCKED, State.BLOCKED]
        finish([ended(second, SUCCEEDED)], worker_id=worker.pk)
        assert states(jobs[2:]) == [State.READY, State.BLOCKED]

    def test_a_key_without_permits_is_pruned(self):
        sample.render.enqueue_many([(1,), (2,)])
        admit_all()
        worker = make_worker()
        one, other = take(worker)
        finish([ended(one, SUCCEEDED)], worker_id=worker.pk)

        assert prune_limits() == 1
        assert Limit.objects.count() == 1
        finish([ended(other, SUCCEEDED)], worker_id=worker.pk)
        assert prune_limits() == 1
        assert sample.render.enqueue(1)
        admit_all()
        assert Job.objects.filter(state=State.READY).count() == 1

    def test_a_cooling_rate_limit_and_a_breaker_with_failures_are_not_pruned(self):
        sample.call_api.enqueue("stripe")
        sample.ask_partner.enqueue("acme")
        admit_all()
        run_all(failure(retry_in=None))
        Job.objects.all()._raw_delete("default")
        Permit.objects.filter(phase=PermitPhase.ASLEEP)._raw_delete("default")

        assert prune_limits() == 0
        pass_time(hours=1)
        assert prune_limits() == 1
        assert Limit.objects.get().failures

    @needs_row_locks
    def test_a_job_waits_at_no_limit_that_a_pruner_has_deleted_meanwhile(self, transactional_db, monkeypatch):
        """The row is deleted after the worker has seen it, and before the worker locks it."""
        sample.render.enqueue(1)
        admit_all()
        run_all()
        job = sample.render.enqueue(1)
        Permit.objects.all()._raw_delete("default")  # the enqueue is not committed yet, as the pruner sees it
        pruned = []

        def lock_after_pruning(*args, **kwargs):
            if not pruned:
                pruned.append(Background(prune_limits).result())
                insert_permits(
                    [(job.pk, sample.render.needs(job.arguments))], priority=0, waiting=True, using="default"
                )
            return lock_limits(*args, **kwargs)

        monkeypatch.setattr("django_jobs.store.limits.admit.lock_limits", lock_after_pruning)
        admit_all()

        assert pruned == [1]
        assert job.refresh().state == State.READY

    @needs_row_locks
    def test_a_pruner_keeps_a_limit_that_has_admitted_a_job_meanwhile(self, transactional_db, monkeypatch):
        sample.render.enqueue(1)
        admit_all()
        run_all()

        def enqueue_and_admit() -> None:
            sample.render.enqueue(1)
            admit_all()
            Limit.objects.update(check_at=None)

        read_ids = InIds.__init__

        def read_after_admission(self, column, ids, **kwargs):
            ids = list(ids)
            if column == "pk" and ids and not Permit.objects.exists():
                Background(enqueue_and_admit).result()
            read_ids(self, column, ids, **kwargs)

        monkeypatch.setattr("django_jobs.store.limits.prune.InIds.__init__", read_after_admission)
        assert prune_limits() == 0
        assert Limit.objects.count() == 1
