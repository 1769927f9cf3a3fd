"""Why a job is not running: the facts are those of the database, and bounded."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs.models import Job, Limit, Permit, Rollup, Worker
from django_jobs.policy.histogram import bucket_of
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.policy.why_not_running import WaitExplanation, WaitReason
from django_jobs.reasons import render_reason
from django_jobs.store.clock import database_now
from django_jobs.store.doctor import why_not_running as module
from django_jobs.store.doctor.why_not_running import count_ahead, why_not_running
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.limits import facts
from django_jobs.store.limits.admit import admit
from django_jobs.store.queues import pause
from tests import factories
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)


def why(job: Job) -> WaitExplanation:
    reason = why_not_running(job.refresh())
    assert reason is not None
    return reason


def test_a_job_of_the_future_is_not_due() -> None:
    job = factories.make_job(State.SCHEDULED)
    assert why(job) == WaitExplanation(why=WaitReason.NOT_DUE, values={"due": job.run_after})


def test_a_retry_says_which_it_is() -> None:
    job = factories.make_job(State.SCHEDULED, attempt=2)
    factories.make_attempt(job, number=1, claim_number=1, outcome="snoozed")
    factories.make_attempt(job, number=2, claim_number=2)
    reason = why(job)
    assert (reason.why, reason.values["next"], reason.values["max"]) == (WaitReason.RETRY_DUE, 3, 5)


def test_a_job_that_snoozes_says_so() -> None:
    job = factories.make_job(State.SCHEDULED)
    factories.make_attempt(job, outcome="snoozed")
    assert why(job).why is WaitReason.SNOOZED


def test_a_name_that_no_worker_knows_is_reported_with_since_when() -> None:
    since = factories.ago(hours=1)
    reason = why(factories.make_job(State.SCHEDULED, unknown_since=since))
    assert (reason.why, reason.values["since"]) == (WaitReason.NAME_UNKNOWN, since)


def test_what_is_overdue_waits_for_a_worker() -> None:
    job = factories.make_job(State.SCHEDULED, run_after=factories.ago(seconds=1))
    assert why(job).why is WaitReason.DUE_NO_WORKER
    factories.make_worker()
    assert why(job).why is WaitReason.DUE


def test_obstacles_of_a_ready_job_are_named_one_after_the_other() -> None:
    job = factories.make_job(queue_name="mail")
    assert why(job).why is WaitReason.NO_WORKER
    factories.make_worker(queues=["pay"])
    assert why(job).why is WaitReason.NOT_SERVED
    factories.make_worker(queues=["mail"], heartbeat_at=factories.ago(minutes=1))
    assert why(job).why is WaitReason.NOT_SERVED
    factories.make_worker(queues=["mail", "pay"])
    assert why(job).why is WaitReason.FIRST
    pause("mail", by="ada")
    reason = why(job)
    assert (reason.why, reason.values["by"]) == (WaitReason.PAUSED, "ada")


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
    assert why(job) == WaitExplanation(why=WaitReason.BEHIND, values={"queue": "default", "number": 3})


def test_a_job_behind_others_is_told_about_when_its_turn_comes() -> None:
    """From its queue's minutes; before there are any, from the threads that live work leaves free."""
    worker = factories.make_worker(queues=["mail"], concurrency=2)
    factories.make_jobs(120, queue_name="mail")
    job = factories.make_job(queue_name="mail")
    now = database_now()
    assert "turn" not in why(job).values

    Rollup.objects.create(
        span_seconds=600, starts_at=now - timedelta(minutes=20), queue_name="mail", runs={str(bucket_of(2.0)): 1}
    )
    turn = why(job).values["turn"]
    assert turn.second == 0
    assert timedelta(minutes=1) < turn - now < timedelta(minutes=5), "60 of them in a minute"

    factories.make_backlog({"mail": [130] * 12}, ended=6, running=2)
    turn = why(job).values["turn"]
    assert timedelta(minutes=18) < turn - now < timedelta(minutes=23), "six of them in a minute"
    said = render_reason(why(job), instant=lambda instant: f"{instant:%H:%M}")
    assert said == f"Ready, behind 120 other jobs in the queue mail. Its turn comes at about {turn:%H:%M}."

    Worker.objects.filter(pk=worker.pk).update(queues=["other"])
    assert why(job).why is WaitReason.NOT_SERVED


def test_jobs_ahead_are_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 4)
    factories.make_jobs(3, priority=1)
    factories.make_jobs(3)
    assert count_ahead(factories.make_job()) == 5


def test_a_running_job_says_where_it_runs_and_when_its_worker_was_heard() -> None:
    worker = factories.make_worker()
    job = factories.make_job(State.RUNNING, worker=worker)
    reason = why(job)
    assert (reason.why, reason.values["worker"]) == (WaitReason.RUNS, str(worker))
    Job.objects.filter(pk=job.pk).update(cancel_requested_at=factories.ago(seconds=1))
    assert why(job).why is WaitReason.CANCEL_REQUESTED
    Worker.objects.update(heartbeat_at=factories.ago(minutes=1))
    assert why(job).why is WaitReason.WORKER_SILENT
    Worker.objects.update(state="lost")
    assert why(job).why is WaitReason.WORKER_GONE
    Worker.objects.all().delete()
    assert why(job).why is WaitReason.WORKER_GONE


def test_a_job_that_no_worker_has_checked_yet_waits_for_one() -> None:
    job = sample.render.enqueue(1)
    assert why(job).why is WaitReason.ADMITTED_NO_WORKER
    factories.make_worker()
    assert why(job).why is WaitReason.ADMITTED


def test_a_rate_says_how_many_are_in_use_when_the_next_is_free_and_how_many_wait_before() -> None:
    urgent = sample.call_api.using(priority=5).enqueue("stripe")
    jobs = sample.call_api.enqueue_many([("stripe",)] * 4)
    sample.call_api.enqueue("paypal")
    worker = factories.make_worker()
    admit()
    reason = why(jobs[-1])
    assert (reason.why, reason.values["used"], reason.values["ahead"]) == (WaitReason.AT_RATE_IN_USE, 2, 2)
    finish([factories.ended(claim, SUCCEEDED) for claim in factories.take(worker)], worker_id=worker.pk)
    assert urgent.refresh().is_final
    reason = why(jobs[-1])
    free_at = Permit.objects.filter(phase=PermitPhase.COOLING).order_by("free_at").values_list("free_at", flat=True)[0]
    values = {
        "name": sample.call_api.name,
        "key": "stripe",
        "used": 2,
        "capacity": 2,
        "free": free_at,
        "ahead": 2,
    }
    assert (reason.why, reason.values) == (WaitReason.AT_RATE, {"kind": 4, **values})


def test_a_place_that_is_taken_names_who_has_it() -> None:
    jobs = sample.render.enqueue_many([(1,)] * 3)
    admit()
    reason = why(jobs[2])
    assert (reason.why, reason.values["holders"]) == (
        WaitReason.AT_CONCURRENCY,
        f"{jobs[0].pk}, {jobs[1].pk}",
    )
    assert "ahead" not in reason.values


def test_an_order_says_what_the_job_before_is_about() -> None:
    head, second = sample.bill.enqueue_many([(1,), (1,)])
    worker = factories.make_worker()
    admit()
    assert why(second).why is WaitReason.IN_ORDER_WAITS
    (claim,) = factories.take(worker)
    assert why(second).why is WaitReason.IN_ORDER_RUNNING
    finish([factories.ended(claim, factories.failure())], worker_id=worker.pk)
    reason = why(second)
    assert (reason.why, reason.values["holder"]) == (WaitReason.IN_ORDER_NEXT_ATTEMPT, head.pk)
    assert reason.values["due"] == head.refresh().run_after


def test_a_breaker_says_until_when_it_is_open_and_who_attempts() -> None:
    jobs = sample.ask_partner.enqueue_many([("acme",)] * 4)
    worker = factories.make_worker()
    admit()
    claims = factories.take(worker, limit=2)
    finish([factories.ended(claim, factories.failure(retry_in=None)) for claim in claims], worker_id=worker.pk)
    limit = Limit.objects.get()
    reason = why(jobs[3])
    assert (reason.why, reason.values["until"]) == (WaitReason.BREAKER_OPEN, limit.closed_until)
    Limit.objects.update(closed_until=factories.ago(seconds=1), check_at=factories.ago(seconds=1))
    admit()
    reason = why(jobs[3])
    assert (reason.why, reason.values["holders"]) == (WaitReason.BREAKER_HALF_OPEN, str(jobs[2].pk))


def test_what_has_cooled_does_not_count() -> None:
    job = sample.call_api.enqueue_many([("stripe",)] * 3)[-1]
    worker = factories.make_worker()
    admit()
    finish([factories.ended(claim, SUCCEEDED) for claim in factories.take(worker)], worker_id=worker.pk)
    Permit.objects.filter(phase=PermitPhase.COOLING).update(free_at=factories.ago(seconds=1))
    assert why(job).why is WaitReason.ADMITTED


def test_the_waiting_jobs_of_a_limit_are_counted_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MAX_COUNTED", 2)
    jobs = sample.render.enqueue_many([(1,)] * 9)
    urgent = sample.render.using(priority=5).enqueue_many([(1,)] * 6)
    admit()
    now = factories.ago(seconds=0)
    for job, ahead in ((jobs[-1], 3), (jobs[0], 3), (urgent[3], 1)):
        found = facts.limit_facts(job.pk, now=now, using="default")
        assert found is not None
        assert found.ahead == ahead


@pytest.mark.parametrize("name", ["secret_arguments", "all_arguments"])
def test_the_key_of_a_secret_argument_is_masked(name: str, settings: Any) -> None:
    if name == "secret_arguments":
        settings.DJANGO_JOBS = {**settings.DJANGO_JOBS, "REDACT": ["customer"]}
    job = sample.bill.enqueue_many([(4711,), (4711,)])[1]
    admit()
    assert ("4711" in render_reason(why(job), instant=str)) is (name == "all_arguments")


def test_a_job_at_a_limit_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    factories.make_worker()
    last = sample.sync_customer.enqueue_many([(1, "api")] * 12)[-1]
    admit()
    with django_assert_max_num_queries(9):
        assert why_not_running(last) is not None


@pytest.mark.parametrize("state", list(State))
def test_it_takes_few_statements(state: State, django_assert_max_num_queries: Any) -> None:
    factories.make_worker()
    factories.make_jobs(10)
    job = factories.make_job(state, run_after=factories.ago(seconds=0) + timedelta(hours=1))
    with django_assert_max_num_queries(8):
        assert (why_not_running(job) is None) == (state in FINAL_STATES)
