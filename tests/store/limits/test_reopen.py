"""Reopen: a limit that was closed lets jobs in at once, as many as it has room for."""

from __future__ import annotations

import pytest

from django_jobs.limits import CircuitBreaker, RateLimit
from django_jobs.models import Job, Limit
from django_jobs.policy.outcomes import Snoozed
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.limits.reopen import reopen_limit
from tests import factories
from tests.admission import admit_all
from tests.concurrency import run_together
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db


def _states(jobs: list[Job]) -> list[str]:
    return [job.refresh().state for job in jobs]


def _open_the_breaker() -> list[Job]:
    jobs = sample.ask_partner.enqueue_many([("acme",)] * 5)
    admit_all()
    worker = factories.make_worker()
    claims = factories.take(worker, limit=2)
    finish([factories.ended(claim, factories.failure(retry_in=None)) for claim in claims], worker_id=worker.pk)
    return jobs[2:]


def test_a_breaker_that_is_open_lets_all_in_and_has_forgotten_the_failures() -> None:
    waiting = _open_the_breaker()
    admit_all()
    assert _states(waiting) == [State.BLOCKED] * 3

    assert reopen_limit(Limit.objects.get().pk)
    admit_all()

    assert _states(waiting) == [State.READY] * 3
    limit = Limit.objects.get()
    assert (limit.closed_until, limit.is_tripped, limit.failures) == (None, False, [])


def test_reopening_a_breaker_with_a_trial_run_admits_the_others() -> None:
    waiting = _open_the_breaker()
    Limit.objects.update(closed_until=factories.ago(seconds=1), check_at=factories.ago(seconds=1))
    admit_all()
    assert _states(waiting) == [State.READY, State.BLOCKED, State.BLOCKED]

    assert reopen_limit(Limit.objects.get().pk)
    admit_all()

    assert _states(waiting) == [State.READY] * 3


def test_a_reopened_rate_limit_continues_and_its_uses_still_count() -> None:
    jobs = sample.call_api.enqueue_many([("stripe",)] * 4)
    admit_all()
    worker = factories.make_worker()
    (claim,) = factories.take(worker, limit=1)
    refused = Snoozed(delay=factories.RULES.unknown_retry_delay, closes_limit=True)
    finish([factories.ended(claim, refused)], worker_id=worker.pk)
    assert _states(jobs[1:]) == [State.BLOCKED] * 3

    assert reopen_limit(Limit.objects.get().pk)
    admit_all()

    assert _states(jobs[1:]) == [State.READY, State.BLOCKED, State.BLOCKED]


@pytest.mark.parametrize("closed", [None, 1])
def test_a_limit_that_is_not_closed_is_left_alone(closed: int | None) -> None:
    since = None if closed is None else factories.ago(minutes=closed)
    limit = factories.make_limit(RateLimit(10), closed_until=since)
    assert not reopen_limit(limit.pk)
    limit.refresh_from_db()
    assert (limit.check_at, limit.closed_until) == (None, since)


def test_a_deleted_limit_is_not_reopened() -> None:
    assert not reopen_limit(7)


def test_of_two_at_once_one_has_reopened_it(transactional_db: None) -> None:
    limit = factories.make_limit(CircuitBreaker(failures=2), is_tripped=True)

    assert sorted(run_together(lambda: reopen_limit(limit.pk), lambda: reopen_limit(limit.pk))) == [
        False,
        True,
    ]
