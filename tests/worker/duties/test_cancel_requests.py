"""How a worker notices what was asked to end: seldom, for all at once, and each run once."""

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
from tests import factories

pytestmark = pytest.mark.django_db


class Executor:
    """Runs nothing: what runs, since when and whether it can be reached is what a test says."""

    slots = 4
    started_count = low_water_mark = 0

    def __init__(self) -> None:
        self.waiting: deque[Claim] = deque()
        self.runs: list[tuple[Claim, float]] = []
        self.reached: list[int] = []
        self.is_reachable = True

    def submit(self, claims: Iterable[Claim]) -> None:
        self.waiting.extend(claims)

    def begin(self, *, seconds_ago: float) -> Claim:
        claim = self.waiting.popleft()
        self.runs.append((claim, time.monotonic() - seconds_ago))
        return claim

    def running(self) -> list[tuple[Claim, float]]:
        return self.runs

    def interrupt(self, claim: Claim) -> bool:
        if not self.is_reachable or all(claim is not one for one, _ in self.runs):
            return False
        self.reached.append(claim.job_id)
        return True

    def stop(self) -> None: ...

    def join(self, deadline: float) -> bool:
        return True


class Desk:
    """A watch with an executor that has claims waiting."""

    def __init__(self, number: int) -> None:
        self.worker = factories.make_worker()
        self.executor, self.given_back = Executor(), list[Claim]()
        factories.make_jobs(number)
        claims = factories.take(self.worker)
        self.executor.submit(claims)
        self.active_claims = {claim.job_id: claim for claim in claims}
        self.watch = CancelWatcher(
            using="default",
            executors=(self.executor,),
            active_claims=self.active_claims,
            release_claim=lambda claim, _: self.given_back.append(claim),
        )


def test_where_nothing_has_been_running_for_a_while_nobody_asks_the_database(
    django_assert_num_queries: Any,
) -> None:
    desk = Desk(3)
    desk.executor.begin(seconds_ago=0)
    with django_assert_num_queries(0):
        assert desk.watch.step() == CHECK_INTERVAL_SECONDS
    desk.executor.begin(seconds_ago=MIN_RUNNING_SECONDS)
    with django_assert_num_queries(1):
        assert desk.watch.step() == CHECK_INTERVAL_SECONDS


def test_a_run_that_was_asked_is_reached_once_and_others_are_not() -> None:
    desk = Desk(3)
    asked, other = (desk.executor.begin(seconds_ago=1) for _ in range(2))
    cancel(Job.objects.filter(pk=asked.job_id))
    for _ in range(3):
        desk.watch.step()
    assert desk.executor.reached == [asked.job_id]
    assert (other.job_id in desk.active_claims, desk.given_back) == (True, [])


def test_one_that_could_not_be_reached_yet_is_tried_again() -> None:
    desk = Desk(1)
    claim = desk.executor.begin(seconds_ago=1)
    cancel(Job.objects.all())
    desk.executor.is_reachable = False
    desk.watch.step()
    desk.executor.is_reachable = True
    desk.watch.step()
    assert desk.executor.reached == [claim.job_id]


def test_what_has_not_begun_is_given_back_and_that_cancels_it() -> None:
    desk = Desk(2)
    desk.executor.begin(seconds_ago=1)
    [waiting] = desk.executor.waiting
    cancel(Job.objects.filter(pk=waiting.job_id))
    for _ in range(2):
        desk.watch.step()
    assert (desk.given_back, list(desk.executor.waiting)) == ([waiting], [])

    finish([factories.ended(waiting, Released(started=False))], worker_id=desk.worker.pk)

    job = Job.objects.get(pk=waiting.job_id)
    assert (job.state, job.attempts.count()) == (State.CANCELLED, 0)


def test_another_run_of_the_same_job_is_told_anew() -> None:
    desk = Desk(1)
    first = desk.executor.begin(seconds_ago=1)
    cancel(Job.objects.all())
    desk.watch.step()
    again = first._replace(claim_number=2)
    desk.executor.runs = [(again, time.monotonic() - 1)]
    desk.active_claims[again.job_id] = again
    desk.watch.step()
    assert desk.executor.reached == [first.job_id] * 2
