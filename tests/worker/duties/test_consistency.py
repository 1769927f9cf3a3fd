"""Every stored count, and every row that others wait for, is broken by hand and repaired by maintenance."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import Model

from django_jobs import Batch, chain
from django_jobs.models import Batch as BatchRow
from django_jobs.models import BatchCountDelta, DeadLetter, DeadLetterGroup, Dependency, Job, Limit, Permit, Tick
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.limits import Concurrency, Ordering, PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.policy.states import State
from django_jobs.store import queues
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.schedules.tick import tick
from django_jobs.store.stats.rollup import roll_up
from django_jobs.worker.duties.consistency import ConsistencyCheck
from tests.admission import admit_all
from tests.factories import (
    ago,
    ended,
    failure,
    make_batch,
    make_batch_job,
    make_job,
    make_letter,
    make_limit,
    make_permit,
    make_schedule,
    make_tick,
    make_worker,
    take,
)
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)


def check(rounds: int = 1) -> ConsistencyCheck:
    """Do the rounds of one pass, and admit what may be admitted."""
    duty = ConsistencyCheck(make_context(RecordedEvents()))
    for _ in range(rounds):
        duty.step()
    admit_all()
    return duty


def erase(*models: type[Model], **where: object) -> None:
    """Delete rows behind the engine's back."""
    for model in models:
        model._base_manager.filter(**where)._raw_delete("default")


def run(number: int, outcome=SUCCEEDED) -> None:
    worker = make_worker()
    finish([ended(claim, outcome) for claim in take(worker, limit=number)], worker_id=worker.pk)


class TestPermits:
    @pytest.mark.parametrize("definition", [sample.render, sample.bill, sample.sync_customer])
    def test_the_permit_of_a_deleted_job_blocks_nobody(self, definition):
        given = (1, "api") if definition is sample.sync_customer else (1,)
        holders = definition.enqueue_many([given] * 2)
        admit_all()
        waiting = definition.enqueue_many([given] * 2)
        admit_all()
        erase(Job, pk__in=[job.pk for job in holders])

        check()
        assert waiting[0].refresh().state == State.READY
        assert not Permit.objects.filter(job__in=[job.pk for job in holders]).exists()

    def test_the_permit_of_a_deleted_job_that_waits_is_deleted(self):
        _, second, third = sample.bill.enqueue_many([(1,)] * 3)
        admit_all()
        erase(Job, pk=second.pk)
        check()
        run(1)
        assert third.refresh().state == State.READY

    @pytest.mark.parametrize("state", [State.SUCCEEDED, State.CANCELLED, State.DEAD, State.SCHEDULED])
    @pytest.mark.parametrize("phase", [PermitPhase.HELD, PermitPhase.WAITING])
    def test_a_job_that_is_not_due_holds_no_permit(self, state, phase):
        limit = make_limit(Concurrency(1))
        job = make_job(state, flags=JobFlag.LIMITED)
        make_permit(limit, job, phase=phase)
        waiting = make_permit(limit).job

        check()
        assert waiting.refresh().state == State.READY
        left = Permit.objects.filter(job=job)
        assert [permit.phase for permit in left] == (
            [PermitPhase.ASLEEP] if state in {State.DEAD, State.SCHEDULED} else []
        )

    @pytest.mark.parametrize("definition", [sample.render, sample.bill])
    @pytest.mark.parametrize("broken", ["no permit", "no check"])
    def test_jobs_do_not_wait_at_a_limit_that_is_free(self, definition, broken):
        holder, waiting = definition.enqueue_many([(1,)] * 2) if definition is sample.bill else (None, None)
        if holder is None:
            *_, waiting = definition.enqueue_many([(1,)] * 3)
        admit_all()
        assert waiting.refresh().state == State.BLOCKED
        if broken == "no permit":
            erase(Permit, phase=PermitPhase.HELD)
        else:
            run(2)
            Job.objects.filter(pk=waiting.pk).update(state=State.BLOCKED, ready_at=None)
            Permit.objects.filter(job=waiting.pk).update(phase=PermitPhase.WAITING)
            Limit.objects.update(check_at=None)

        check()
        assert waiting.refresh().state == State.READY

    def test_a_failed_job_keeps_its_turn(self):
        limit = make_limit(Ordering("customer_id"))
        job = make_job(State.SCHEDULED, flags=JobFlag.LIMITED)
        permit = make_permit(limit, job, phase=PermitPhase.HELD)
        check()
        permit.refresh_from_db()
        assert permit.phase == PermitPhase.HELD

    def test_a_use_that_still_counts_outlives_its_job(self):
        sample.call_api.enqueue_many([("stripe",)] * 2)
        admit_all()
        run(2)
        erase(Job)
        check()
        waiting = sample.call_api.enqueue("stripe")
        check()
        assert waiting.refresh().state == State.BLOCKED

    @pytest.mark.parametrize("definition", [sample.render, sample.bill, sample.ask_partner, sample.call_api])
    def test_a_limit_without_a_row_is_made_again(self, definition):
        jobs = definition.enqueue_many([("1",)] * 3) if definition.name.endswith("r") else [definition.enqueue("1")]
        admit_all()
        Job.objects.update(state=State.BLOCKED, ready_at=None)
        Permit.objects.update(phase=PermitPhase.WAITING)
        erase(Limit)

        check()
        assert Limit.objects.get().name == definition.name
        assert jobs[0].refresh().state == State.READY

    def test_a_limit_that_the_code_does_not_define_any_more_holds_up_nobody(self):
        limit = make_limit(Concurrency(1), name="gone")
        job = make_permit(limit, make_job(State.BLOCKED, name="tests.sampleapp.jobs.echo", flags=1)).job
        stranger = make_permit(limit, make_job(State.BLOCKED, name="elsewhere", flags=1)).job
        erase(Limit)
        Job.objects.update(flags=JobFlag.LIMITED)

        check()
        assert job.refresh().state == State.READY
        assert stranger.refresh().state == State.BLOCKED

    def test_a_limit_that_a_signal_is_about_to_make_is_left_to_it(self):
        sample.render.enqueue(1)
        check()
        assert check().is_done
        assert Limit.objects.count() == 1

    def test_a_job_whose_permits_are_gone_waits_at_its_limit_again(self):
        first, second = sample.bill.enqueue_many([(1,)] * 2)
        admit_all()
        Job.objects.update(state=State.BLOCKED, ready_at=None)
        erase(Permit)
        check()
        assert (first.refresh().state, second.refresh().state) == (State.READY, State.BLOCKED)
        run(1)
        assert second.refresh().state == State.READY

    def test_a_job_without_permits_that_the_code_does_not_know_is_left_to_others(self):
        job = make_job(State.BLOCKED, flags=JobFlag.LIMITED, name="elsewhere")
        check()
        assert job.refresh().state == State.BLOCKED

    def test_a_job_whose_limit_the_code_does_not_define_any_more_goes_on(self):
        job = make_job(State.BLOCKED, flags=JobFlag.LIMITED, name=sample.echo.name)
        check()
        assert job.refresh().state == State.READY

    def test_a_job_that_waits_nowhere_waits_at_the_permit_that_it_lacks(self):
        job = sample.sync_customer.enqueue(1, "api")
        Permit.objects.update(phase=PermitPhase.ASLEEP)
        check()
        assert job.refresh().state == State.READY

    def test_a_pass_reads_all_permits_window_by_window(self, monkeypatch, caplog):
        monkeypatch.setattr("django_jobs.store.limits.repair.WINDOW", 2)
        limit = make_limit(Concurrency(1))
        for _ in range(5):
            make_permit(limit, make_job(State.SUCCEEDED), phase=PermitPhase.HELD)
        check(rounds=2)
        assert 0 < Permit.objects.count() < 5
        duty = check(rounds=6)
        assert not Permit.objects.exists()
        assert duty.is_done
        assert "repaired permits without a job or a limit: 1" in caplog.text


class TestDependencies:
    def test_a_job_whose_edges_were_deleted_is_released(self):
        chain(sample.echo.s(1), sample.echo.s()).enqueue()
        waiting = Job.objects.get(state=State.BLOCKED)
        erase(Dependency)
        check()
        assert waiting.refresh().state == State.READY

    def test_a_job_whose_edges_were_marked_as_met_is_released(self):
        chain(sample.echo.s(1), sample.echo.s()).enqueue()
        waiting = Job.objects.get(state=State.BLOCKED)
        Dependency.objects.update(is_met=True)
        check()
        assert waiting.refresh().state == State.READY

    def test_a_job_that_waits_for_another_stays(self, monkeypatch):
        monkeypatch.setattr("django_jobs.store.lifecycle.unblock.WINDOW", 2)
        chain(sample.echo.s(1), sample.echo.s(), sample.echo.s()).enqueue()
        sample.render.enqueue(1)
        assert check(rounds=4).is_done
        assert Job.objects.filter(state=State.BLOCKED).count() == 2


class TestBatches:
    @pytest.mark.parametrize("broken", [{"total": 9}, {"succeeded": -1}, {"dead": -3}, {"cancelled": -2}])
    def test_wrong_counts_are_corrected(self, broken):
        with Batch(on_complete=sample.named.s(1)) as batch:
            sample.echo.enqueue_many([(1,), (2,)])
        run(1)
        BatchRow.objects.update(**broken)
        check()
        run(2)

        row = BatchRow.objects.get(pk=batch.id)
        assert (row.state, row.counts) == ("succeeded", (2, 2, 0, 0))
        assert Job.objects.filter(name="sample.named").count() == 1

    def test_a_batch_that_waits_for_nobody_ends(self):
        with Batch(on_success=sample.named.s(1)):
            sample.echo.enqueue_many([(1,), (2,)])
        run(1)
        erase(Job, state=State.READY)
        check()
        assert BatchRow.objects.get().state == "succeeded"
        assert Job.objects.filter(name="sample.named").count() == 1

    def test_lost_deltas_are_made_up_for_and_pending_ones_count_once(self):
        batch = make_batch(total=3)
        for state in (State.SUCCEEDED, State.DEAD, State.READY):
            make_batch_job(batch, state)
        BatchCountDelta.objects.create(batch=batch, succeeded=1)
        check()
        batch.refresh_from_db()
        assert (batch.counts, BatchCountDelta.objects.exclude(total=0, succeeded=0).count()) == ((3, 0, 1, 0), 1)

    def test_nested_batches_count_as_members(self):
        outer = make_batch(total=7, state="open", closed_at=None)
        make_batch(parent=outer, state="failed", outcome="failed")
        make_batch(parent=outer)
        check()
        outer.refresh_from_db()
        assert outer.counts == (2, 0, 1, 0)

    def test_pruned_members_are_not_missed(self):
        batch = make_batch(total=5, succeeded=3, dead=1)
        make_batch_job(batch, State.DEAD)
        make_batch_job(batch)
        check()
        batch.refresh_from_db()
        assert batch.counts == (5, 3, 1, 0)


def test_the_numbers_of_open_dead_letters_are_corrected(monkeypatch):
    monkeypatch.setattr("django_jobs.store.dead_letters.recount.GROUPS_PER_CALL", 1)
    for fingerprint in ("a" * 32, "b" * 32, "c" * 32):
        make_letter(fingerprint=fingerprint)
        make_letter(fingerprint=fingerprint, status="resolved")
    roll_up(min_age=timedelta(0))
    make_letter(fingerprint="a" * 32)
    DeadLetterGroup.objects.filter(fingerprint__startswith="a").update(open=7)
    erase(DeadLetter, fingerprint="b" * 32)

    check(rounds=4)
    roll_up(min_age=timedelta(0))
    assert dict(DeadLetterGroup.objects.values_list("fingerprint", "open")) == {"a" * 32: 2, "b" * 32: 0, "c" * 32: 1}


def test_the_key_of_a_deleted_job_is_free():
    first = sample.sync.enqueue(7)
    erase(Job)
    second = sample.sync.enqueue(7)
    assert second.pk != first.pk
    assert not second.is_duplicate


def test_the_tick_of_a_deleted_job_holds_up_no_other():
    schedule = make_schedule(overlap="skip", next_due_at=ago(seconds=1))
    make_tick(schedule, job=make_job(), is_open=True, due_at=ago(days=1))
    erase(Job)
    assert tick().fired == 1
    assert Tick.objects.filter(is_open=True).count() == 1


def test_running_jobs_of_a_queue_are_counted_from_their_rows():
    queues.set_max_running("default", 1)
    held = make_job(State.RUNNING, worker=make_worker())
    make_job()
    assert take(make_worker()) == []
    erase(Job, pk=held.pk)
    assert len(take(make_worker())) == 1


def test_a_pass_begins_anew_after_a_while():
    duty = check()
    limit = make_limit(Concurrency(1))
    make_permit(limit, make_job(State.SUCCEEDED), phase=PermitPhase.HELD)
    duty.step()
    assert Permit.objects.exists()
    duty.walks[0]._next_pass_at -= 61
    duty.step()
    assert not Permit.objects.exists()


def test_what_is_sound_is_left_alone(django_assert_max_num_queries):
    with Batch():
        sample.echo.enqueue_many([(1,), (2,)])
        sample.render.enqueue(1)
    chain(sample.echo.s(1), sample.bill.s()).enqueue()
    sample.call_api.enqueue_many([("stripe",)] * 3)
    admit_all()
    run(2)
    run(1, failure())
    duty = ConsistencyCheck(make_context(RecordedEvents()))
    before = [list(model._base_manager.order_by("pk").values()) for model in (Job, Permit, Limit, BatchRow)]
    with django_assert_max_num_queries(20):
        duty.step()
    assert before == [list(model._base_manager.order_by("pk").values()) for model in (Job, Permit, Limit, BatchRow)]
