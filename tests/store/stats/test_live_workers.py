"""What workers do now: begun runs, the longest first, jobs in hand, and runs that take unusually long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_jobs.models import Job, Worker
from django_jobs.operations import dashboard_snapshot, why_not_running
from django_jobs.policy.activity import THREAD, Activity, Load, ReportedRun
from django_jobs.policy.states import State
from django_jobs.store.stats.live_workers import MIN_ATTEMPTS, usual_run_times
from tests.factories import ago, make_attempt, make_job, make_jobs, make_worker

pytestmark = pytest.mark.django_db


def report(worker: Worker, *begun: tuple[Job, float]) -> None:
    """Save that the worker has begun these jobs so many seconds ago, each in a thread."""
    runs = tuple(ReportedRun(job.pk, job.claim_number, ago(seconds=age).timestamp(), THREAD) for job, age in begun)
    activity = Activity(threads=len(runs), async_capacity=100, claimed=len(runs), runs=runs)
    Worker.objects.filter(pk=worker.pk).update(activity=activity.as_json())


def test_jobs_that_have_not_begun_are_in_hand_and_the_longest_run_is_first():
    worker = make_worker(concurrency=2)
    new, old = (make_job(State.RUNNING, worker=worker, claim_number=1, started_at=ago(hours=1)) for _ in range(2))
    waiting = make_job(State.RUNNING, worker=worker, claim_number=1, started_at=ago(minutes=1))
    gone = make_job(State.SUCCEEDED, worker=worker)
    report(worker, (new, 5), (old, 500), (gone, 900))

    seen = dashboard_snapshot()

    (status,) = seen.workers
    assert (status.load, seen.running, seen.in_hand) == (Load(3, 0, 0), 3, 0), "a third may run since the report"
    assert [job.job_id for job in status.running] == [old.pk, new.pk]
    assert status.running[0].since == pytest.approx(ago(seconds=500), abs=timedelta(seconds=30))

    report(worker, (new, 5), (old, 500))
    seen = dashboard_snapshot()
    assert (seen.workers[0].load, seen.running, seen.in_hand) == (Load(2, 0, 1), 2, 1)
    assert [job.refresh().run_started_at is None for job in (new, old, waiting)] == [False, False, True]
    assert [why_not_running(job).why for job in (old, waiting)] == ["runs", "in_hand"]


def test_a_report_of_an_earlier_run_of_a_job_says_nothing_about_this_one():
    worker = make_worker()
    job = make_job(State.RUNNING, worker=worker, claim_number=1)
    report(worker, (job, 50))
    Job.objects.filter(pk=job.pk).update(claim_number=2)

    assert dashboard_snapshot().workers[0].running == []
    assert job.refresh().run_started_at is None


def test_a_worker_that_reports_nothing_has_begun_what_it_claimed():
    """Workers of an older version, during a deploy."""
    job = make_job(State.RUNNING, worker=make_worker(activity=None))

    (status,) = dashboard_snapshot().workers

    assert (status.load, status.async_capacity) == (Load(1, 0, 0), None)
    assert [run.since for run in status.running] == [job.started_at] == [job.run_started_at]


def test_a_run_is_long_beyond_the_last_runs_of_its_name():
    ended = ago(minutes=1)
    for seconds in range(MIN_ATTEMPTS):
        for name in ("quick", "slow"):
            factor = 1 if name == "quick" else 1_000
            make_attempt(
                make_job(State.SUCCEEDED, name=name),
                outcome="succeeded",
                started_at=ended - timedelta(seconds=factor * seconds),
                finished_at=ended,
            )
    make_attempt(make_job(name="rare"), outcome="succeeded", started_at=ended, finished_at=ended)
    worker = make_worker()
    names = ("quick", "slow", "rare")
    jobs = [make_job(State.RUNNING, name=name, worker=worker, claim_number=1) for name in names]
    report(worker, *((job, 300) for job in jobs))

    running = dashboard_snapshot().workers[0].running

    assert {job.name: job.is_long for job in running} == {"quick": True, "slow": False, "rare": False}
    assert usual_run_times({"quick"})["quick"] == pytest.approx(timedelta(seconds=19), rel=0.1)


def test_what_is_usual_is_read_from_a_bounded_number_of_attempts(monkeypatch, django_assert_num_queries):
    monkeypatch.setattr("django_jobs.store.stats.live_workers.NEWEST_ATTEMPTS", MIN_ATTEMPTS - 1)
    for job in make_jobs(MIN_ATTEMPTS, State.SUCCEEDED):
        make_attempt(job, outcome="succeeded", started_at=ago(minutes=1), finished_at=ago(minutes=1))

    with django_assert_num_queries(1):
        assert usual_run_times({"sample"}) == {}
    with django_assert_num_queries(0):
        assert usual_run_times(set()) == {}
