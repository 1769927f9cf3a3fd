"""How a worker notices cancellation requests: seldom, for all its jobs at once, and each run once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Any

import pytest

from django_jobs.models import Job
from django_jobs.policy.outcomes import Released
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import Claim
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.finish import finish
from django_jobs.worker.duties.cancel_requests import (
    CHECK_INTERVAL_SECONDS,
    MIN_RUNNING_SECONDS,
    CancelWatcher,
)
from django_jobs.worker.executors.chunks import ChunkQueue
from tests import factories
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db


class Executor:
    """Runs nothing: what runs, since when and whether it can be reached is what a test says."""

    capacity = 4
    started_count = low_water_mark = 0

    def __init__(self) -> None:
        self.waiting: deque[Claim] = deque()
        self.chunks = ChunkQueue(submit=self.waiting.extend, on_death=pytest.fail)
        self.runs: list[tuple[Claim, float]] = []
        self.interrupted: list[int] = []
        self.is_reachable = True

    def submit(self, claims: Iterable[Claim]) -> None:
        self.waiting.extend(claims)

    def start(self, *, seconds_ago: float) -> Claim:
        claim = self.waiting.popleft()
        self.runs.append((claim, time.monotonic() - seconds_ago))
        return claim

    def busy(self) -> list[tuple[Claim, float]]:
        return self.running()

    def running(self) -> list[tuple[Claim, float]]:
        return self.runs

    def interrupt(self, claim: Claim) -> bool:
        if not self.is_reachable or all(claim is not running for running, _ in self.runs):
            return False
        self.interrupted.append(claim.job_id)
        return True

    def stop(self) -> None: ...

    def join(self, deadline: float) -> bool:
        return True


class WatcherSetup:
    """A watch with an executor that has claims waiting."""

    def __init__(self, number: int) -> None:
        self.worker = factories.make_worker()
        self.executor, self.events = Executor(), RecordedEvents()
        factories.make_jobs(number)
        claims = factories.take(self.worker)
        self.executor.submit(claims)
        context = make_context(self.events)
        self.active_claims = context.active_claims
        self.active_claims.update((claim.job_id, claim) for claim in claims)
        self.watch = CancelWatcher(context, (self.executor,))


def test_the_database_is_not_queried_while_all_jobs_are_short(
    django_assert_num_queries: Any,
) -> None:
    setup = WatcherSetup(3)
    setup.executor.start(seconds_ago=0)
    with django_assert_num_queries(0):
        assert setup.watch.step() == CHECK_INTERVAL_SECONDS
    setup.executor.start(seconds_ago=MIN_RUNNING_SECONDS)
    with django_assert_num_queries(1):
        assert setup.watch.step() == CHECK_INTERVAL_SECONDS


def test_a_run_is_interrupted_once_and_others_are_not() -> None:
    setup = WatcherSetup(3)
    requested, other = (setup.executor.start(seconds_ago=1) for _ in range(2))
    cancel(Job.objects.filter(pk=requested.job_id))
    for _ in range(3):
        setup.watch.step()
    assert setup.executor.interrupted == [requested.job_id]
    assert (other.job_id in setup.active_claims, setup.events.released) == (True, [])


def test_a_run_that_could_not_be_interrupted_yet_is_retried() -> None:
    setup = WatcherSetup(1)
    claim = setup.executor.start(seconds_ago=1)
    cancel(Job.objects.all())
    setup.executor.is_reachable = False
    setup.watch.step()
    setup.executor.is_reachable = True
    setup.watch.step()
    assert setup.executor.interrupted == [claim.job_id]


def test_a_job_that_has_not_started_is_released_and_that_cancels_it() -> None:
    setup = WatcherSetup(2)
    setup.executor.start(seconds_ago=1)
    [waiting] = setup.executor.waiting
    cancel(Job.objects.filter(pk=waiting.job_id))
    for _ in range(2):
        setup.watch.step()
    assert (setup.events.released, list(setup.executor.waiting)) == ([waiting], [])

    finish([factories.ended(waiting, Released(started=False))], worker_id=setup.worker.pk)

    job = Job.objects.get(pk=waiting.job_id)
    assert (job.state, job.attempts.count()) == (State.CANCELLED, 0)


def test_another_run_of_the_same_job_is_interrupted_again() -> None:
    setup = WatcherSetup(1)
    first = setup.executor.start(seconds_ago=1)
    cancel(Job.objects.all())
    setup.watch.step()
    again = first._replace(claim_number=2)
    setup.executor.runs = [(again, time.monotonic() - 1)]
    setup.active_claims[again.job_id] = again
    setup.watch.step()
    assert setup.executor.interrupted == [first.job_id] * 2
