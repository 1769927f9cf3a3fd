"""Requests to end a worker at once: who is told, and what becomes of the job to blame."""

from __future__ import annotations

import pytest

from django_jobs.models import Worker
from django_jobs.operations import kill_worker, stop_worker
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.workers import HeartbeatStatus, record_heartbeat, renew_heartbeat
from tests.factories import RULES, ago, make_job, make_worker

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", ["running", "stopping"])
def test_a_living_worker_is_told_by_its_next_heartbeat_whoever_sends_it(state):
    worker = make_worker(state=state, activity={"threads": 1})

    assert kill_worker(worker.pk, by="ada") is True
    assert kill_worker(worker.pk, by="bob") is False, "it was asked before"

    assert renew_heartbeat(worker.pk) is HeartbeatStatus.KILL_REQUESTED
    worker.refresh_from_db()
    assert (worker.kill_requested_by, worker.activity) == ("ada", {"threads": 1})
    assert stop_worker(worker.pk) is True
    assert record_heartbeat(worker.pk) is HeartbeatStatus.KILL_REQUESTED, "the more urgent request"


@pytest.mark.parametrize("state", ["stopped", "lost"])
def test_a_worker_that_has_ended_cannot_be_killed(state):
    assert kill_worker(make_worker(state=state).pk) is False


def test_the_job_to_blame_is_cancelled_and_the_others_are_given_back():
    worker = make_worker()
    blamed, other, in_hand = (make_job(State.RUNNING, worker=worker, attempt=1, claim_number=1) for _ in range(3))

    assert kill_worker(worker.pk, job_id=blamed.pk, by="ada") is True
    ran = frozenset({blamed.pk, other.pk})
    assert rescue_worker(worker.pk, rules=RULES, ran=ran, reason="on request", counts_as_death=False) == 3

    assert (blamed.refresh().state, blamed.attempts.get().outcome) == (State.CANCELLED, "cancelled")
    assert (other.refresh().state, other.attempt, other.worker_deaths) == (State.READY, 0, 0)
    assert other.attempts.get().outcome == "released"
    assert (in_hand.refresh().state, in_hand.attempts.count()) == (State.READY, 0)


def test_a_job_is_not_cancelled_if_its_worker_was_asked_before_or_has_ended():
    for worker in (make_worker(kill_requested_at=ago(seconds=1)), make_worker(state="lost")):
        job = make_job(State.RUNNING, worker=worker)

        assert kill_worker(worker.pk, job_id=job.pk) is False

        assert job.refresh().cancel_requested_at is None


def test_nothing_is_requested_if_the_job_runs_elsewhere_by_now():
    worker, another = make_worker(), make_worker()
    moved, ended = make_job(State.RUNNING, worker=another), make_job(State.SUCCEEDED, worker=worker)

    assert [kill_worker(worker.pk, job_id=job_id) for job_id in (moved.pk, ended.pk, 987_654)] == [False] * 3

    assert moved.refresh().cancel_requested_at is None
    assert not Worker.objects.filter(kill_requested_at__isnull=False).exists()
