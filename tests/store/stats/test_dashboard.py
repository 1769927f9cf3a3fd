"""The dashboard's numbers equal exact counts, in a bounded number of statements, none of which reads a whole table."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import connection  # noqa: F401 - read by the condition of postgresql
from django.db.models import Count, Min

from django_jobs.models import Attempt, DeadLetter, Job, Rollup, RollupPosition
from django_jobs.policy.forecast import Trend
from django_jobs.policy.histogram import bucket_of, percentile
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.rollup import ALL_QUEUES, span_start
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.dead_letters.groups import groups_page
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.stats import dashboard, live_workers
from django_jobs.store.stats.backlog import sample_backlog
from django_jobs.store.stats.dashboard import PERIODS, dashboard_snapshot
from django_jobs.store.stats.rollup import roll_up
from tests.factories import (
    ago,
    ended,
    failure,
    make_attempt,
    make_backlog,
    make_job,
    make_jobs,
    make_letter,
    make_queue,
    make_schedule,
    make_worker,
    take,
)
from tests.plans import fill_tables, whole_table_reads

pytestmark = pytest.mark.django_db
NOW = timedelta(0)
HOUR, DAY, WEEK = PERIODS


def queues(**filters):
    return {queue.name: queue for queue in dashboard_snapshot(**filters).queues}


def test_an_empty_project_has_an_empty_dashboard():
    seen = dashboard_snapshot()

    assert [point.succeeded + point.retried + point.dead for point in seen.series] == [0] * 60
    assert (seen.wait.number, seen.wait.p50, seen.rolled_up_until) == (0, None, None)
    assert (seen.queues, seen.workers, seen.ticks, seen.groups) == ([], [], [], [])
    assert (seen.retries.number, seen.next_retry_at, seen.open_dead_letters.number) == (0, None, 0)


def test_a_period_that_is_none_of_the_three_is_refused():
    with pytest.raises(ValueError, match="1:00:00"):
        dashboard_snapshot(period=timedelta(hours=2))


def test_each_span_has_its_own_percentiles():
    ended_at = ago(minutes=5)
    for seconds in (*[1] * 18, 100, 100):
        started_at = ended_at - timedelta(seconds=seconds / 10)
        make_attempt(
            make_job(State.SUCCEEDED),
            outcome="succeeded",
            ready_at=started_at - timedelta(seconds=seconds),
            started_at=started_at,
            finished_at=ended_at,
        )
    roll_up(min_age=NOW)

    (busy,) = [point for point in dashboard_snapshot().series if point.succeeded]
    assert (busy.wait.number, busy.run.number) == (20, 20)
    assert [busy.wait.p50, busy.wait.p95] == [pytest.approx(1, rel=0.1), pytest.approx(100, rel=0.1)]
    assert [busy.run.p50, busy.run.p95] == [pytest.approx(0.1, rel=0.1), pytest.approx(10, rel=0.1)]
    assert {(point.wait.p50, point.run.p95) for point in dashboard_snapshot().series if not point.succeeded} == {
        (None, None)
    }


def make_history():
    """End attempts over the last ten days, so that each period holds some and leaves some out."""
    now = database_now()
    job = make_job(State.DEAD)
    ages = [0.1, 2, 5, 30, 58, 65, 300, 1_400, 1_500, 5_000, 9_900, 10_200, 14_000]
    for number, minutes in enumerate(ages):
        finished = now - timedelta(minutes=minutes)
        started = finished - timedelta(seconds=0.01 * 3**number)
        make_attempt(
            job,
            claim_number=number,
            outcome=("succeeded", "failed", "succeeded", "lost")[number % 4],
            ready_at=started - timedelta(seconds=2**number),
            started_at=started,
            finished_at=finished,
        )
        if number % 4 == 3:
            make_letter(job, died_at=finished)
    return now


@pytest.mark.parametrize("period", PERIODS)
def test_throughput_and_durations_equal_an_exact_count(period):
    make_history()
    roll_up(min_age=NOW)
    seen = dashboard_snapshot(period=period)

    end = seen.series[0].starts_at + period
    tries = [
        attempt
        for attempt in Attempt.objects.filter(finished_at__gte=seen.series[0].starts_at)
        if attempt.finished_at < end
    ]
    kinds = Counter(attempt.outcome for attempt in tries)
    died = DeadLetter.objects.filter(died_at__gte=seen.series[0].starts_at).count()
    assert len(tries) > 2
    assert (seen.totals.succeeded, seen.totals.retried, seen.totals.dead) == (
        kinds["succeeded"],
        kinds["failed"],
        died,
    )
    for told, durations in (
        (seen.wait, [attempt.waited.total_seconds() for attempt in tries]),
        (seen.run, [attempt.duration.total_seconds() for attempt in tries]),
    ):
        exact = Counter(map(bucket_of, durations))
        assert told.number == len(tries)
        assert (told.p50, told.p95, told.p99) == tuple(percentile(exact, share) for share in (0.5, 0.95, 0.99))


@pytest.mark.parametrize(("period", "points", "seconds"), [(HOUR, 60, 60), (DAY, 144, 600), (WEEK, 168, 3600)])
def test_a_series_has_a_point_for_every_span_the_current_one_last(period, points, seconds):
    make_history()
    roll_up(min_age=NOW)
    seen = dashboard_snapshot(period=period)

    starts = [point.starts_at for point in seen.series]
    assert (len(starts), seen.span_seconds) == (points, seconds)
    assert {second - first for first, second in pairwise(starts)} == {timedelta(seconds=seconds)}
    assert starts[-1] <= seen.now < starts[-1] + timedelta(seconds=seconds)
    for point in seen.series:
        number = sum(
            point.starts_at <= attempt.finished_at < point.starts_at + timedelta(seconds=seconds)
            for attempt in Attempt.objects.filter(outcome="succeeded")
        )
        assert point.succeeded == number


def test_arrivals_follow_from_the_levels_at_both_ends_and_what_ended_between():
    worker = make_worker()
    now = database_now()
    this_minute = span_start(now.timestamp(), 60)
    for back, (waiting, running, succeeded) in enumerate([(40, 2, 0), (25, 4, 10), (0, 0, 3), (0, 0, 0)]):
        row = {"waiting": waiting, "running": running, "max_waiting": waiting, "succeeded": succeeded}
        starts_at = this_minute - timedelta(minutes=back)
        Rollup.objects.create(span_seconds=60, starts_at=starts_at, queue_name=ALL_QUEUES, **row)
    RollupPosition.objects.create(source="attempts", seen_at=now)

    def seen():
        points = {point.starts_at: point for point in dashboard_snapshot().series}
        return [points[this_minute - timedelta(minutes=back)] for back in (4, 3, 2, 1, 0)]

    points = seen()
    assert [point.arrived for point in points] == [None, 0, 3 + 25 + 4, 10 + 40 + 2 - 25 - 4, None]
    assert [point.waiting for point in points] == [None, 0, 0, 25, 40]

    make_attempt(make_job(worker=worker), finished_at=this_minute - timedelta(seconds=30))
    points = seen()
    assert [point.arrived for point in points] == [None, 0, 32, None, None], "not all that ended is rolled up"


def test_arrivals_equal_what_was_enqueued_whatever_the_jobs_did_then():
    """Retries arrive anew, snoozed and scheduled jobs when they are due, and a released job has not arrived twice."""
    worker = make_worker()
    now = database_now()
    minute = span_start(now.timestamp(), 60) - timedelta(minutes=5)
    make_jobs(4)

    def sample(at):
        RollupPosition.objects.filter(pk="backlog").update(seen_at=None)
        assert sample_backlog(at)

    sample(minute)
    make_jobs(6)
    make_jobs(5, State.SCHEDULED)
    claims = take(worker, 7)
    outcomes = [Succeeded(), Succeeded(), failure(), failure(retry_in=None)]
    assert len(finish([ended(*pair) for pair in zip(claims, outcomes, strict=False)], worker_id=worker.pk)) == 4
    finished = minute + timedelta(seconds=30)
    Attempt.objects.update(finished_at=finished, started_at=finished)
    DeadLetter.objects.update(died_at=finished)
    sample(minute + timedelta(minutes=1))
    roll_up(min_age=NOW)

    (point,) = [point for point in dashboard_snapshot().series if point.starts_at == minute]
    assert (point.succeeded, point.retried, point.dead, point.arrived) == (2, 1, 1, 6)


def test_each_queue_has_its_forecast():
    make_worker(queues=["down", "up", "idle", "paused", "capped"], concurrency=4)
    make_queue("paused", paused_at=ago(hours=1))
    for name in ("down", "up", "paused", "alone"):
        make_jobs(5, queue_name=name)
    make_backlog(
        {
            "down": [905 - 100 * at for at in range(10)],
            "up": [5 + at for at in range(10)],
            "paused": [5] * 10,
            "alone": [5] * 10,
        }
    )
    found = {name: queue.forecast for name, queue in queues().items()}
    assert {name: forecast.trend.value for name, forecast in found.items()} == {
        "down": "emptying", "up": "growing", "paused": "paused", "alone": "no_worker",
    }  # fmt: skip
    assert found["down"].empty_at > database_now()
    assert found["up"].per_minute == 1
    make_worker(queues=[], heartbeat_at=ago(hours=1))
    assert queues()["alone"].forecast.trend is Trend.NO_WORKER
    make_worker(queues=[])
    assert queues()["alone"].forecast.trend is Trend.STEADY


def test_a_minute_in_which_a_queue_has_no_row_is_one_in_which_it_was_empty():
    make_worker()
    make_jobs(50, queue_name="new")
    make_backlog({"other": [7] * 10, "new": [90, 80, 70]})
    found = queues()["new"].forecast
    assert found.trend is Trend.UNKNOWN, "it began anew three minutes ago"
    assert queues()["new"].waiting.number == 50


def test_the_snapshot_has_the_time_until_which_it_counted():
    assert dashboard_snapshot().rolled_up_until is None
    make_attempt(make_job(), finished_at=ago(minutes=5))
    roll_up(min_age=NOW)
    assert dashboard_snapshot().rolled_up_until > ago(minutes=1)

    RollupPosition.objects.update(seen_at=ago(hours=1))
    assert dashboard_snapshot().rolled_up_until > ago(minutes=1), "an idle worker has nothing to save"

    uncounted = make_attempt(make_job(), finished_at=ago(minutes=1))
    roll_up(min_age=timedelta(hours=1))
    assert dashboard_snapshot().rolled_up_until == uncounted.finished_at


def test_each_queue_has_depth_age_running_rate_and_pause():
    make_queue("idle")
    make_queue("mail", paused_at=ago(hours=1), paused_by="ada")
    make_jobs(3, queue_name="mail", ready_at=ago(minutes=5))
    make_job(queue_name="default", priority=5, ready_at=ago(minutes=1))
    make_job(queue_name="default", priority=0, ready_at=ago(minutes=2))
    make_jobs(2, State.RUNNING, queue_name="default")
    make_job(State.SCHEDULED, queue_name="default")
    minute = database_now().replace(second=0, microsecond=0)
    for at in (-0.5, 0.5, 9.5, 10.5):
        make_attempt(
            make_job(State.SUCCEEDED, queue_name="mail"),
            outcome="succeeded",
            finished_at=minute - timedelta(minutes=at),
        )
    roll_up(min_age=NOW)

    seen = queues()

    assert list(seen) == ["default", "idle", "mail"]
    assert (seen["mail"].waiting.number, seen["mail"].running, seen["mail"].paused_by) == (3, 0, "ada")
    assert seen["mail"].paused_at is not None
    assert seen["mail"].oldest_seconds == pytest.approx(300, abs=30)
    assert seen["mail"].per_minute == 0.2
    assert (seen["default"].waiting.number, seen["default"].running) == (2, 2)
    assert seen["default"].oldest_seconds == pytest.approx(120, abs=30)
    assert (seen["idle"].waiting.number, seen["idle"].oldest_seconds, seen["idle"].per_minute) == (0, None, 0)


def test_depth_is_counted_up_to_a_bound_and_the_oldest_is_still_found(monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 4)
    make_jobs(4, queue_name="full")
    make_jobs(5, queue_name="over", priority=0)
    make_job(queue_name="over", priority=10, ready_at=ago(hours=1))

    seen = queues()

    assert (seen["full"].waiting.number, seen["full"].waiting.is_more) == (4, False)
    assert (seen["over"].waiting.number, seen["over"].waiting.is_more) == (4, True)
    assert seen["over"].oldest_seconds == pytest.approx(3600, abs=30)


def test_queues_beyond_a_bound_are_left_out_and_reported_as_truncated(monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_QUEUES", 2)
    for name in "abc":
        make_queue(name)

    seen = dashboard_snapshot()

    assert [queue.name for queue in seen.queues] == ["a", "b"]
    assert seen.are_queues_truncated


def test_workers_have_their_running_jobs():
    worker = make_worker(hostname="web1", queues=["mail"], memory_bytes=5_000_000)
    job = make_job(State.RUNNING, worker=worker, progress_done=3, progress_total=10, progress_message="on it")
    stale = make_worker(heartbeat_at=ago(minutes=1), state="stopping", stop_requested_at=ago(minutes=2))
    for state in ("stopped", "lost"):
        make_worker(state=state)

    one, other = dashboard_snapshot().workers

    assert (one.worker_id, one.hostname, one.queues, one.is_stale) == (worker.pk, "web1", ["mail"], False)
    (running,) = one.running
    assert (running.job_id, running.name, running.since) == (job.pk, "sample", job.started_at)
    assert (running.progress_done, running.progress_total, running.progress_message) == (3, 10, "on it")
    assert (other.worker_id, other.is_stale, other.running) == (stale.pk, True, [])
    assert other.stop_requested_at is not None


def test_running_jobs_beyond_the_listed_ones_are_counted(monkeypatch):
    monkeypatch.setattr(live_workers, "MAX_CLAIMED", 2)
    worker = make_worker()
    make_jobs(3, State.RUNNING, worker=worker)

    seen = dashboard_snapshot()

    assert (seen.running, len(seen.workers[0].running)) == (3, 2)
    assert seen.queues[0].running == 3


def test_pending_retries_are_counted_with_the_time_of_the_next(monkeypatch):
    soon = ago(minutes=-1)
    make_job(State.SCHEDULED, attempt=2, run_after=ago(minutes=-9))
    make_job(State.SCHEDULED, attempt=1, run_after=soon)
    make_job(State.SCHEDULED, run_after=ago(seconds=-1))

    seen = dashboard_snapshot()
    assert (seen.retries.number, seen.scheduled.number, seen.next_retry_at) == (2, 3, soon)
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 2)
    seen = dashboard_snapshot()
    assert (seen.scheduled.number, seen.scheduled.is_more, seen.retries.is_more) == (2, True, True)


def test_the_next_ticks_come_in_their_order_without_those_of_paused_schedules():
    for minutes in range(12, 0, -1):
        make_schedule(f"in {minutes}", next_due_at=ago(minutes=-minutes))
    make_schedule("paused", next_due_at=None, next_check_at=None)

    assert [tick.schedule_name for tick in dashboard_snapshot().ticks] == [f"in {minutes}" for minutes in range(1, 11)]


def test_open_dead_letters_are_counted_to_a_bound(monkeypatch):
    for _ in range(3):
        make_letter()
    make_letter(status="redriven")

    assert dashboard_snapshot().open_dead_letters == dashboard.BoundedCount(number=3)
    assert dashboard_snapshot().groups == groups_page().rows
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 2)
    assert dashboard_snapshot().open_dead_letters == dashboard.BoundedCount(number=2, is_more=True)


def test_more_open_dead_letters_are_counted_exactly_by_their_groups(monkeypatch):
    monkeypatch.setattr(dashboard, "MAX_COUNTED", 2)
    letters = [make_letter(fingerprint=f"{at % 3:032}") for at in range(7)]
    roll_up(min_age=NOW)
    resolve(letters[0], by="ada")
    newer = [make_letter() for _ in range(2)]

    assert dashboard_snapshot().open_dead_letters == dashboard.BoundedCount(number=8)
    resolve(newer[0], by="ada")
    assert dashboard_snapshot().open_dead_letters == dashboard.BoundedCount(number=7)
    roll_up(min_age=NOW)
    assert dashboard_snapshot().open_dead_letters == dashboard.BoundedCount(number=7)


def test_the_dashboard_shows_what_the_engine_did():
    worker = make_worker()
    for outcome in [Succeeded()] * 5 + [failure()] * 3 + [failure(retry_in=None)] * 2:
        make_job()
        (claim,) = take(worker)
        finish([ended(claim, outcome)], worker_id=worker.pk)
    make_jobs(4)
    roll_up(min_age=NOW)

    seen = dashboard_snapshot()

    states = dict(Job.objects.order_by().values_list("state").annotate(Count("pk")))
    assert states == {"succeeded": 5, "scheduled": 3, "dead": 2, "ready": 4}
    assert (seen.totals.succeeded, seen.totals.retried, seen.totals.dead) == (5, 3, 2)
    assert (seen.wait.number, seen.run.number) == (10, 10)
    assert seen.queues[0].waiting.number == 4
    assert seen.retries.number == 3
    assert seen.next_retry_at == Job.objects.filter(state="scheduled").aggregate(first=Min("run_after"))["first"]
    assert [(group.open, group.total) for group in seen.groups] == [(2, 2)]
    assert seen.open_dead_letters.number == 2


@pytest.mark.parametrize("number", [2, 50])
def test_eighteen_statements_however_many_queues_and_workers(number, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(live_workers, "MAX_CLAIMED", 1)
    for at in range(number):
        make_queue(f"queue{at}")
        make_jobs(2, queue_name=f"queue{at}", priority=at % 3)
        make_attempt(make_job(State.RUNNING, queue_name=f"queue{at}"))
        make_letter(fingerprint=f"{at:032}", queue_name=f"queue{at}")
        make_schedule(f"schedule {at}")
    roll_up(min_age=NOW)
    make_letter(fingerprint="f" * 32, queue_name="queue0")

    with django_assert_max_num_queries(18):
        seen = dashboard_snapshot()
    assert len(seen.queues) == number
    assert len(seen.groups) == min(number + 1, 10)


def postgresql(test):
    """Mark a test of plans; in no transaction, because VACUUM is not possible in one."""
    only = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="reads plans of PostgreSQL")
    return pytest.mark.django_db(transaction=True)(only(test))


@postgresql
def test_no_statement_of_a_rollup_the_dashboard_or_the_groups_page_reads_a_whole_table():
    fill_tables()
    assert whole_table_reads(lambda: roll_up(min_age=NOW)) == []

    while roll_up(min_age=NOW):
        pass
    make_letter()
    assert whole_table_reads(lambda: live_workers.usual_run_times({"job1", "job2"})) == []
    for period in PERIODS:
        assert whole_table_reads(lambda period=period: dashboard_snapshot(period=period)) == [], period
    assert whole_table_reads(lambda: groups_page(status="all", job_name="job1")) == []
