"""Batches: they end once, when all of their jobs have, and enqueue their callbacks exactly once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from django_jobs import Batch
from django_jobs.exceptions import BatchEndedError
from django_jobs.models import Attempt, BatchCountDelta, BatchJob, Job
from django_jobs.models import Batch as BatchRow
from django_jobs.policy.batches import BatchState, Counts
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.policy.states import State
from django_jobs.store.batches import apply_deltas as sum_up_module
from django_jobs.store.batches import count_deltas, recount
from django_jobs.store.batches.apply_deltas import apply_deltas, apply_pending_deltas
from django_jobs.store.batches.batch import (
    batch_of,
    batch_progress,
    close_abandoned_batches,
    prune_batches,
)
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.cancel_batch import cancel_batch
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.prune import prune
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.repair import RepairResult, repair
from django_jobs.store.lifecycle.rescue import rescue_worker
from tests.concurrency import Background, elsewhere, run_together
from tests.crashing import crash_at_every_point
from tests.factories import RULES, ago, ended, failure, make_batch, make_job, make_worker, take
from tests.lock_waits import session, wait_for_waiters
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
DAY = timedelta(days=1)
DEAD = failure(retry_in=None)
CALLBACKS = ("on_success", "on_failure", "on_complete")


def make(number: int = 3, **options: Any) -> Batch:
    """Return a closed batch of so many jobs with all callbacks, each of which says which it is."""
    with Batch(**{name: sample.named.s(at) for at, name in enumerate(CALLBACKS)}, **options) as batch:
        sample.echo.enqueue_many([(at,) for at in range(number)])
    return batch


def fired(batch: Batch) -> list[str]:
    """Return the callbacks that were enqueued, in order."""
    jobs = Job.objects.filter(name="sample.named").order_by("pk")
    return [CALLBACKS[job.arguments["value"]] for job in jobs if job.metadata["batch"] == batch.id]


def run(*batches: Batch, number: int | None = None, outcome: Any = SUCCEEDED) -> int:
    """Claim jobs of the batches and finish them together."""
    worker = make_worker()
    claims = take(worker, queues=["default"], **({} if number is None else {"limit": number}))
    finish([ended(one, outcome) for one in claims], worker_id=worker.pk)
    return len(claims)


def build_and_fail(batch: Batch) -> None:
    with batch:
        sample.echo.enqueue()
        raise ZeroDivisionError


def state(batch: Batch) -> str:
    return batch.row.state


def test_it_ends_with_its_last_job_and_enqueues_its_callbacks() -> None:
    batch = make()
    assert state(batch) == "running"
    run(number=2)
    seen = batch.progress()
    assert (seen.total, seen.succeeded, seen.done, seen.waiting, seen.state) == (3, 2, 2, 1, "running")
    assert fired(batch) == []
    run()
    row = batch.row
    assert (row.state, row.outcome, row.total, row.succeeded) == ("succeeded", "succeeded", 3, 3)
    assert row.completed_at is not None
    assert fired(batch) == ["on_success", "on_complete"]
    assert not BatchCountDelta.objects.exists()
    assert Job.objects.filter(name="sample.named", state="ready", queue_name="documents").count() == 2


def test_one_that_is_open_waits_for_its_builder() -> None:
    with Batch(on_success=sample.named.s(0)) as batch:
        sample.echo.enqueue()
        run()
        assert (state(batch), fired(batch)) == ("open", [])
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success"])


def test_an_empty_one_ends_at_once() -> None:
    batch = make(0)
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])


def test_retries_and_worker_deaths_do_not_count_as_ends() -> None:
    batch = make(1)
    run(outcome=failure())
    assert batch.progress().waiting == 1
    Job.objects.update(run_after=None, state="ready", ready_at=ago(seconds=1))
    worker = make_worker()
    take(worker)
    rescue_worker(worker.pk, rules=RULES)
    assert batch.progress().waiting == 1
    run()
    assert batch.progress().succeeded == 1


class TestDeadJobs:
    def test_they_make_it_a_failure_and_their_redrive_a_success_each_told_once(self) -> None:
        batch = make(2)
        run(number=1)
        run(outcome=DEAD)
        assert (state(batch), fired(batch)) == ("failed", ["on_failure", "on_complete"])
        dead = Job.objects.filter(state="dead")
        assert redrive(dead) == 1
        assert (state(batch), batch.progress().waiting) == ("running", 1)
        run(outcome=DEAD)
        assert (state(batch), batch.progress().dead) == ("failed", 1)
        redrive(dead)
        run()
        assert (state(batch), fired(batch)) == ("succeeded", ["on_failure", "on_complete", "on_success"])
        apply_deltas([batch.id], using="default")
        assert len(fired(batch)) == 3

    def test_one_dies_while_another_is_redriven(self) -> None:
        for _ in range(6):
            batch = make(2)
            run(number=1, outcome=DEAD)
            dead = batch.jobs.get(state="dead")
            worker = make_worker()
            (claim,) = take(worker, queues=["default"])
            run_together(
                lambda claim=claim, worker=worker: finish([ended(claim, DEAD)], worker_id=worker.pk),
                lambda dead=dead: redrive(dead),
            )
            seen = batch.progress()
            assert (seen.dead, seen.waiting) == (1, 1)
            run()
            assert (state(batch), fired(batch)) == ("failed", ["on_failure", "on_complete"])

    def test_a_purged_one_stays_counted(self) -> None:
        batch = make(1)
        run(outcome=DEAD)
        assert purge(batch.jobs) == 1
        assert (state(batch), batch.progress().dead, BatchJob.objects.count()) == ("failed", 1, 0)


class TestCancel:
    def test_waiting_jobs_are_cancelled_running_ones_requested_and_the_batch_ends_with_them(self) -> None:
        batch = make(3)
        worker = make_worker()
        (claim,) = take(worker, limit=1, queues=["default"])
        assert sum(batch.cancel(by="ada")) == 3
        assert (state(batch), batch.progress().cancelled, batch.progress().waiting) == ("running", 2, 1)
        assert Job.objects.get(pk=claim.job_id).cancel_requested_at is not None
        finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
        assert (state(batch), fired(batch)) == ("cancelled", ["on_complete"])
        assert (batch.row.cancelled_by, batch.cancel()) == ("ada", (0, 0))

    def test_a_batch_that_has_ended_is_left_alone(self) -> None:
        batch = make(1)
        run()
        assert not batch.cancel()
        assert (state(batch), batch.row.cancelled_at) == ("succeeded", None)

    def test_it_takes_the_batches_inside_with_it(self) -> None:
        with Batch() as outer:
            sample.echo.enqueue()
            with Batch() as inner:
                sample.echo.enqueue()
        assert sum(cancel_batch(outer.id)) == 2
        assert (state(outer), state(inner)) == ("cancelled", "cancelled")

    def test_a_cancelled_one_takes_no_more_jobs(self) -> None:
        batch = make(1)
        batch.cancel()
        with pytest.raises(BatchEndedError, match=rf"batch {batch.id} \(no description\) is cancelled; jobs can"):
            batch.add(sample.echo.s())
        assert Job.objects.filter(name=sample.echo.name).count() == 1

    def test_its_builder_hears_of_it(self) -> None:
        batch = Batch()

        def build() -> None:
            with batch:
                sample.echo.enqueue()
                cancel_batch(batch.id)
                sample.echo.enqueue()

        with pytest.raises(BatchEndedError):
            build()
        assert (state(batch), Job.objects.get().state) == ("cancelled", "cancelled")

    def test_jobs_cancelled_one_by_one_are_counted_and_it_is_no_success(self) -> None:
        batch = make(2)
        first, second = batch.jobs.order_by("pk")
        cancel(first)
        assert batch.progress().cancelled == 1
        cancel(second)
        assert (state(batch), fired(batch)) == ("cancelled", ["on_complete"])

    def test_against_a_finish_each_job_is_counted_once(self) -> None:
        for _ in range(6):
            batch = make(4)
            worker = make_worker()
            claims = take(worker, limit=2, queues=["default"])
            run_together(
                lambda claims=claims, worker=worker: finish(
                    [ended(one, SUCCEEDED) for one in claims], worker_id=worker.pk
                ),
                batch.cancel,
                batch.cancel,
            )
            seen = batch.progress()
            assert (seen.succeeded, seen.cancelled, seen.waiting) == (2, 2, 0)
            assert (state(batch), fired(batch)) == ("cancelled", ["on_complete"])


class TestGrowth:
    def test_its_own_jobs_may_add_to_it(self) -> None:
        batch = make(1)
        added = batch.add(sample.echo.s(1), sample.echo.s(2))
        assert [batch_of(job.pk) for job in added] == [batch.row] * 2
        assert batch.progress().total == 3
        run()
        assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])

    def test_what_has_succeeded_takes_no_more(self) -> None:
        batch = make(1)
        run()
        with pytest.raises(BatchEndedError, match="is succeeded"):
            batch.add(sample.echo.s())

    def test_a_deleted_batch_is_an_error(self) -> None:
        batch = make(0)
        BatchRow.objects.all().delete()
        with pytest.raises(BatchEndedError, match=rf"batch {batch.id} does not exist"):
            batch.add(sample.echo.s())

    def test_a_failed_one_grows_while_its_redriven_jobs_run(self) -> None:
        batch = make(1)
        run(outcome=DEAD)
        with pytest.raises(BatchEndedError, match="is failed"):
            batch.add(sample.echo.s())
        redrive(batch.jobs)
        batch.add(sample.echo.s())
        run()
        assert (state(batch), batch.progress().total) == ("succeeded", 2)

    def test_an_add_that_is_rolled_back_never_was(self) -> None:
        batch = make(1)
        with transaction.atomic():
            batch.add(sample.echo.s())
            transaction.set_rollback(True)
        assert (batch.progress().total, Job.objects.count()) == (1, 1)
        run()
        assert state(batch) == "succeeded"

    @needs_row_locks
    def test_while_somebody_adds_it_does_not_end_and_no_finish_waits(self) -> None:
        batch = make(1)
        with transaction.atomic():
            batch.add(sample.echo.s())
            background = Background(lambda: run(number=1))
            assert background.result() == 1
            assert batch.row.state == "running"
        assert (state(batch), batch.progress().waiting) == ("running", 1)
        run()
        assert fired(batch) == ["on_success", "on_complete"]

    @needs_row_locks
    def test_those_that_add_do_not_wait_for_one_another(self) -> None:
        batch = make(1)
        with elsewhere(lambda: batch.add(sample.echo.s())):
            assert len(batch.add(sample.echo.s())) == 1

    def test_added_to_and_ending_at_once_it_ends_with_all_or_refuses(self) -> None:
        for _ in range(10):
            batch = make(1)
            worker = make_worker()
            claims = take(worker, queues=["default"])

            def add(batch: Batch = batch) -> int:
                try:
                    return len(batch.add(sample.echo.s()))
                except BatchEndedError:
                    return 0

            *_, added = run_together(
                lambda claims=claims, worker=worker: finish(
                    [ended(one, SUCCEEDED) for one in claims], worker_id=worker.pk
                ),
                add,
            )
            seen = batch.progress()
            assert (seen.total, seen.waiting) == (1 + added, added)
            assert fired(batch) == ([] if added else ["on_success", "on_complete"])
            run()
            assert fired(batch) == ["on_success", "on_complete"]


def test_the_function_of_a_key_is_called_before_the_batch_is_locked() -> None:
    in_transaction = []

    def key(value: Any) -> str:
        in_transaction.append(connection.in_atomic_block)
        return f"key of {value}"

    with Batch() as batch:
        sample.echo.using(idempotency_key=key).enqueue_many([(1,), (2,)])
    assert in_transaction == [False, False]
    assert batch.jobs.count() == 2


class TestNesting:
    def test_the_outer_ends_after_the_inner_and_after_its_callbacks(self) -> None:
        with Batch(on_success=sample.named.s(0)) as outer, Batch(on_success=sample.echo.s("done")) as inner:
            sample.echo.enqueue()
        assert (outer.progress().total, inner.row.parent_id) == (1, outer.id)
        run()
        assert (state(inner), state(outer)) == ("succeeded", "running")
        assert (outer.progress().total, outer.progress().succeeded) == (2, 1)
        run()
        assert (state(outer), fired(outer)) == ("succeeded", ["on_success"])

    def test_an_inner_failure_is_the_outers_and_so_is_its_late_success(self) -> None:
        with Batch(on_success=sample.named.s(0), on_failure=sample.named.s(1)) as outer, Batch() as inner:
            sample.echo.enqueue()
        run(outcome=DEAD)
        assert (state(inner), state(outer), outer.progress().dead) == ("failed", "failed", 1)
        redrive(inner.jobs)
        run()
        assert (state(inner), state(outer)) == ("succeeded", "succeeded")
        assert fired(outer) == ["on_failure", "on_success"]

    @pytest.mark.slow
    def test_deep_in_one_another_they_all_end(self) -> None:
        batches: list[Batch] = []

        def nest(depth: int) -> None:
            with Batch() as batch:
                batches.append(batch)
                if depth:
                    nest(depth - 1)
                else:
                    sample.echo.enqueue()

        nest(30)
        run()
        assert {state(one) for one in batches} == {"succeeded"}


class TestTheBuilder:
    def test_an_exception_in_the_block_cancels_what_waits(self) -> None:
        batch = Batch(on_complete=sample.named.s(2))
        with pytest.raises(ZeroDivisionError):
            build_and_fail(batch)
        assert (state(batch), batch.row.cancelled_by) == ("cancelled", "ZeroDivisionError")
        assert fired(batch) == ["on_complete"]

    def test_in_a_transaction_that_is_rolled_back_nothing_of_it_is_left(self) -> None:
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            build_and_fail(Batch())
        assert not BatchRow.objects.exists()
        assert not Job.objects.exists()
        assert not BatchCountDelta.objects.exists()

    def test_in_a_transaction_that_is_broken_the_first_error_is_heard(self) -> None:
        def build() -> None:
            with transaction.atomic(), Batch(), connection.cursor() as cursor:
                sample.echo.enqueue()
                cursor.execute("SELECT * FROM nowhere")

        with pytest.raises(DatabaseError, match="nowhere"):
            build()
        assert not BatchRow.objects.exists()

    def test_one_that_died_is_found_and_what_it_made_ends_as_a_failure(self) -> None:
        batch = Batch(**{name: sample.named.s(at) for at, name in enumerate(CALLBACKS)})
        batch._begin()
        batch.add(sample.echo.s())
        assert close_abandoned_batches(after=DAY) == []
        BatchRow.objects.update(last_activity_at=ago(days=2))
        swept = repair(RepairResult(), abandoned_after=DAY)
        assert swept.abandoned == (batch.id,)
        assert (state(batch), fired(batch)) == ("running", [])
        run()
        assert (state(batch), fired(batch)) == ("failed", ["on_failure", "on_complete"])
        assert batch.row.abandoned_at is not None
        assert close_abandoned_batches(after=DAY) == []

    def test_one_that_comes_back_late_finds_it_closed(self) -> None:
        with Batch(on_success=sample.named.s(0)) as batch:
            sample.echo.enqueue()
            BatchRow.objects.update(last_activity_at=ago(days=2))
            assert close_abandoned_batches(after=DAY) == [batch.id]
            sample.echo.enqueue()
        run()
        assert (state(batch), fired(batch), batch.progress().total) == ("failed", [], 2)

    def test_its_sign_of_life_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from django_jobs import context

        monkeypatch.setattr(context, "BATCH_ACTIVITY_SECONDS", 0)
        with Batch() as batch:
            BatchRow.objects.update(last_activity_at=ago(days=2))
            sample.echo.enqueue()
            assert close_abandoned_batches(after=DAY) == []
        assert state(batch) == "running"


def test_all_children_that_finish_at_once_end_it_once() -> None:
    for _ in range(5):
        batch = make(40)
        workers = [make_worker() for _ in range(4)]
        claims = [(worker, take(worker, limit=10, queues=["default"])) for worker in workers]

        def finish_in_pieces(worker: Any, its: list[Any]) -> None:
            for start in range(0, len(its), 2):
                finish([ended(one, SUCCEEDED) for one in its[start : start + 2]], worker_id=worker.pk)

        run_together(*(lambda one=one: finish_in_pieces(*one) for one in claims))
        assert batch.row.state == "succeeded"
        assert fired(batch) == ["on_success", "on_complete"]


@needs_row_locks
def test_a_finish_never_waits_for_the_batchs_row_and_its_holder_checks_again() -> None:
    batch = make(1)
    held, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            BatchRow.objects.select_for_update().get(pk=batch.id)
            held.set()
            assert go_on.wait(30)
        apply_deltas([batch.id], using="default")

    background = Background(hold)
    assert held.wait(30)
    run()
    assert (state(batch), fired(batch)) == ("running", [])
    go_on.set()
    background.result()
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])


@needs_row_locks
def test_a_batch_whose_last_job_finishes_while_its_counts_are_checked_ends_with_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = make(1)
    locked, go_on = threading.Event(), threading.Event()

    def count_when_told(batch_id: int, alias: str) -> Counts:
        locked.set()
        assert go_on.wait(30)
        return count_members(batch_id, alias)

    count_members = recount._count_members
    monkeypatch.setattr(recount, "_count_members", count_when_told)
    check = Background(lambda: recount.recount_batches(after=0))
    assert locked.wait(30)
    run()
    assert (state(batch), fired(batch)) == ("running", [])
    go_on.set()
    assert check.result() == (0, None)
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])


@needs_row_locks
def test_a_deadlocks_victim_applies_the_count_deltas_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make(2)
    with monkeypatch.context() as patched:
        patched.setattr(count_deltas, "apply_deltas", lambda *_, **__: None)
        assert run(number=1) + run(number=1) == 2
    first, second = BatchCountDelta.objects.order_by("pk").values_list("pk", flat=True)
    lock = f"SELECT id FROM {BatchCountDelta._meta.db_table} WHERE id = %s FOR UPDATE"
    with session() as other:
        other.execute(lock, second)
        applying = Background(lambda: apply_deltas([batch.id], using="default"))
        wait_for_waiters(other.number)
        other.execute(lock, first)  # the server ends the deadlock by rolling back the other side
        other.rollback()
        applying.result()
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])


def test_many_count_deltas_are_applied_before_the_batch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sum_up_module, "MANY_DELTAS", 3)
    batch = make(9)
    for _ in range(8):
        run(number=1)
        assert BatchCountDelta.objects.count() < 3
    assert batch.row.succeeded >= 5
    assert batch.progress().succeeded == 8
    run()
    assert state(batch) == "succeeded"


def test_a_batch_whose_last_finish_was_killed_before_its_check_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = make(1)
    worker = make_worker()
    claims = take(worker, queues=["default"])
    with monkeypatch.context() as patched:
        patched.setattr(count_deltas, "apply_deltas", lambda *_, **__: None)  # what a process does that is killed here
        finish([ended(one, SUCCEEDED) for one in claims], worker_id=worker.pk)
    assert (state(batch), batch.progress().state) == ("running", BatchState.SUCCEEDED)
    assert apply_pending_deltas(using="default") == [batch.id]
    assert (state(batch), fired(batch)) == ("succeeded", ["on_success", "on_complete"])
    assert apply_pending_deltas(using="default") == []


@pytest.mark.slow
def test_a_kill_between_any_two_statements_of_the_last_finish_fires_each_callback_once() -> None:
    def prepare() -> tuple[Any, Any, Batch, Batch]:
        for model in (Attempt, BatchJob, BatchCountDelta, BatchRow, Job):
            model.objects.all()._raw_delete("default")
        with Batch(on_success=sample.named.s(0)) as outer:
            inner = make(1)
        worker = make_worker()
        (claim,) = take(worker, queues=["default"])
        return worker, claim, outer, inner

    points = 0
    for _, (worker, claim, outer, inner) in crash_at_every_point(
        prepare, lambda made: finish([ended(made[1], SUCCEEDED)], worker_id=made[0].pk)
    ):
        finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
        repair(RepairResult(), abandoned_after=DAY)
        assert fired(inner) == ["on_success", "on_complete"]
        other = make_worker()
        claims = take(other)
        assert len(claims) == 2
        finish([ended(one, SUCCEEDED) for one in claims], worker_id=other.pk)
        assert (state(inner), state(outer), fired(outer)) == ("succeeded", "succeeded", ["on_success"])
        points += 1
    assert points > 10


@pytest.mark.slow
def test_a_kill_between_any_two_statements_of_a_builder_leaves_a_batch_that_ends() -> None:
    def prepare() -> None:
        for model in (Attempt, BatchJob, BatchCountDelta, BatchRow, Job):
            model.objects.all()._raw_delete("default")

    for _ in crash_at_every_point(prepare, lambda _: make(3)):
        BatchRow.objects.update(last_activity_at=ago(days=2))
        repair(RepairResult(), abandoned_after=DAY)
        run()
        for row in BatchRow.objects.all():
            assert row.state in {"succeeded", "failed"}
            assert row.total == Job.objects.filter(name=sample.echo.name).count()
        assert Job.objects.filter(name="sample.named").count() == 2 * BatchRow.objects.count()


def test_a_finish_takes_few_statements_more_however_many_jobs(django_assert_max_num_queries: object) -> None:
    make(50)
    worker = make_worker()
    claims = take(worker, queues=["default"], limit=40)
    with django_assert_max_num_queries(11):  # type: ignore[operator]  # pytest-django's fixture
        finish([ended(one, SUCCEEDED) for one in claims], worker_id=worker.pk)


def test_pruning_takes_the_jobs_of_a_batch_and_then_the_batch() -> None:
    batch = make(2)
    other = make(1)
    run(number=2)
    Job.objects.filter(batch_job__batch=batch.id).update(finished_at=ago(days=9), enqueued_at=ago(days=10))
    BatchRow.objects.filter(pk=batch.id).update(completed_at=ago(days=9))
    assert prune_batches(DAY) == 0
    assert prune({State.SUCCEEDED: DAY}).jobs == 2
    assert batch.progress().succeeded == 2
    assert prune_batches(None) == 0
    assert prune_batches(DAY) == 1
    assert list(BatchRow.objects.values_list("pk", flat=True)) == [other.id]


def test_the_progress_of_a_batch_without_count_deltas_is_that_of_its_row() -> None:
    row = make_batch(total=4, succeeded=1, dead=1, cancelled=1)
    seen = batch_progress(row)
    assert (seen.total, seen.done, seen.waiting, seen.state) == (4, 3, 1, "running")
    assert str(row) == f"batch #{row.pk} (running)"


def test_jobs_outside_of_the_block_are_in_no_batch() -> None:
    before = sample.echo.enqueue()
    batch = make(1)
    after = sample.echo.enqueue()
    assert (batch_of(before.pk), batch_of(after.pk)) == (None, None)
    assert make_job().flags == 0
    assert batch.jobs.count() == 1
