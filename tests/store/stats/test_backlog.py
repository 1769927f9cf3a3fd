"""Samples of the backlog equal exact counts, once a minute, by one worker, in few statements without a large read."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from django_jobs.models import Job, Rollup, RollupPosition
from django_jobs.policy.backlog import Level
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.rollup import ALL_QUEUES, span_start
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.dialects.shared.backlog import MAX_STATEMENTS, read_levels
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.queues import pause
from django_jobs.store.stats import backlog
from django_jobs.store.stats.backlog import sample_backlog
from django_jobs.store.stats.rollup import roll_up
from tests.concurrency import Background
from tests.crashing import crash_at_every_point
from tests.factories import ago, ended, make_attempt, make_job, make_jobs, make_worker, take
from tests.lock_waits import session, wait_for_waiters
from tests.plans import fill_tables, whole_table_reads
from tests.statements import counted

pytestmark = pytest.mark.django_db
EVERY_STATE = [state for state in State if state not in {State.READY, State.RUNNING}]


def this_minute(minutes: int = 0):
    return span_start(database_now().timestamp(), 60) + timedelta(minutes=minutes)


def half_past(hour_start_minutes: int = 35):
    """Return a minute that starts neither ten minutes nor an hour."""
    return span_start(database_now().timestamp(), 3600) + timedelta(minutes=hour_start_minutes)


def sample(minute):
    RollupPosition.objects.filter(pk="backlog").update(seen_at=None)
    return sample_backlog(minute)


def stored(span=60, **filters):
    rows = Rollup.objects.filter(span_seconds=span, **filters).order_by("queue_name")
    return {row.queue_name: (row.waiting, row.running, row.max_waiting) for row in rows}


def test_a_sample_counts_what_is_ready_and_what_runs_in_each_queue_paused_ones_too() -> None:
    make_jobs(3, queue_name="mail", priority=5)
    make_jobs(2, queue_name="mail", priority=-5)
    make_jobs(4, State.RUNNING, queue_name="mail")
    make_job(State.RUNNING, queue_name="reports")
    make_jobs(2, queue_name="stopped")
    pause("stopped")
    for state in EVERY_STATE:
        make_job(state, queue_name="others")

    assert sample_backlog(half_past())

    assert stored() == {ALL_QUEUES: (7, 5, 7), "mail": (5, 4, 5), "reports": (0, 1, 0), "stopped": (2, 0, 2)}
    assert set(Rollup.objects.values_list("starts_at", flat=True)) >= {half_past()}


def test_an_empty_system_has_one_row_which_says_so() -> None:
    assert sample_backlog(half_past())
    assert stored() == {ALL_QUEUES: (0, 0, 0)}
    assert stored(600) == stored(3600) == {}


def test_longer_spans_have_their_first_level_and_the_highest() -> None:
    start = half_past(30)
    for minute, number in enumerate([5, 0, 9, 2]):
        Job.objects.all()._raw_delete(using="default")
        make_jobs(number, queue_name="mail")
        assert sample(start + timedelta(minutes=minute))
    assert stored(600) == {ALL_QUEUES: (5, 0, 9), "mail": (5, 0, 9)}
    assert stored(3600) == {ALL_QUEUES: (None, None, 9), "mail": (None, None, 9)}, "the hour began without a sample"
    assert len(stored(60)) == 2
    assert Rollup.objects.filter(span_seconds=60, queue_name="mail").count() == 3


def test_a_roll_up_and_a_sample_write_different_columns_of_the_same_rows() -> None:
    worker = make_worker()
    make_jobs(3, queue_name="mail")
    (claim,) = take(worker, 1, queues=["mail"])
    minute = this_minute()
    assert sample(minute)
    assert finish([ended(claim, Succeeded())], worker_id=worker.pk)
    roll_up(min_age=timedelta(0))
    finished_in = span_start(Job.objects.get(pk=claim.job_id).finished_at.timestamp(), 60)
    assert sample(finished_in)
    for name in (ALL_QUEUES, "mail"):
        row = Rollup.objects.get(span_seconds=60, starts_at=finished_in, queue_name=name)
        assert (row.succeeded, row.waiting, row.running) == (1, 2, 0)
    roll_up(min_age=timedelta(0))
    assert stored(starts_at=finished_in)["mail"] == (2, 0, 2)


def test_a_minute_is_sampled_once() -> None:
    minute = this_minute()
    assert sample_backlog(minute)
    make_job()
    assert not sample_backlog(minute)
    assert not sample_backlog(minute - timedelta(minutes=1))
    assert stored()[ALL_QUEUES] == (0, 0, 0)
    RollupPosition.objects.update(seen_at=ago(minutes=1))
    assert sample_backlog(minute)
    assert stored()[ALL_QUEUES] == (1, 0, 1)


@pytest.mark.parametrize("limit", range(1, 9))
def test_beyond_its_bound_a_queue_has_more_and_all_others_are_exact(limit: int) -> None:
    numbers = {"A": 1, "a": 3, "b": 7, "Z": 2, "_": 1, "é": 4}
    for name, number in numbers.items():
        make_jobs(number, queue_name=name)
    make_job(State.RUNNING, queue_name="b")
    make_job(State.RUNNING, queue_name="none")
    assert read_levels(connection, limit=limit) == {
        "none": Level(running=1),
        **{
            name: Level(waiting=min(number, limit), running=int(name == "b"), is_more=number > limit)
            for name, number in numbers.items()
        },
    }


def test_a_bounded_count_is_stored_as_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_SAMPLED", 4)
    make_jobs(6, queue_name="full")
    make_job(queue_name="mail")
    assert sample_backlog(half_past())
    assert stored() == {ALL_QUEUES: (None, 0, 5), "full": (None, 0, 4), "mail": (1, 0, 1)}


def test_more_full_queues_than_statements_leave_the_minute_without_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_SAMPLED", 1)
    for number in range(MAX_STATEMENTS + 1):
        make_jobs(2, queue_name=f"q{number}")
    assert not sample_backlog(half_past())
    assert not Rollup.objects.exists()


def test_a_sample_that_took_too_long_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100.0, 111.0])
    monkeypatch.setattr(backlog.time, "monotonic", lambda: next(times, 111.0))
    assert not sample_backlog(half_past())
    assert not Rollup.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_of_workers_that_sample_at_once_one_counts_and_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes between the first one's claim and its count."""
    make_jobs(3)
    sample_backlog(this_minute())
    RollupPosition.objects.update(seen_at=ago(minutes=1))
    is_counting, go_on = threading.Event(), threading.Event()
    counts = []

    def count(*args: Any, **kwargs: Any) -> Any:
        counts.append(1)
        is_counting.set()
        assert go_on.wait(30)
        return read_levels(*args, **kwargs)

    monkeypatch.setattr(backlog, "read_levels", count)
    minute = this_minute()
    first = Background(lambda: sample_backlog(minute))
    assert is_counting.wait(30)
    assert not sample_backlog(minute)
    go_on.set()
    assert first.result()
    assert len(counts) == 1
    assert stored(starts_at=minute)[ALL_QUEUES] == (3, 0, 3)


@pytest.mark.skipif("connection.vendor == 'sqlite'")
@pytest.mark.django_db(transaction=True)
def test_a_sample_and_a_roll_up_lock_the_rows_that_both_write_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample waits in the middle of its rows; the roll-up's first attempt is of the last of them."""
    monkeypatch.setattr(backlog, "retry_on_conflict", lambda work, using: work())
    minute = half_past()
    make_jobs(1, queue_name="m")
    make_jobs(1, queue_name="z")
    job = make_job(State.SUCCEEDED, queue_name="z")
    make_attempt(job, outcome="succeeded", finished_at=minute)
    ten_minutes = Rollup.objects.filter(span_seconds=600)
    for name in (ALL_QUEUES, "m", "z"):
        Rollup.objects.create(span_seconds=600, starts_at=minute - timedelta(minutes=5), queue_name=name)
    lock = "SELECT id FROM django_jobs_rollup WHERE id = %s FOR UPDATE"
    with session() as holder:
        holder.execute(lock, ten_minutes.get(queue_name="m").pk)
        sampling = Background(lambda: sample_backlog(minute))
        (sampler,) = wait_for_waiters(holder.number)
        rolling_up = Background(lambda: roll_up(min_age=timedelta(0)))
        wait_for_waiters(sampler)
        holder.rollback()
        assert sampling.result()
        assert rolling_up.result() == 1
    assert stored(600)["z"] == (None, None, 1)
    assert ten_minutes.get(queue_name="z").succeeded == 1


@pytest.mark.django_db(transaction=True)
def test_a_killed_sample_leaves_all_of_its_rows_or_none_and_the_next_minute_has_its_own() -> None:
    def prepare():
        Rollup.objects.all().delete()
        Job.objects.all()._raw_delete(using="default")
        RollupPosition.objects.update_or_create(pk="backlog", defaults={"seen_at": ago(minutes=5)})
        make_jobs(2, queue_name="mail")
        return half_past()

    for _point, minute in crash_at_every_point(prepare, sample_backlog):
        assert stored() in ({}, {ALL_QUEUES: (2, 0, 2), "mail": (2, 0, 2)})
        assert sample(minute + timedelta(minutes=1))
        assert stored(starts_at=minute + timedelta(minutes=1)) == {ALL_QUEUES: (2, 0, 2), "mail": (2, 0, 2)}


@pytest.mark.django_db(transaction=True)
def test_a_sample_of_an_idle_system_takes_three_statements() -> None:
    minute = half_past(32)
    sample(half_past(31))
    RollupPosition.objects.update(seen_at=ago(hours=2))
    with counted() as statements:
        assert sample_backlog(minute)
    assert statements.statements == 3


@pytest.mark.skipif("connection.vendor != 'postgresql'")
@pytest.mark.django_db(transaction=True)
def test_no_statement_of_a_sample_reads_a_whole_table() -> None:
    fill_tables()
    minute = half_past()
    assert whole_table_reads(lambda: sample(minute)) == []
