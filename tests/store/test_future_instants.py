"""The database's clock was set back an hour: whatever was an hour ahead of it is clamped to its own span."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from django_jobs.models import (
    AlertHistory,
    Batch,
    CronSchedule,
    Deploy,
    EnqueueKey,
    Job,
    Limit,
    Permit,
    RollupPosition,
    Tick,
    Worker,
)
from django_jobs.policy.limits import CircuitBreaker, Concurrency, PermitPhase, RateLimit
from django_jobs.policy.outcomes import SUCCEEDED, Snoozed
from django_jobs.policy.schedule import ScheduleSpec, TickPolicy, Timing
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.deploys import newest_deploys, record_deploy
from django_jobs.store.future_instants import future_instants
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.rescue import rescue
from django_jobs.store.schedules.definitions import sync_schedules
from django_jobs.store.schedules.tick import tick
from django_jobs.store.workers import mark_lost_workers
from tests.admission import admit_all
from tests.concurrency import wait_until
from tests.factories import (
    RULES,
    ago,
    ended,
    failure,
    make_alerted_error,
    make_attempt,
    make_batch,
    make_job,
    make_limit,
    make_permit,
    make_schedule,
    make_worker,
    take,
)
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)


def ahead(**duration: float) -> datetime:
    return database_now() + timedelta(**duration)


def clamp(*, dry: bool = False) -> dict[str, int]:
    """Walk through all tables and return how many instants of each kind were too far ahead."""
    found = {}
    for kind in future_instants(unknown_delay=timedelta(seconds=30)):
        number, position = kind.clamp(after=kind.start, dry=dry)
        while position is not None:
            further, position = kind.clamp(after=position, dry=dry)
            number += further
        found[kind.name] = number
    return {name: number for name, number in found.items() if number}


def set_back() -> None:
    """Do what a clock that is set back by an hour does: move all that was written an hour ahead of it."""
    for model in (AlertHistory, Batch, CronSchedule, Deploy, EnqueueKey, Job, Limit, Permit, RollupPosition, Worker):
        columns = [field.name for field in model._meta.fields if field.get_internal_type() == "DateTimeField"]
        for row in model._base_manager.values("pk", *columns):
            later = {name: row[name] + HOUR for name in columns if row[name] is not None}
            model._base_manager.filter(pk=row["pk"]).update(**later)
    for limit in Limit.objects.all():
        failures = [at + HOUR.total_seconds() for at in limit.failures]
        Limit.objects.filter(pk=limit.pk).update(failures=failures)
    for job in Job.objects.all():
        for attempt in job.attempts:
            job.attempts.filter(pk=attempt.pk).update(finished_at=attempt.finished_at + HOUR)


def run(outcome=SUCCEEDED) -> None:
    worker = make_worker()
    finish([ended(claim, outcome) for claim in take(worker)], worker_id=worker.pk)


def is_about(instant: datetime | None, expected: datetime) -> bool:
    return instant is not None and abs(instant - expected) < timedelta(seconds=30)


def test_a_worker_killed_before_the_step_is_lost_as_soon_as_any_other():
    dead, alive = make_worker(), make_worker()
    job = make_job(State.RUNNING, worker=dead)
    set_back()
    assert clamp(dry=True) == {"heartbeats": 2}

    assert mark_lost_workers(stale_after=timedelta(seconds=15), exclude_id=alive.pk) == 0
    dead.refresh_from_db()
    assert dead.heartbeat_at <= database_now() + SECOND
    Worker.objects.filter(pk=dead.pk).update(heartbeat_at=ago(seconds=16))
    assert mark_lost_workers(stale_after=timedelta(seconds=15), exclude_id=alive.pk) == 1
    assert rescue(rules=RULES) == 1
    assert job.refresh().state == State.READY


def test_a_heartbeat_of_now_is_left_alone():
    worker = make_worker()
    assert clamp() == {}
    before = worker.heartbeat_at
    worker.refresh_from_db()
    assert worker.heartbeat_at == before


@pytest.mark.parametrize("counts_from", ["end", "start"])
def test_a_use_under_a_rate_limit_counts_no_longer_than_its_window(counts_from):
    limit = make_limit(RateLimit(1, per=timedelta(seconds=10), counts_from=counts_from), check_at=ahead(seconds=3_605))
    use = make_permit(limit, make_job(State.SUCCEEDED), phase=PermitPhase.COOLING, free_at=ahead(seconds=3_605))
    waiting = make_permit(limit)

    assert clamp() == {"uses under rate limits": 1, "closed limits and their checks": 1}
    use.refresh_from_db()
    assert is_about(use.free_at, ahead(seconds=10))
    admit_all()
    limit.refresh_from_db()
    assert limit.check_at == use.free_at
    Permit.objects.filter(free_at__isnull=False).update(free_at=ago(seconds=1))
    Limit.objects.update(check_at=ago(seconds=1))
    admit_all()
    assert waiting.job.refresh().state == State.READY


def test_uses_within_their_window_are_left_alone():
    limit = make_limit(RateLimit(1, per=HOUR), check_at=ahead(minutes=59))
    make_permit(limit, make_job(State.SUCCEEDED), phase=PermitPhase.COOLING, free_at=ahead(minutes=59))
    assert clamp() == {}


def test_an_open_breaker_tests_again_after_its_time():
    sample.ask_partner.enqueue_many([("acme",)] * 3)
    admit_all()
    run(failure(retry_in=None))
    set_back()
    assert clamp()["closed limits and their checks"] == 1
    limit = Limit.objects.get()
    assert is_about(limit.closed_until, ahead(hours=1))
    assert is_about(limit.closed_at, database_now())


def test_failures_of_a_breaker_do_not_count_for_longer():
    rule = CircuitBreaker(failures=3, within=timedelta(minutes=1))
    limit = make_limit(rule, failures=[ago(seconds=5).timestamp(), ahead(hours=1).timestamp()])
    assert clamp() == {"closed limits and their checks": 1}
    limit.refresh_from_db()
    assert len(limit.failures) == 2
    assert max(limit.failures) <= database_now().timestamp()


def test_a_rate_limit_closed_by_its_partner_opens_after_the_time_that_was_asked_for():
    sample.call_api.enqueue("stripe")
    admit_all()
    run(Snoozed(delay=timedelta(minutes=10), closes_limit=True))
    set_back()
    clamp()
    assert is_about(Limit.objects.get().closed_until, ahead(minutes=10))


def test_a_limit_without_a_span_is_checked_at_once():
    limit = make_limit(Concurrency(1), check_at=ahead(hours=1))
    waiting = make_permit(limit)
    clamp()
    admit_all()
    assert waiting.job.refresh().state == State.READY


@pytest.mark.parametrize("outcome", [failure(retry_in=timedelta(minutes=5)), Snoozed(delay=timedelta(minutes=5))])
def test_a_retry_is_as_far_ahead_as_it_was(outcome):
    job = make_job()
    run(outcome)
    set_back()
    assert clamp()["retries"] == 1
    assert is_about(job.refresh().run_after, ahead(minutes=5))


def test_what_a_caller_asked_for_is_left_alone():
    jobs = [
        sample.do_nothing.using(run_after=timedelta(hours=2)).enqueue(),
        sample.do_nothing.using(run_after=ahead(days=30), expires_at=ahead(days=31)).enqueue(),
        sample.sync.enqueue(7),
    ]
    retried = make_job(State.SCHEDULED, run_after=ahead(days=2), claim_number=1)
    make_attempt(retried, claim_number=1, finished_at=ago(seconds=1))
    before = [job.refresh().run_after for job in [*jobs, retried]]
    assert clamp() == {}
    assert [job.refresh().run_after for job in [*jobs, retried]] == before


def test_a_retry_that_was_written_after_the_step_is_left_alone():
    """Its worker had not heard of the step yet, and the database had."""
    job = make_job(State.SCHEDULED, run_after=ahead(seconds=5), claim_number=1)
    make_attempt(job, claim_number=1, finished_at=ahead(hours=1))
    assert clamp() == {}


def test_a_job_of_an_unknown_name_is_tried_again_after_its_delay():
    job = make_job(State.SCHEDULED, run_after=ahead(seconds=3_630), unknown_since=ahead(hours=1), claim_number=1)
    assert clamp() == {"retries": 1}
    assert is_about(job.refresh().run_after, ahead(seconds=30))
    assert is_about(job.unknown_since, database_now())


def test_retries_are_found_among_many_jobs(monkeypatch):
    monkeypatch.setattr("django_jobs.store.lifecycle.future_instants.WINDOW", 2)
    for minutes in range(5):
        make_job(State.SCHEDULED, run_after=ahead(minutes=60 + minutes))
    retried = make_job(State.SCHEDULED, run_after=ahead(minutes=70), claim_number=1)
    make_attempt(retried, claim_number=1, finished_at=ahead(minutes=60))
    assert clamp(dry=True) == {"retries": 1}
    assert clamp() == {"retries": 1}
    assert is_about(retried.refresh().run_after, ahead(minutes=10))


def test_an_idempotency_key_holds_for_its_window():
    sample.echo.using(idempotency_key="a", idempotency_window=timedelta(minutes=10)).enqueue()
    sample.echo.using(idempotency_key="b", idempotency_window=timedelta(days=10)).enqueue()
    EnqueueKey.objects.filter(key="a").update(acquired_at=ahead(hours=1), expires_at=ahead(minutes=70))
    assert clamp() == {"idempotency keys": 1}
    key = EnqueueKey.objects.get(key="a")
    assert is_about(key.expires_at, ahead(minutes=10))
    assert is_about(key.acquired_at, database_now())


def test_a_builder_that_died_before_the_step_is_noticed():
    batch = make_batch(state="open", closed_at=None)
    set_back()
    assert clamp() == {"activity of batches": 1}
    batch.refresh_from_db()
    assert is_about(batch.last_activity_at, database_now())


def test_alerts_and_rollups_go_on():
    make_alerted_error()
    RollupPosition.objects.create(source="attempts", seen_at=database_now())
    set_back()
    assert clamp() == {"alerts": 1, "positions of the rollup": 1}
    assert clamp() == {}


def test_a_deploy_ahead_of_the_clock_hides_none_that_comes_after_it():
    def deploy(release: str) -> bool:
        return record_deploy(release, projects=["shop"], running_for=timedelta(0), stale_after=15 * SECOND)

    assert deploy("1")
    assert deploy("2")
    set_back()
    assert clamp() == {"deploys": 2}
    clamped = newest_deploys(limit=1)[0].first_seen_at
    wait_until(lambda: database_now() > clamped)  # SQLite's clock has milliseconds
    assert deploy("1"), "taken back"
    assert deploy("3")
    assert [found.release for found in newest_deploys(limit=5)] == ["3", "1", "2", "1"]


class TestSchedules:
    def test_a_schedule_fires_at_its_next_tick_and_none_twice(self):
        schedule = make_schedule(cron="* * * * *", next_due_at=ahead(hours=1))
        assert clamp() == {"next ticks of schedules": 1}
        schedule.refresh_from_db()
        assert schedule.next_due_at == Timing(name="", cron="* * * * *").next(database_now())
        assert schedule.next_check_at == schedule.next_due_at

        Tick.objects.create(schedule=schedule, due_at=schedule.next_due_at, decided_at=ahead(hours=1), outcome="fired")
        past = schedule.next_due_at - timedelta(minutes=1)
        CronSchedule.objects.update(next_due_at=past, next_check_at=past)
        Tick.objects.update(due_at=past)
        assert tick().fired == 0

    @pytest.mark.parametrize("times", [{"every": timedelta(hours=2)}, {"cron": "@yearly"}])
    def test_a_schedule_that_waits_for_its_next_tick_is_left_alone(self, times):
        schedule = make_schedule(**times)
        due_at = schedule.timing.next(database_now())
        CronSchedule.objects.update(next_due_at=due_at, next_check_at=due_at)
        assert clamp() == {}

    @pytest.mark.parametrize("unfit", [{"cron": "soon"}, {"timezone": "Nowhere/Land"}])
    def test_a_broken_schedule_is_left_to_the_scheduler(self, unfit):
        make_schedule(**unfit, next_due_at=ahead(hours=1))
        assert clamp() == {}

    def test_code_that_starts_after_the_step_is_the_newest(self):
        def spec(cron: str) -> ScheduleSpec:
            return ScheduleSpec(
                timing=Timing(name="nightly", cron=cron),
                tick_policy=TickPolicy(),
                job_name=sample.digest.name,
                arguments={},
                queue_name="default",
                priority=0,
                max_attempts=5,
            )

        sync_schedules([spec("0 2 * * *")], judge=spec_from_staff, started_at=database_now())
        set_back()
        synced = sync_schedules([spec("0 3 * * *")], judge=spec_from_staff, started_at=ago(seconds=2))
        assert synced.changed == ["nightly"]
        assert is_about(CronSchedule.objects.get().defined_at, database_now())


spec_from_staff: Callable[[CronSchedule], ScheduleSpec] = pytest.fail
