"""Explain: the facts are those of the database, and bounded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs.models import Job, Worker
from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.policy.waiting import Reason, Why
from django_jobs.store import explain as module
from django_jobs.store.explain import count_ahead, explain
from django_jobs.store.queues import pause
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def why(job: Job) -> Reason:
    reason = explain(job.refresh())
    assert reason is not None
    return reason


def test_a_job_of_the_future_is_not_due() -> None:
    job = factories.make_job(State.SCHEDULED)
    assert why(job) == Reason(why=Why.NOT_DUE, values={"due": job.run_after})


def test_a_retry_says_which_it_is() -> None:
    job = factories.make_job(State.SCHEDULED, attempt=2)
    factories.make_attempt(job, number=1, claim_number=1, outcome="snoozed")
    factories.make_attempt(job, number=2, claim_number=2)
    reason = why(job)
    assert (reason.why, reason.values["next"], reason.values["most"]) == (Why.RETRY_DUE, 3, 5)


def test_a_job_that_snoozes_says_so() -> None:
    job = factories.make_job(State.SCHEDULED)
    factories.make_attempt(job, outcome="snoozed")
    assert why(job).why is Why.SNOOZED


def test_a_name_that_no_worker_knows_is_said_with_since_when() -> None:
    since = factories.ago(hours=1)
    reason = why(factories.make_job(State.SCHEDULED, held_since=since))
    assert (reason.why, reason.values["since"]) == (Why.NAME_UNKNOWN, since)


def test_what_is_overdue_waits_for_a_worker() -> None:
    job = factories.make_job(State.SCHEDULED, run_after=factories.ago(seconds=1))
    assert why(job).why is Why.DUE_AND_NO_WORKER
    factories.make_worker()
    assert why(job).why is Why.DUE


def test_obstacles_of_a_ready_job_are_named_one_after_the_other() -> None:
    job = factories.make_job(queue_name="mail")
    assert why(job).why is Why.NO_WORKER
    factories.make_worker(queues=["pay"])
    assert why(job).why is Why.NOT_SERVED
    factories.make_worker(queues=["mail"], heartbeat_at=factories.ago(minutes=1))
    assert why(job).why is Why.NOT_SERVED
    factories.make_worker(queues=["mail", "pay"])
    assert why(job).why is Why.FIRST
    pause("mail", by="ada")
    reason = why(job)
    assert (reason.why, reason.values["by"]) == (Why.PAUSED, "ada")


def test_a_job_is_behind_those_of_a_higher_priority_and_those_that_were_ready_before() -> None:
    factories.make_worker()
    instant = factories.ago(minutes=5)
    factories.make_job(priority=1)
    factories.make_job(priority=-1, ready_at=factories.ago(hours=1))
    factories.make_job(ready_at=factories.ago(minutes=6))
    factories.make_job(queue_name="other", ready_at=factories.ago(minutes=6))
    factories.make_job(ready_at=instant)
    job = factories.make_job(ready_at=instant)
    factories.make_job(ready_at=instant)
    factories.make_jobs(2)
    assert why(job) == Reason(why=Why.BEHIND, values={"queue": "default", "number": 3})


def test_no_more_than_so_many_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_COUNTED", 4)
    factories.make_jobs(3, priority=1)
    factories.make_jobs(3)
    assert count_ahead(factories.make_job()) == 5


def test_a_running_job_says_where_it_runs_and_when_its_worker_was_heard() -> None:
    worker = factories.make_worker()
    job = factories.make_job(State.RUNNING, worker=worker)
    reason = why(job)
    assert (reason.why, reason.values["worker"]) == (Why.RUNS, str(worker))
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=factories.ago(seconds=1))
    assert why(job).why is Why.ASKED_TO_END
    Worker.objects.update(heartbeat_at=factories.ago(minutes=1))
    assert why(job).why is Why.WORKER_SILENT
    Worker.objects.update(state="lost")
    assert why(job).why is Why.WORKER_GONE
    Worker.objects.all().delete()
    assert why(job).why is Why.WORKER_GONE


@pytest.mark.parametrize("state", list(State))
def test_it_takes_few_statements(state: State, django_assert_max_num_queries: Any) -> None:
    factories.make_worker()
    factories.make_jobs(10)
    job = factories.make_job(state, run_after=factories.ago(seconds=0) + timedelta(hours=1))
    with django_assert_max_num_queries(6):
        assert (explain(job) is None) == (state in FINAL_STATES)
