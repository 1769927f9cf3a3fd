"""Bulk jobs under real workers: one that is killed in the middle of its steps is ended by another, exactly."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count

from django_jobs.builtin_jobs import move_jobs_matching, purge_matching, redrive_matching
from django_jobs.models import Attempt, DeadLetter, Job, Worker
from django_jobs.policy.states import State
from tests import factories
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.lock_waits import LOCK, session, wait_for_waiters
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import RunningWorker, ended, outcomes

STEP = 500
LETTERS = 2 * STEP
HALTED_AT = LETTERS - STEP // 2
"""A letter in the middle of the second step."""
BULK = ("--queues", "bulk")
ENDLESS = (
    "CREATE VIEW endless AS WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number)"
    " SELECT n FROM number"
)
HALT = (
    "CREATE TRIGGER halt BEFORE UPDATE ON django_jobs_deadletter WHEN NEW.id = {letter_id}"
    " BEGIN SELECT count(*) FROM endless; END"
)
QUICK = {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 1}


def _make_letters() -> list[int]:
    """Make so many dead jobs with their letters, and return the jobs' ids, in the order of the letters'."""
    now = factories.ago()
    Job.objects.bulk_create(
        Job(
            name=sample.echo.name,
            queue_name="default",
            state=State.DEAD,
            arguments={},
            max_attempts=5,
            attempt=5,
            claim_number=5,
            enqueued_at=now,
            ready_at=now,
            finished_at=now,
        )
        for _ in range(LETTERS)
    )
    ids = list(Job.objects.order_by("pk").values_list("pk", flat=True))
    DeadLetter.objects.bulk_create(
        DeadLetter(
            job_id=job_id,
            job_name=sample.echo.name,
            queue_name="default",
            reason="attempts_used_up",
            attempt=5,
            error_class="builtins.RuntimeError",
            error_message="it broke",
            fingerprint="f" * 32,
            died_at=now,
        )
        for job_id in ids
    )
    return ids


@contextmanager
def _held_up(bulk: Job, dead: list[int], start: Callable[[], RunningWorker]) -> Iterator[RunningWorker]:
    """Start a worker that comes to a halt in the middle of ``bulk``'s second step, all the block long."""
    if connection.vendor == "sqlite":
        letter = DeadLetter.objects.get(job=dead[HALTED_AT])
        with connection.cursor() as cursor:
            cursor.execute(ENDLESS)
            cursor.execute(HALT.format(letter_id=letter.pk))
            worker = start()
            try:
                wait_until(lambda: _done(bulk) == STEP, "a step")
                yield worker
            finally:
                worker.kill()
                cursor.execute("DROP TRIGGER halt")
                cursor.execute("DROP VIEW endless")
        return
    with session() as other:
        other.execute(LOCK, dead[HALTED_AT])
        worker = start()
        wait_for_waiters(other.number)
        yield worker
        other.rollback()


def _done(bulk: Job) -> int:
    return int(bulk.refresh().metadata.get("django_jobs_done", 0))


def _open() -> int:
    return DeadLetter.objects.filter(status="open").count()


@pytest.mark.skipif(chosen_vendor() == "sqlite", reason="the next test halts a step on SQLite")
def test_a_bulk_action_on_jobs_goes_on_under_another_worker_and_lets_the_moved_ones_run(
    start_worker: StartWorker,
) -> None:
    """Killed in the middle, each job is moved once; a worker of their new queue runs them, each once."""
    jobs = sample.echo.using(queue_name="default").enqueue_many([(at,) for at in range(LETTERS)])
    bulk = move_jobs_matching.using(queue_name="bulk").enqueue({"queue": "default"}, to="mail", by="ada")
    with session() as other:
        other.execute(LOCK, jobs[0].pk)
        first = start_worker(*BULK, **QUICK)
        wait_for_waiters(other.number)
        assert 0 < _done(bulk) < len(jobs)
        os.kill(Worker.objects.get(state="running").pid, signal.SIGKILL)
        first.kill()
        other.rollback()
    start_worker("--queues", "bulk,mail", **QUICK)
    assert ended(bulk) == ["succeeded"]
    assert bulk.refresh().result == {"done": len(jobs)}
    wait_until(lambda: Job.objects.filter(queue_name="mail", state=State.SUCCEEDED).count() == len(jobs), "all to run")
    assert Attempt.objects.filter(job__queue_name="mail").count() == len(jobs)


@pytest.mark.parametrize(("verb", "status"), [(redrive_matching, "redriven"), (purge_matching, "purged")])
def test_a_bulk_job_killed_between_its_steps_is_ended_by_another_worker(
    start_worker: StartWorker, verb: Any, status: str
) -> None:
    dead = _make_letters()
    bulk = verb.using(queue_name="bulk").enqueue({"fingerprint": "f" * 32}, by="ada", total=LETTERS)
    with _held_up(bulk, dead, lambda: start_worker(*BULK, **QUICK)) as first:
        done = _done(bulk)
        assert (done, bulk.refresh().state, _open()) == (STEP, "running", LETTERS - STEP)
        os.kill(Worker.objects.get(state="running").pid, signal.SIGKILL)
        first.kill()
    before = dict(DeadLetter.objects.filter(status=status).values_list("pk", "resolved_at"))
    assert len(before) == done

    start_worker(*BULK, **QUICK)
    assert ended(bulk) == ["succeeded"]

    assert outcomes(bulk) == ["lost", "succeeded"]
    assert bulk.refresh().result == {"done": LETTERS}
    assert (bulk.progress_done, bulk.progress_total) == (LETTERS, LETTERS)
    after = DeadLetter.objects.filter(status=status, resolved_by="ada")
    assert after.count() == LETTERS
    assert dict(after.filter(pk__in=before).values_list("pk", "resolved_at")) == before
    if verb is purge_matching:
        assert list(Job.objects.values_list("pk", flat=True)) == [bulk.pk]
        return
    assert Job.objects.filter(pk__in=dead, state=State.READY, attempt=0).count() == LETTERS
    assert start_worker("--queues", "default", "--burst").wait() == 0
    runs = Attempt.objects.filter(job__in=dead).values("job").annotate(number=Count("pk"))
    assert set(runs.values_list("number", "job__state")) == {(1, "succeeded")}
    assert runs.count() == LETTERS
