"""Reports of what a worker runs: with the heartbeat, and between two of them only for a run that has become long."""

from __future__ import annotations

import time

import pytest

from django_jobs.models import Worker
from django_jobs.policy.activity import ASYNC, THREAD, ReportedRun, read_activity
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.unanswered_claims import as_claim
from django_jobs.worker.duties.activity import LONG_SECONDS, ActivityReport
from tests import factories
from tests.worker.contexts import RecordedEvents, make_context

from .test_cancel_requests import Executor

pytestmark = pytest.mark.django_db


def test_short_runs_cost_no_statement_and_a_long_one_is_reported_once(django_assert_num_queries):
    worker = factories.make_worker()
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    threads, event_loop = Executor(), Executor()
    activity = ActivityReport(context, threads=threads, event_loop=event_loop)
    for executor in (threads, event_loop):
        job = factories.make_job(State.RUNNING, worker=worker, claim_number=3)
        executor.waiting.append(as_claim(job, now=job.started_at))
        context.active_claims[job.pk] = executor.waiting[0]

    with django_assert_num_queries(0):
        activity.step()
    context.active_claims[0] = threads.waiting[0]  # one in hand
    first = threads.start(seconds_ago=0)
    with django_assert_num_queries(1):
        activity.step()  # the worker has become busy
        activity.step()
    second = event_loop.start(seconds_ago=LONG_SECONDS + 4)
    with django_assert_num_queries(1):
        activity.step()
        activity.step()

    report = read_activity(Worker.objects.get().activity)
    assert report is not None
    assert (report.threads, report.async_runs, report.async_capacity, report.claimed) == (1, 1, 4, 3)
    assert [(run.job_id, run.claim_number, run.place) for run in report.runs] == [
        (second.job_id, 3, ASYNC),
        (first.job_id, 3, THREAD),
    ]
    longest: ReportedRun = report.runs[0]
    assert time.time() - longest.started == pytest.approx(LONG_SECONDS + 4, abs=60)
