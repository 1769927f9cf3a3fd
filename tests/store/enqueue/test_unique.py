"""Unique jobs: at most one waiting for each value of the chosen arguments, whoever enqueues, claims or commits when."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import F

from django_jobs import JobDefinition, job, registry
from django_jobs.models import EnqueueKey, Job
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.uniqueness import Unique
from tests.concurrency import DEADLINE_SECONDS, Background, run_together
from tests.crashing import crash_at_every_point
from tests.factories import ago, ended, make_letter, make_worker, take
from tests.sampleapp.jobs import index, remind, sync, sync_alone, sync_newest

pytestmark = pytest.mark.django_db(transaction=True)

needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
HOUR = timedelta(hours=1)


def waiting(definition: JobDefinition[Any, Any]) -> list[Job]:
    states = [State.BLOCKED, State.SCHEDULED, State.READY]
    return list(Job.objects.filter(name=definition.name, state__in=states).order_by("pk"))


def set_state(job: Job, state: State) -> Job:
    times = {
        "run_after": database_now() + HOUR if state is State.SCHEDULED else None,
        "ready_at": database_now(),
    }
    Job.objects.filter(pk=job.pk).update(state=state, **times)
    return job.refresh()


def test_one_that_waits_already_is_returned_and_left_as_it_is() -> None:
    first = sync.enqueue(7, reason="first")
    second = sync.enqueue(reason="second", user_id=7)
    other = sync.enqueue(8)

    assert (first.is_duplicate, second.is_duplicate, other.is_duplicate) == (False, True, False)
    assert second.pk == first.pk
    assert [job.arguments for job in waiting(sync)] == [{"user_id": 7, "reason": "first"}, {"user_id": 8}]


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCEEDED, State.CANCELLED, State.DEAD])
def test_one_that_does_not_wait_any_more_makes_room(state: State) -> None:
    first = set_state(sync.enqueue(7), state)

    second, third = sync.enqueue(7), sync.enqueue(7)

    assert second.pk != first.pk
    assert (second.is_duplicate, third.is_duplicate, third.pk) == (False, True, second.pk)
    assert EnqueueKey.objects.get().job_id == second.pk


@pytest.mark.parametrize("state", [State.BLOCKED, State.SCHEDULED, State.READY])
def test_one_that_waits_in_any_way_is_in_the_way_of_another(state: State) -> None:
    first = set_state(sync.enqueue(7), state)

    assert sync.enqueue(7).pk == first.pk


def test_one_that_runs_is_in_the_way_where_the_states_say_so() -> None:
    first = sync_alone.enqueue(7)
    [claim] = take(worker := make_worker())
    second = sync_alone.enqueue(7)

    assert (second.pk, second.is_duplicate, second.state) == (first.pk, True, State.RUNNING)
    finish([ended(claim, Succeeded(result="1"))], worker_id=worker.pk)
    assert not sync_alone.enqueue(7).is_duplicate


def test_a_purged_job_makes_room() -> None:
    purge(set_state(sync.enqueue(7), State.DEAD))

    assert not sync.enqueue(7).is_duplicate


def test_a_dead_job_that_is_redriven_stands_beside_the_one_that_took_its_place() -> None:
    first = set_state(sync.enqueue(7), State.DEAD)
    make_letter(first)
    second = sync.enqueue(7)
    redrive(first)

    assert [job.pk for job in waiting(sync)] == [first.pk, second.pk]
    assert sync.enqueue(7).pk == second.pk


def test_replace_gives_the_waiting_job_the_new_arguments_in_its_place() -> None:
    first = sync_newest.using(metadata={"a": 1}, priority=3).enqueue(7, reason="first")
    second = sync_newest.using(metadata={"b": 2}, priority=-3, queue_name="other").enqueue(7, reason="second")

    assert (second.pk, second.is_duplicate) == (first.pk, True)
    [stored] = waiting(sync_newest)
    assert stored.arguments == second.arguments == {"user_id": 7, "reason": "second"}
    assert (stored.metadata, stored.priority, stored.queue_name) == ({"b": 2}, -3, "other")
    assert (stored.state, stored.ready_at, stored.enqueued_at) == (
        State.READY,
        first.ready_at,
        first.enqueued_at,
    )


def test_replace_gives_a_job_that_had_failed_all_its_attempts_again() -> None:
    first = set_state(sync_newest.enqueue(7), State.SCHEDULED)
    Job.objects.filter(pk=first.pk).update(attempt=4, claim_number=4, worker_deaths=2)

    second = sync_newest.enqueue(7, reason="second")

    assert (second.pk, second.attempt, second.worker_deaths, second.state) == (first.pk, 0, 0, State.READY)
    assert second.run_after is None
    assert Job.objects.get().claim_number == 4


def test_replace_makes_another_job_where_the_one_has_begun() -> None:
    first = sync_newest.enqueue(7, reason="first")
    take(make_worker())
    second = sync_newest.enqueue(7, reason="second")

    assert (second.is_duplicate, second.pk != first.pk) == (False, True)
    assert first.refresh().arguments["reason"] == "first"


def test_reschedule_moves_the_time_and_nothing_else() -> None:
    first = remind.using(run_after=HOUR).enqueue(7, reason="first")
    second = remind.using(run_after=2 * HOUR, priority=9).enqueue(7, reason="second")

    assert (second.pk, second.is_duplicate, second.state) == (first.pk, True, State.SCHEDULED)
    assert second.run_after is not None
    assert first.run_after is not None
    assert timedelta(minutes=59) < second.run_after - first.run_after < timedelta(minutes=61)
    stored = first.refresh()
    assert (stored.arguments["reason"], stored.priority) == ("first", 0)
    assert stored.run_after == second.run_after


def test_rescheduled_for_now_a_job_is_ready_and_one_that_was_ready_keeps_its_place() -> None:
    first = remind.using(run_after=HOUR).enqueue(7)
    second = remind.enqueue(7).refresh()
    third = remind.enqueue(7).refresh()

    assert (second.pk, second.state, second.run_after) == (first.pk, State.READY, None)
    assert third.ready_at == second.ready_at
    assert [claim.job_id for claim in take(make_worker())] == [first.pk]


def test_a_burst_runs_once_after_its_last_with_the_last_ones_arguments() -> None:
    first = index.enqueue(7, reason="1")
    assert first.state == State.SCHEDULED
    for number in range(2, 5):
        Job.objects.update(run_after=ago(seconds=-5))
        last = index.enqueue(7, reason=str(number))

    [stored] = waiting(index)
    assert (stored.pk, stored.arguments["reason"], last.is_duplicate) == (first.pk, "4", True)
    assert stored.run_after is not None
    assert timedelta(seconds=8) < stored.run_after - database_now() <= timedelta(seconds=10)


def test_a_burst_that_never_ends_runs_at_most_so_long_after_its_first() -> None:
    first = index.enqueue(7)
    Job.objects.update(enqueued_at=F("enqueued_at") - timedelta(seconds=20))
    second = index.enqueue(7)
    assert second.run_after is not None
    assert timedelta(seconds=3) < second.run_after - database_now() <= timedelta(seconds=5)
    Job.objects.update(enqueued_at=F("enqueued_at") - timedelta(seconds=20))
    third = index.enqueue(7)

    assert (third.pk, third.state) == (first.pk, State.READY)


def test_a_debounced_job_that_is_due_already_is_put_off_again() -> None:
    set_state(index.enqueue(7), State.READY)
    again = index.enqueue(7)

    assert again.state == State.SCHEDULED
    assert not take(make_worker())


def test_a_time_of_its_own_wins_over_the_debounce() -> None:
    index.enqueue(7)
    late = index.using(run_after=HOUR).enqueue(7)

    assert late.run_after is not None
    assert late.run_after - database_now() > timedelta(minutes=59)


def test_many_at_once_are_each_decided_and_return_in_order() -> None:
    one = sync.enqueue(2)
    jobs = sync.enqueue_many([(3, "a"), (2, "b"), (1, "c"), (3, "d")])

    assert [job.arguments["user_id"] for job in jobs] == [3, 2, 1, 3]
    assert [job.is_duplicate for job in jobs] == [False, True, False, True]
    assert (jobs[1].pk, jobs[3].pk) == (one.pk, jobs[0].pk)
    assert sync.enqueue_many([]) == []


def test_the_key_rolls_back_with_the_job() -> None:
    with transaction.atomic():
        sync.enqueue(7)
        transaction.set_rollback(True)

    assert not sync.enqueue(7).is_duplicate


@pytest.fixture
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))


@pytest.mark.usefixtures("_own_registry")
def test_what_makes_a_job_one_with_another() -> None:
    def work(user_id: int, tags: Any = (), password: str = "") -> None:
        """Do nothing."""

    by_all = job(name="sample.all", unique=Unique())(work)
    by_none = job(name="sample.none", unique=Unique(by=()))(work)
    by_key = job(name="sample.key", unique=Unique(by=lambda user_id, **_: user_id % 10))(work)
    by_secret = job(name="sample.secret", unique=Unique(by=("password", "user_id")))(work)

    assert by_all.enqueue(1, {"a": 1, "b": 2}).pk == by_all.enqueue(1, {"b": 2, "a": 1}, password="").pk
    assert by_all.enqueue(1).pk != by_all.enqueue(2).pk
    assert by_none.enqueue(1).pk == by_none.enqueue(2).pk
    assert by_key.enqueue(1).pk == by_key.enqueue(11, password="x").pk != by_key.enqueue(12).pk
    assert by_secret.enqueue(1, password="x").pk != by_secret.enqueue(1, password="y").pk
    shown = set(EnqueueKey.objects.filter(job_name="sample.secret").values_list("key", flat=True))
    assert shown == {'{"password":"********","user_id":1}'}


@pytest.mark.parametrize(
    "by", [lambda tags, **_: tags["token"], lambda password, **_: [password], lambda **given: {"of": given["password"]}]
)
def test_a_key_that_a_function_made_of_secrets_is_masked(by: Any) -> None:
    def work(tags: Any, password: str) -> None:
        """Do nothing."""

    given = {"tags": {"token": "4111-1"}, "password": "4111-2"}
    unique = job(name="sample.made_of_secrets", unique=Unique(by=by))(work)
    plain = job(name="sample.idempotent_by_secrets")(work)
    assert unique.enqueue(**given).pk == unique.enqueue(**given).pk
    idempotent = plain.using(idempotency_key=lambda **given: str(by(**given)))
    assert idempotent.enqueue(**given).pk == idempotent.enqueue(**given).pk
    assert set(EnqueueKey.objects.values_list("key", flat=True)) == {"********"}


def test_two_at_the_same_instant_make_one_job() -> None:
    for user_id in range(5):
        jobs = run_together(*[lambda user_id=user_id: sync.enqueue(user_id)] * 4)
        assert len({job.pk for job in jobs}) == 1
        assert sorted(job.is_duplicate for job in jobs) == [False, True, True, True]


def test_two_at_the_same_instant_that_take_over_a_key_make_one_job() -> None:
    first = sync.enqueue(7)
    for _ in range(5):
        set_state(first, State.SUCCEEDED)
        jobs = run_together(*[lambda: sync.enqueue(7)] * 3)
        assert len({job.pk for job in jobs} - {first.pk}) == 1
        assert sorted(job.is_duplicate for job in jobs) == [False, True, True]
        first = jobs[0]


def test_enqueued_in_bulk_from_two_sides_in_opposite_orders_none_is_lost_and_nothing_deadlocks() -> None:
    numbers = [(number,) for number in range(30)]
    run_together(lambda: sync.enqueue_many(numbers), lambda: sync.enqueue_many(numbers[::-1]))

    assert len(waiting(sync)) == 30


def test_a_claim_at_the_same_instant_loses_no_enqueue() -> None:
    """Whichever comes first: what runs has begun before the enqueue, or a job waits after it."""
    worker = make_worker()
    for user_id in range(10):
        first = sync_newest.enqueue(user_id, reason="old")
        claims, second = run_together(lambda: take(worker), lambda user_id=user_id: sync_newest.enqueue(user_id, "new"))
        left = waiting(sync_newest)
        if second.is_duplicate:
            assert second.pk == first.pk
            assert (len(claims), [job.arguments["reason"] for job in left]) in [(0, ["new"]), (1, [])]
            assert all('"new"' in claim.arguments for claim in claims)
        else:
            assert [claim.job_id for claim in claims] == [first.pk]
            assert [job.arguments["reason"] for job in left] == ["new"]
        take(worker)


@needs_row_locks
def test_a_job_that_was_skipped_for_does_not_start_before_the_callers_commit() -> None:
    first = sync.enqueue(7)
    skipped, let_go = threading.Event(), threading.Event()

    def change_and_enqueue() -> Job:
        with transaction.atomic():
            job = sync.enqueue(7)
            skipped.set()
            assert let_go.wait(DEADLINE_SECONDS)
        return job

    changing = Background(change_and_enqueue)
    assert skipped.wait(DEADLINE_SECONDS)
    worker = make_worker()
    assert take(worker) == []
    assert Background(lambda: sync.enqueue(8)).result().pk in {claim.job_id for claim in take(worker)}
    let_go.set()
    assert changing.result().pk == first.pk
    assert [claim.job_id for claim in take(worker)] == [first.pk]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="elsewhere the key is locked for the time")
def test_two_open_transactions_that_are_both_skipped_do_not_wait_for_each_other() -> None:
    sync.enqueue(7)
    with transaction.atomic():
        assert sync.enqueue(7).is_duplicate
        assert Background(lambda: sync.enqueue(7)).result().is_duplicate


@needs_row_locks
@pytest.mark.parametrize("commits", [True, False])
def test_a_replace_waits_for_a_claim_and_then_makes_another_job_or_replaces(commits: bool) -> None:
    first = sync_newest.enqueue(7, reason="old")
    claimed, let_go = threading.Event(), threading.Event()
    worker = make_worker()

    def claim() -> None:
        with transaction.atomic():
            take(worker)
            claimed.set()
            assert let_go.wait(DEADLINE_SECONDS)
            transaction.set_rollback(not commits)

    claiming = Background(claim)
    assert claimed.wait(DEADLINE_SECONDS)
    updating = threading.Event()

    def enqueue() -> Job:
        def watch(execute, sql, params, many, context):  # type: ignore[no-untyped-def]
            if sql.startswith("UPDATE"):
                updating.set()
            return execute(sql, params, many, context)

        with connection.execute_wrapper(watch):
            return sync_newest.enqueue(7, reason="new")

    enqueueing = Background(enqueue)
    assert updating.wait(DEADLINE_SECONDS)
    assert not enqueueing.has_ended
    let_go.set()
    claiming.result()
    job = enqueueing.result()
    assert (job.pk == first.pk) is not commits
    assert [job.arguments["reason"] for job in waiting(sync_newest)] == ["new"]


@pytest.mark.slow
@pytest.mark.parametrize("definition", [sync, sync_newest, index])
def test_a_kill_between_any_two_statements_leaves_one_waiting_job_at_most(
    definition: JobDefinition[Any, Any],
) -> None:
    def prepare() -> None:
        EnqueueKey.objects.all().delete()
        Job.objects.all()._raw_delete("default")
        set_state(definition.enqueue(7), State.SUCCEEDED)

    for _ in crash_at_every_point(prepare, lambda _: [definition.enqueue(7), definition.enqueue(7)]):
        assert len(waiting(definition)) <= 1
        definition.enqueue(7)
        assert len(waiting(definition)) == 1
