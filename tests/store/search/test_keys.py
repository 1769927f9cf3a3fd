"""Idempotency keys: however often and from wherever the same request is enqueued, there is one job."""

from __future__ import annotations

import threading
from datetime import timedelta
from queue import SimpleQueue

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

import django_jobs
from django_jobs.models import EnqueueKey, Job
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.purge import purge
from tests.concurrency import DEADLINE_SECONDS, Background, elsewhere, run_together
from tests.crashing import crash_at_every_point
from tests.factories import ago
from tests.lock_waits import number_of, wait_for_waiters
from tests.sampleapp.jobs import add, echo

pytestmark = pytest.mark.django_db(transaction=True)

KEYED = echo.using(idempotency_key="order-3-receipt")
needs_row_locks = pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")


def test_a_second_enqueue_with_the_key_returns_the_first_job() -> None:
    first = KEYED.enqueue(1)
    second = KEYED.enqueue(2)

    assert (first.is_duplicate, second.is_duplicate) == (False, True)
    assert second.pk == first.pk
    assert second.arguments == {"value": 1}
    assert Job.objects.get().arguments == {"value": 1}


def test_the_job_of_a_new_key_equals_the_stored_one_in_every_column() -> None:
    job = echo.using(idempotency_key="k", run_after=timedelta(hours=1), metadata={"tenant": 3}, priority=-7).enqueue(
        [1, "é"]
    )
    stored = Job.objects.get(pk=job.pk)
    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(stored, field.attname), field.attname
    key = EnqueueKey.objects.get()
    assert (key.kind, key.job_name, key.key, key.job) == ("idempotency", echo.name, "k", stored)


@pytest.mark.parametrize("state", [State.RUNNING, State.SUCCEEDED, State.CANCELLED, State.DEAD, State.SCHEDULED])
def test_the_key_holds_whatever_has_become_of_the_first_job(state: State) -> None:
    first = KEYED.enqueue(1)
    columns = {"run_after": first.enqueued_at} if state is State.SCHEDULED else {}
    Job.objects.filter(pk=first.pk).update(state=state, **columns)

    second = KEYED.enqueue(1)

    assert (second.pk, second.is_duplicate, second.state) == (first.pk, True, state)


def test_after_the_window_there_is_a_new_job_that_has_the_key_for_another_window() -> None:
    first = KEYED.using(idempotency_window=timedelta(minutes=5)).enqueue(1)
    EnqueueKey.objects.update(expires_at=ago(seconds=1))

    second = KEYED.using(idempotency_window=timedelta(minutes=5)).enqueue(2)
    third = KEYED.enqueue(3)

    assert second.pk != first.pk
    assert (second.is_duplicate, third.is_duplicate, third.pk) == (False, True, second.pk)
    key = EnqueueKey.objects.get()
    assert key.expires_at - key.acquired_at == timedelta(minutes=5)


def test_a_key_is_one_job_names_own() -> None:
    assert KEYED.enqueue(1).pk != add.using(idempotency_key="order-3-receipt").enqueue(1).pk
    assert not echo.using(idempotency_key="Order-3-receipt").enqueue(1).is_duplicate


def test_a_purged_job_leaves_its_key_free() -> None:
    first = KEYED.enqueue(1)
    Job.objects.filter(pk=first.pk).update(state=State.SUCCEEDED, finished_at=ago(hours=1))
    purge(first)

    assert not KEYED.enqueue(2).is_duplicate
    assert EnqueueKey.objects.count() == 1


def test_a_new_key_costs_postgresql_one_statement_and_the_others_three() -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            KEYED.enqueue(1)
        others = ("BEGIN", "COMMIT", "SELECT pg_notify")
        return sum(not query["sql"].startswith(others) for query in captured)

    assert statements() == (1 if connection.vendor == "postgresql" else 3)
    assert statements() <= 3


def test_the_key_is_rolled_back_with_the_job() -> None:
    with transaction.atomic():
        assert not KEYED.enqueue(1).is_duplicate
        assert KEYED.enqueue(1).is_duplicate
        transaction.set_rollback(True)

    assert not EnqueueKey.objects.exists()
    assert not KEYED.enqueue(2).is_duplicate


def test_a_function_of_the_arguments_gives_the_key_one_at_a_time_or_in_bulk() -> None:
    keyed = add.using(idempotency_key=lambda first, second: f"{first}-{second}")

    one = keyed.enqueue(1)
    jobs = keyed.enqueue_many([(3,), {"first": 1}, (1, 2), (3, 1), (3,)])

    assert [job.is_duplicate for job in jobs] == [False, True, False, False, True]
    assert (jobs[1].pk, jobs[4].pk) == (one.pk, jobs[0].pk)
    assert [job.arguments["first"] for job in jobs] == [3, 1, 1, 3, 3]
    assert Job.objects.count() == 4
    assert set(EnqueueKey.objects.values_list("key", flat=True)) == {"1-0", "3-0", "1-2", "3-1"}


def test_by_name_and_from_asynchronous_code_the_key_is_the_same() -> None:
    first = django_jobs.find_job("sample.named").using(idempotency_key="k").enqueue(value=1)
    unknown = django_jobs.find_job("other.service", unknown="allow").using(idempotency_key="k")

    async def view() -> list[Job]:
        return [
            await django_jobs.find_job("sample.named").using(idempotency_key="k").aenqueue(2),
            await unknown.aenqueue(1),
            await unknown.aenqueue(2),
        ]

    second, other, again = async_to_sync(view)()
    assert (second.pk, second.is_duplicate) == (first.pk, True)
    assert (other.is_duplicate, again.is_duplicate, again.pk) == (False, True, other.pk)


def test_two_that_come_at_the_same_instant_make_one_job() -> None:
    for number in range(5):
        keyed = echo.using(idempotency_key=f"request-{number}")
        jobs = run_together(*[lambda keyed=keyed: keyed.enqueue(1)] * 4)
        assert len({job.pk for job in jobs}) == 1
        assert sorted(job.is_duplicate for job in jobs) == [False, True, True, True]


def test_two_that_come_at_the_same_instant_after_the_window_make_one_job() -> None:
    first = KEYED.enqueue(1)
    for _ in range(5):
        EnqueueKey.objects.update(expires_at=ago(seconds=1))
        jobs = run_together(*[lambda: KEYED.enqueue(1)] * 3)
        assert len({job.pk for job in jobs} - {first.pk}) == 1
        assert sorted(job.is_duplicate for job in jobs) == [False, True, True]
        first = jobs[0]


@needs_row_locks
@pytest.mark.parametrize("commits", [True, False])
def test_the_second_waits_for_the_firsts_commit_and_is_the_first_where_that_is_rolled_back(
    commits: bool,
) -> None:
    inserted: SimpleQueue[int] = SimpleQueue()
    let_go = threading.Event()

    def first() -> Job:
        with transaction.atomic():
            job = KEYED.enqueue(1)
            inserted.put(number_of(connection))
            assert let_go.wait(DEADLINE_SECONDS)
            transaction.set_rollback(not commits)
        return job

    running = Background(first)
    number = inserted.get(timeout=DEADLINE_SECONDS)
    waiting = [Background(lambda: KEYED.enqueue(2)) for _ in range(2)]
    wait_for_waiters(number, 2)
    let_go.set()
    jobs = [running.result(), *(waiter.result() for waiter in waiting)]
    if commits:
        assert {job.pk for job in jobs} == {jobs[0].pk}
        assert [job.is_duplicate for job in jobs] == [False, True, True]
    else:
        assert sorted(job.is_duplicate for job in jobs[1:]) == [False, True]
        assert Job.objects.get().pk == jobs[1].pk == jobs[2].pk


@needs_row_locks
def test_under_repeatable_read_mysql_finds_the_winner_that_its_snapshot_lacks() -> None:
    if connection.vendor != "mysql":
        pytest.skip("PostgreSQL says that the transaction cannot be serialized")
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    connection.isolation_level = None
    try:
        with transaction.atomic():
            assert Job.objects.count() == 0
            first = Background(lambda: KEYED.enqueue(1)).result()
            assert Job.objects.count() == 0
            second = KEYED.enqueue(2)
        assert (second.pk, second.is_duplicate) == (first.pk, True)
    finally:
        connection.close()


def test_enqueues_with_other_keys_are_not_blocked_by_an_open_transaction() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    with elsewhere(lambda: KEYED.enqueue(1)):
        assert not Background(lambda: echo.using(idempotency_key="other").enqueue(2)).result().is_duplicate


@pytest.mark.slow
def test_a_kill_between_any_two_statements_leaves_no_key_without_its_job() -> None:
    def prepare() -> None:
        EnqueueKey.objects.all().delete()
        Job.objects.all()._raw_delete("default")

    for _ in crash_at_every_point(prepare, lambda _: KEYED.enqueue(1)):
        assert set(EnqueueKey.objects.values_list("job_id", flat=True)) == set(Job.objects.values_list("pk", flat=True))
        KEYED.enqueue(1)
        assert Job.objects.count() == 1
