"""A step of a bulk job: its work and its record are always the same."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.store.bulk import take_step
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.replay import replay_chunk
from tests import factories
from tests.concurrency import run_together
from tests.crashing import crash_at_every_point

pytestmark = pytest.mark.django_db(transaction=True)


def _open() -> QuerySet[DeadLetter]:
    return DeadLetter.objects.filter(status="open")


def _place(job: Job) -> tuple[Any, Any]:
    metadata = job.refresh().metadata
    return metadata.get("django_jobs_position"), metadata.get("django_jobs_done", 0)


def test_steps_add_up_and_leave_the_rest_of_the_metadata() -> None:
    job = factories.make_job(State.RUNNING, metadata={"ticket": 7})
    assert take_step(job.pk, lambda: 3, position=None, next_position=10) == 3
    assert take_step(job.pk, lambda: 2, position=10, next_position="end") == 5
    assert job.refresh().metadata == {
        "ticket": 7,
        "django_jobs_position": "end",
        "django_jobs_done": 5,
    }


def test_a_run_that_another_is_ahead_of_does_nothing() -> None:
    job = factories.make_job(State.RUNNING)
    factories.make_letter()
    assert take_step(job.pk, lambda: 0, position=None, next_position=1) == 0
    assert take_step(job.pk, lambda: redrive(_open()), position=None, next_position=1) is None
    assert _open().count() == 1


def test_two_runs_at_the_same_moment_copy_each_job_once() -> None:
    job = factories.make_job(State.RUNNING)
    originals = Job.objects.filter(pk__in=[job.pk for job in factories.make_jobs(3, State.SUCCEEDED)])
    step = partial(take_step, job.pk, partial(replay_chunk, originals), position=None, next_position=7)
    assert sorted(run_together(step, step), key=str) == [3, None]
    assert Job.objects.filter(state=State.READY).count() == 3
    assert _place(job) == (7, 3)


def test_a_step_of_a_deleted_job_does_nothing() -> None:
    factories.make_letter()
    assert take_step(0, lambda: redrive(_open()), position=None, next_position=1) is None
    assert _open().count() == 1


def test_a_step_that_fails_moves_nothing() -> None:
    job = factories.make_job(State.RUNNING)
    factories.make_letter()

    def redrive_and_fail() -> int:
        redrive(_open())
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        take_step(job.pk, redrive_and_fail, position=None, next_position=1)
    assert (_open().count(), _place(job)) == (1, (None, 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    "verb", [lambda jobs: sum(cancel(jobs)), partial(move, to="mail"), partial(set_priority, priority=7)]
)
def test_killed_anywhere_a_step_of_jobs_is_done_and_counted_or_neither(verb: Any) -> None:
    def prepare() -> tuple[Job, list[int]]:
        return factories.make_job(State.RUNNING), [job.pk for job in factories.make_jobs(3)]

    def act(prepared: tuple[Job, list[int]]) -> None:
        bulk, ids = prepared
        take_step(bulk.pk, lambda: verb(Job.objects.filter(pk__in=ids)), position=None, next_position="x")

    seen = set()
    for _, (bulk, ids) in crash_at_every_point(prepare, act):
        as_before = Job.objects.filter(pk__in=ids, state=State.READY, queue_name="default", priority=0).count()
        seen.add((as_before, _place(bulk)))
    assert seen == {(3, (None, 0)), (0, ("x", 3))}


@pytest.mark.slow
@pytest.mark.parametrize("end", [redrive, purge, resolve])
def test_killed_anywhere_a_step_is_done_and_counted_or_neither(end: Any) -> None:
    def prepare() -> tuple[Job, list[int]]:
        job = factories.make_job(State.RUNNING)
        return job, [factories.make_letter().pk for _ in range(3)]

    def act(prepared: tuple[Job, list[int]]) -> None:
        job, ids = prepared
        take_step(job.pk, lambda: end(DeadLetter.objects.filter(pk__in=ids)), position=None, next_position=9)

    seen = set()
    for _, (job, ids) in crash_at_every_point(prepare, act):
        still_open = _open().filter(pk__in=ids).count()
        seen.add((still_open, _place(job)))
    assert seen == {(3, (None, 0)), (0, (9, 3))}
