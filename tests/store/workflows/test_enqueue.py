"""Graphs: a job that waits for others runs when they have succeeded, once, whatever ends when."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_jobs import chain, group
from django_jobs.exceptions import InvalidGraphError
from django_jobs.models import Attempt, Dependency, Job
from django_jobs.policy.outcomes import SUCCEEDED, Succeeded
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.deletable import lock_deletable
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.prune import prune
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.repair import RepairResult, repair
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.workflows import RESULT
from tests.concurrency import Background, elsewhere, run_together
from tests.crashing import crash_at_every_point
from tests.factories import RULES, ago, ended, failure, make_dependency, make_job, make_worker, take
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
DAY = timedelta(days=1)
DEAD = failure(retry_in=None)


def states(*jobs: Job) -> list[str]:
    return [job.refresh().state for job in jobs]


def run_all(worker=None, outcome=SUCCEEDED) -> int:
    """Claim what is ready and finish it in one batch."""
    worker = worker or make_worker()
    claims = take(worker)
    finish([ended(claim, outcome) for claim in claims], worker_id=worker.pk)
    return len(claims)


def waits(first: Job, *, on_dead: str = "block") -> Job:
    return sample.echo.after(first, on_dead=on_dead).enqueue()


def test_a_job_is_blocked_until_all_that_it_waits_for_have_succeeded() -> None:
    first, second = sample.echo.enqueue(), sample.echo.enqueue()
    last = sample.echo.after(first, second).enqueue()
    assert last.state == "blocked"
    worker = make_worker()
    one, other = take(worker)
    finish([ended(one, SUCCEEDED)], worker_id=worker.pk)
    assert states(last) == ["blocked"]
    finish([ended(other, SUCCEEDED)], worker_id=worker.pk)
    last.refresh()
    assert (last.state, last.ready_at is not None) == ("ready", True)
    assert run_all() == 1


def test_what_it_waits_for_may_have_succeeded_before() -> None:
    first = sample.echo.enqueue()
    run_all()
    assert waits(first).state == "ready"
    second = make_job()
    last = sample.echo.after(first, second).enqueue()
    assert last.state == "blocked"
    run_all()
    assert states(last) == ["ready"]


def test_retries_and_snoozes_release_nothing() -> None:
    first = sample.echo.enqueue()
    last = waits(first)
    run_all(outcome=failure())
    assert states(first, last) == ["scheduled", "blocked"]


class TestADeadPredecessor:
    def test_it_leaves_its_successors_blocked_and_a_redrive_resumes_them(self) -> None:
        first, second, third = chain(sample.echo.s(), sample.echo.s(), sample.echo.s()).enqueue()
        run_all(outcome=DEAD)
        assert states(first, second, third) == ["dead", "blocked", "blocked"]
        assert redrive(first) == 1
        while run_all():
            pass
        assert states(first, second, third) == ["succeeded"] * 3

    def test_it_cancels_them_where_they_asked_for_it_and_all_that_waits_for_those(self) -> None:
        first = sample.echo.enqueue()
        patient = waits(first)
        hasty = waits(first, on_dead="cancel")
        behind, further = waits(hasty), waits(waits(hasty))
        run_all(outcome=DEAD)
        assert states(patient, hasty, behind, further) == ["blocked", *["cancelled"] * 3]
        assert redrive(first) == 1
        run_all()
        assert states(patient, hasty) == ["ready", "cancelled"]

    def test_it_may_be_dead_already(self) -> None:
        first = sample.echo.enqueue()
        run_all(outcome=DEAD)
        assert waits(first).state == "blocked"
        assert states(waits(first, on_dead="cancel")) == ["cancelled"]


class TestACancelledPredecessor:
    def test_it_cancels_all_that_waits_for_it(self) -> None:
        jobs = chain(*[sample.echo.s() for _ in range(5)]).enqueue()
        beside = make_job()
        last = sample.echo.after(jobs[-1], beside).enqueue()
        assert cancel(jobs[0]).cancelled == 1
        assert set(states(*jobs, last)) == {"cancelled"}
        assert all(job.finished_at for job in jobs)
        assert states(beside) == ["ready"]

    def test_it_does_so_when_it_ran_and_was_asked_to_end(self) -> None:
        first, second = chain(sample.end_if_asked.s(), sample.echo.s()).enqueue()
        worker = make_worker()
        (claim,) = take(worker)
        cancel(first)
        from django_jobs.policy.outcomes import Cancelled, Error

        error = Error(error_class="Cancelled", message="", traceback="", fingerprint="")
        finish([ended(claim, Cancelled(error=error))], worker_id=worker.pk)
        assert states(first, second) == ["cancelled", "cancelled"]

    def test_it_may_be_cancelled_already(self) -> None:
        first = make_job(State.CANCELLED)
        assert states(waits(first)) == ["cancelled"]

    @pytest.mark.slow
    @pytest.mark.parametrize("length", [2_500])
    def test_a_chain_longer_than_any_database_walks_in_one_go_is_cancelled_to_its_end(self, length: int) -> None:
        jobs = chain(*[sample.do_nothing.s().without_result()] * length).enqueue()
        cancel(jobs[0])
        assert Job.objects.filter(state="cancelled").count() == length


def test_a_worker_that_dies_leaves_its_successors_to_wait() -> None:
    first = sample.echo.enqueue()
    last = waits(first)
    worker = make_worker()
    take(worker)
    rescue_worker(worker.pk, rules=RULES)
    assert states(first, last) == ["ready", "blocked"]
    run_all()
    assert states(last) == ["ready"]


class TestAnEdgeToARunningJob:
    """Its worker has a claim that knows nothing of the edge."""

    def test_the_finish_hears_of_it(self) -> None:
        make_job()
        worker = make_worker()
        (claim,) = take(worker)
        last = waits(Job.objects.get(pk=claim.job_id))
        assert claim.flags == 0
        finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
        assert states(last) == ["ready"]

    def test_its_rescue_hears_of_it(self) -> None:
        make_job(max_attempts=1)
        worker = make_worker()
        (claim,) = take(worker)
        last = waits(Job.objects.get(pk=claim.job_id), on_dead="cancel")
        finish([ended(claim, DEAD)], worker_id=worker.pk)
        assert states(last) == ["cancelled"]

    @needs_row_locks
    def test_a_finish_that_came_first_is_waited_for(self) -> None:
        """The edge is being added while the finish has not committed: it waits, then sees the success."""
        job = make_job()
        worker = make_worker()
        (claim,) = take(worker)
        with elsewhere(lambda: None):
            pass
        adding = threading.Event()

        def add() -> Job:
            adding.set()
            return waits(job)

        with transaction.atomic():
            finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
            background = Background(add)
            assert adding.wait(30)
        assert background.result().state == "ready"

    @needs_row_locks
    def test_a_finish_that_comes_second_waits_and_releases(self) -> None:
        job = make_job()
        worker = make_worker()
        (claim,) = take(worker)
        with transaction.atomic():
            last = waits(job)
            background = Background(lambda: finish([ended(claim, SUCCEEDED)], worker_id=worker.pk))
        assert background.result() == {job.pk}
        assert states(last) == ["ready"]

    def test_no_job_is_left_blocked_if_it_is_added_while_its_predecessor_finishes(self) -> None:
        for _ in range(15):
            job = make_job()
            worker = make_worker()
            (claim,) = take(worker)
            _, last, other = run_together(
                lambda claim=claim, worker=worker: finish([ended(claim, SUCCEEDED)], worker_id=worker.pk),
                lambda job=job: waits(job),
                lambda job=job: waits(job),
            )
            assert states(last, other) == ["ready", "ready"]
            cancel(Job.objects.all())


def test_all_predecessors_that_end_at_once_release_what_waits_for_them_exactly_once() -> None:
    for _ in range(8):
        *first, last = chain(group(sample.echo.s(n) for n in range(4)), sample.add_all.s()).enqueue()
        workers = [make_worker() for _ in range(4)]
        claims = [(worker, take(worker, 1)[0]) for worker in workers]
        run_together(
            *(
                lambda worker=worker, claim=claim: finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
                for worker, claim in claims
            )
        )
        assert states(*first, last) == ["succeeded"] * 4 + ["ready"]
        assert run_all() == 1


@needs_row_locks
def test_the_second_of_two_that_end_waits_for_the_first_and_releases() -> None:
    """Neither sees the other's edge met before it commits: the row of what waits is what they meet at."""
    *_, last = chain(group(sample.echo.s(n) for n in range(2)), sample.add_all.s()).enqueue()
    one, other = make_worker(), make_worker()
    (first,), (second,) = take(one, 1), take(other, 1)
    finished = threading.Event()

    def finish_second() -> None:
        finish([ended(second, SUCCEEDED)], worker_id=other.pk)
        finished.set()

    with transaction.atomic():
        finish([ended(first, SUCCEEDED)], worker_id=one.pk)
        background = Background(finish_second)
        assert not finished.wait(0.3)
    background.result()
    assert states(last) == ["ready"]


def test_one_predecessor_dies_while_the_other_is_redriven() -> None:
    for _ in range(8):
        one, other, last = chain(group(sample.echo.s(), sample.echo.s()), sample.add_all.s()).enqueue()
        run_all(outcome=DEAD)
        redrive(other)
        worker = make_worker()
        (claim,) = take(worker)
        run_together(
            lambda claim=claim, worker=worker: finish([ended(claim, DEAD)], worker_id=worker.pk),
            lambda one=one: redrive(one),
        )
        assert states(one, other, last) == ["ready", "dead", "blocked"]
        redrive(other)
        run_all()
        assert states(last) == ["ready"]
        run_all()


def test_a_cancel_against_a_finish_leaves_no_job_blocked() -> None:
    for _ in range(10):
        first, second, third = chain(sample.echo.s(), sample.echo.s(), sample.echo.s()).enqueue()
        worker = make_worker()
        (claim,) = take(worker)
        run_together(
            lambda claim=claim, worker=worker: finish([ended(claim, SUCCEEDED)], worker_id=worker.pk),
            lambda second=second: cancel(second),
        )
        assert states(first, second, third) == ["succeeded", "cancelled", "cancelled"]


class TestDeletion:
    def test_a_job_whose_result_may_be_asked_for_is_kept_by_prune_and_purge(self) -> None:
        first, second, third = chain(sample.echo.s(), sample.echo.s(), sample.echo.s()).enqueue()
        run_all()
        Job.objects.filter(pk=first.pk).update(finished_at=ago(days=10), enqueued_at=ago(days=11))
        assert purge(Job.objects.filter(pk=first.pk)) == 0
        assert prune({State.SUCCEEDED: DAY}).jobs == 0
        run_all(outcome=DEAD)
        assert purge(Job.objects.filter(pk=first.pk)) == 0
        redrive(second)
        run_all()
        assert prune({State.SUCCEEDED: DAY}).jobs == 1
        assert not Dependency.objects.filter(predecessor=first.pk).exists()
        assert states(third) == ["ready"]

    @pytest.mark.parametrize("how", ["purge", "prune"])
    def test_a_dead_job_that_goes_cancels_what_waits_for_it(self, how: str) -> None:
        first, second, third = chain(sample.echo.s(), sample.echo.s(), sample.echo.s()).enqueue()
        run_all(outcome=DEAD)
        if how == "purge":
            assert purge(first) == 1
        else:
            Job.objects.filter(pk=first.pk).update(finished_at=ago(days=10), enqueued_at=ago(days=11))
            assert prune({State.DEAD: DAY}).jobs == 1
        assert states(second, third) == ["cancelled", "cancelled"]

    def test_plain_jobs_pay_nothing_for_it(self, django_assert_num_queries: object) -> None:
        ids = [make_job(State.SUCCEEDED).pk for _ in range(3)]
        with transaction.atomic(), django_assert_num_queries(1):  # type: ignore[operator]  # pytest-django's fixture
            assert lock_deletable(ids, states={State.SUCCEEDED}, using="default") == ids

    def test_everything_of_a_graph_that_has_ended_goes(self) -> None:
        jobs = chain(sample.echo.s(), group(sample.echo.s(), sample.echo.s()), sample.add_all.s()).enqueue()
        while run_all(outcome=Succeeded(result="1")):
            pass
        assert purge(Job.objects.all()) == len(jobs)
        assert not Dependency.objects.exists()


class TestWhatIsRefused:
    def test_a_deleted_job(self) -> None:
        gone = make_job(State.SUCCEEDED)
        purge(gone)
        with pytest.raises(InvalidGraphError, match=rf"expected existing jobs to wait for, got {gone.pk}: rolled"):
            waits(gone)
        assert Job.objects.count() == 0

    def test_a_delay_of_a_job_that_waits(self) -> None:
        first = make_job()
        with pytest.raises(InvalidGraphError, match="to have no run_after"):
            sample.echo.using(run_after=DAY).after(first).enqueue()
        with pytest.raises(InvalidGraphError, match="to have no run_after"):
            chain(sample.echo.s(), sample.echo.using(run_after=DAY).s()).enqueue()

    def test_what_is_refused_leaves_nothing_behind(self) -> None:
        first = make_job()
        with pytest.raises(InvalidGraphError):
            chain(sample.echo.after(first).s(), sample.echo.using(run_after=DAY).s()).enqueue()
        assert Job.objects.get().flags == 0


class TestSweep:
    """What is found of an edge whose predecessor's end was never followed."""

    @pytest.mark.parametrize(
        ("state", "on_dead", "expected"),
        [
            (State.SUCCEEDED, "block", "ready"),
            (State.CANCELLED, "block", "cancelled"),
            (State.DEAD, "block", "blocked"),
            (State.DEAD, "cancel", "cancelled"),
            (State.RUNNING, "cancel", "blocked"),
            (None, "block", "cancelled"),
        ],
    )
    def test_a_missed_finish_is_applied(self, state, on_dead: str, expected: str) -> None:
        first, last = make_job(state or State.SUCCEEDED), make_job(State.BLOCKED)
        make_dependency(last, first, on_dead=on_dead)
        if state is None:
            Job.objects.filter(pk=first.pk)._raw_delete("default")
        swept = repair(RepairResult(), abandoned_after=DAY)
        assert states(last) == [expected]
        assert swept.followed == (expected != "blocked")
        assert repair(swept, abandoned_after=DAY).followed == 0

    def test_it_walks_on_through_more_edges_than_a_round_looks_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from django_jobs.store.dependencies import successors

        monkeypatch.setattr(successors, "WINDOW", 3)
        last = make_job(State.BLOCKED)
        for _ in range(7):
            make_dependency(last, make_job(State.SUCCEEDED))
        swept, rounds = RepairResult(), 0
        while states(last) == ["blocked"]:
            swept = repair(swept, abandoned_after=DAY)
            rounds += 1
            assert rounds < 5
        assert states(last) == ["ready"]


@pytest.mark.slow
def test_a_kill_between_any_two_statements_of_a_finish_leaves_no_job_blocked() -> None:
    def prepare():
        for model in (Attempt, Dependency, Job):
            model.objects.all()._raw_delete("default")
        first, second, _ = chain(sample.echo.s(), sample.echo.s(), sample.echo.s()).enqueue()
        worker = make_worker()
        (claim,) = take(worker)
        late = waits(first) if first.pk % 2 else second  # an edge that came after the claim, every other time
        return worker, claim, second, late

    points = 0
    for _, (worker, claim, second, late) in crash_at_every_point(
        prepare, lambda made: finish([ended(made[1], SUCCEEDED)], worker_id=made[0].pk)
    ):
        finish([ended(claim, SUCCEEDED)], worker_id=worker.pk)
        repair(RepairResult(), abandoned_after=DAY)
        assert states(second, late) == ["ready", "ready"]
        points += 1
    assert points > 4


@pytest.mark.slow
def test_a_kill_between_any_two_statements_of_an_enqueue_leaves_all_or_nothing() -> None:
    def prepare():
        for model in (Dependency, Job):
            model.objects.all()._raw_delete("default")
        return make_job()

    for _, first in crash_at_every_point(
        prepare, lambda first: chain(sample.echo.after(first).s(), sample.echo.s()).enqueue()
    ):
        assert (Job.objects.count(), Dependency.objects.count()) in {(1, 0), (3, 2)}
        run_all()
        assert states(first) == ["succeeded"]
        while run_all():
            pass
        assert not Job.objects.exclude(state="succeeded").exists()


def test_a_finish_takes_the_same_number_of_statements_however_many_wait(
    django_assert_max_num_queries: object,
) -> None:
    jobs = chain(group(sample.echo.s() for _ in range(30)), group(sample.add_all.s() for _ in range(30))).enqueue()
    worker = make_worker()
    claims = take(worker)
    assert len(claims) == 30
    with django_assert_max_num_queries(16):  # type: ignore[operator]  # pytest-django's fixture
        finish([ended(claim, SUCCEEDED) for claim in claims], worker_id=worker.pk)
    assert set(states(*jobs[30:])) == {"ready"}


def test_a_plain_finish_looks_at_no_edges(django_assert_max_num_queries: object) -> None:
    make_job()
    worker = make_worker()
    claims = take(worker)
    plain = {"postgresql": 1, "sqlite": 5, "mysql": 5}[connection.vendor]
    with django_assert_max_num_queries(plain):  # type: ignore[operator]  # pytest-django's fixture
        finish([ended(claim, SUCCEEDED) for claim in claims], worker_id=worker.pk)


def test_what_is_passed_is_stored_as_a_mark() -> None:
    first, second, third = chain(sample.echo.s(1), sample.add.s(5), sample.add.s(1, second=RESULT)).enqueue()
    assert second.arguments == {"first": {"$type": "result", "of": 0}, "second": 5}
    assert third.arguments == {"first": 1, "second": {"$type": "result", "of": 0}}
    assert first.arguments == {"value": 1}
