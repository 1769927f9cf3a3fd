from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle import held as held_module
from django_jobs.store.lifecycle.held import release_held
from django_jobs.store.lifecycle.promote import promote
from tests.concurrency import run_together
from tests.factories import ago, make_job, make_worker, take
from tests.plans import fill_tables, whole_table_reads

pytestmark = pytest.mark.django_db

DELAY = timedelta(seconds=60)


def _held(name: str = "shop.new", *, seconds: float = 50, **fields: Any) -> Job:
    return make_job(State.SCHEDULED, name=name, run_after=ago(seconds=-seconds), unknown_since=ago(hours=1), **fields)


def _release(*names: str, **options: Any) -> int:
    return release_held((names or ("shop.new",)).__contains__, unknown_delay=DELAY, **options)


def test_a_held_job_whose_name_is_known_is_due_now_and_unknown_no_longer() -> None:
    job = _held()
    assert _release() == 1
    job.refresh()
    assert (job.state, job.unknown_since) == (State.SCHEDULED, None)
    assert job.run_after is not None
    assert job.run_after <= database_now()
    assert promote() == 1
    assert [claim.job_id for claim in take(make_worker())] == [job.pk]


def test_what_is_not_held_or_has_another_name_or_queue_waits_on() -> None:
    others = [
        _held("shop.other"),
        _held("Shop.New"),
        _held(queue_name="slow"),
        make_job(State.SCHEDULED, name="shop.new", run_after=ago(seconds=-50)),
    ]
    before = [(job.run_after, job.unknown_since) for job in others]
    assert _release(queues=["mail", "default"]) == 0
    assert [(job.refresh().run_after, job.unknown_since) for job in others] == before
    assert _release() == 1
    assert others[2].refresh().unknown_since is None


@pytest.mark.parametrize("state", [state for state in State if state is not State.SCHEDULED])
def test_a_job_in_another_state_is_left_alone(state: State) -> None:
    since = ago(hours=1)
    job = make_job(state, name="shop.new", unknown_since=since)
    assert _release() == 0
    assert (job.refresh().state, job.unknown_since) == (state, since)


def test_the_second_of_two_workers_that_start_finds_nothing() -> None:
    _held()
    assert (_release(), _release()) == (1, 0)


@pytest.mark.django_db(transaction=True)
def test_workers_that_start_together_release_each_job_once() -> None:
    for number in range(60):
        _held(seconds=50 - number / 10)
    assert sum(run_together(*[_release] * 4)) == 60
    assert not Job.objects.filter(unknown_since__isnull=False).exists()


def test_a_job_claimed_and_tried_again_between_read_and_lock_keeps_its_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _held()
    later = ago(hours=-1)
    lock_jobs = held_module.lock_jobs

    def changed_meanwhile(*arguments: Any, **options: Any) -> list[int]:
        Job.objects.filter(pk=job.pk).update(run_after=later, unknown_since=None)
        return lock_jobs(*arguments, **options)

    monkeypatch.setattr(held_module, "lock_jobs", changed_meanwhile)
    assert _release() == 0
    assert job.refresh().run_after == later


def test_windows_of_names_that_nobody_knows_do_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_module, "WINDOW", 2)
    at = ago(seconds=-30)
    for number in range(7):
        make_job(State.SCHEDULED, name=f"shop.{number % 2}", run_after=at, unknown_since=ago(hours=1))
    asked: list[str] = []
    assert release_held(lambda name: asked.append(name) or name == "shop.1", unknown_delay=DELAY) == 3
    assert asked == ["shop.0", "shop.1"]
    assert Job.objects.filter(unknown_since__isnull=True).count() == 3


def test_without_a_held_job_it_is_one_statement(django_assert_num_queries: Any) -> None:
    make_job(State.SCHEDULED, name="shop.new", run_after=ago(seconds=-50))
    with django_assert_num_queries(1):
        assert _release() == 0


@pytest.mark.django_db(transaction=True)
def test_no_large_table_is_read() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("the plans are PostgreSQL's")
    fill_tables()
    _held()
    assert whole_table_reads(_release) == []


@pytest.mark.django_db(transaction=True)
def test_the_index_of_scheduled_jobs_is_used() -> None:
    if connection.vendor == "postgresql":
        pytest.skip("test_no_large_table_is_read has its plan")
    with CaptureQueriesContext(connection) as captured:
        _release()
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {captured[0]['sql']}")
        assert "django_jobs_scheduled" in str(cursor.fetchall())
