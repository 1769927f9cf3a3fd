"""Schedules fired by real workers: once each, over changes of the clocks, whoever is killed."""

from __future__ import annotations

import json
import os
import random
import signal
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from django_jobs.models import CronSchedule, Job, Tick, Worker
from django_jobs.policy.overlap import Overlap
from django_jobs.policy.schedule import ScheduleSpec, TickPolicy, Timing
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.schedules.definitions import save_schedule
from django_jobs.store.schedules.tick import run_schedule
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.factories import make_schedule
from tests.fastclock import VARIABLE, clock_from, fast_now
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SPEED = 30_000
BERLIN = {
    "every quarter of an hour": "*/15 * * * *",
    "in the hour that changes": "30 2 * * *",
    "every second hour": "0 */2 * * *",
    "at midnight": "0 0 * * *",
    "at the end of the month": "59 23 L * *",
    "on the first": "0 0 1 * *",
}
PERIOD = timedelta(minutes=10)


def expected_ticks(after: datetime, until: datetime) -> dict[str, list[datetime]]:
    """Return what each schedule is to fire in ``(after, until]``, by cronsim."""
    berlin = ZoneInfo("Europe/Berlin")
    expected = {
        name: list(
            takewhile(
                lambda instant: instant <= until,
                (one.astimezone(UTC) for one in CronSim(cron, after.astimezone(berlin))),
            )
        )
        for name, cron in BERLIN.items()
    }
    return {**expected, "by period": [after + PERIOD * (at + 1) for at in range((until - after) // PERIOD)]}


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("after", "until"),
    [
        pytest.param("2027-03-27T20:00", "2027-04-01T03:00", id="forward, and over the end of March"),
        pytest.param("2027-10-30T20:00", "2027-11-01T03:00", id="back, and over the end of October"),
    ],
)
def test_three_schedulers_that_are_killed_at_random_fire_each_tick_exactly_once(
    after: str, until: str, start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    begin, end = (datetime.fromisoformat(one).replace(tzinfo=UTC) for one in (after, until))
    expected = expected_ticks(begin, end)
    for name, instants in expected.items():
        # The last tick is expected behind the end, where the clock will have run past it, too.
        timing = {"every": PERIOD} if name == "by period" else {"cron": BERLIN[name], "timezone": "Europe/Berlin"}
        first = instants[0] if instants else end + timedelta(days=1)
        make_schedule(name, overlap="allow", catch_up="all", catch_up_limit=1_000, next_due_at=first, **timing)
    # Not before: a next tick that is further ahead than its period tells of a clock that was set back.
    clock = clock_from(begin, speed=SPEED)
    worker_environment |= {VARIABLE: clock, "DJANGO_JOBS_TEST_APPS": "tests.fastclock"}
    seed = int(os.environ.get("DJANGO_JOBS_TEST_SEED", random.randrange(10**6)))
    print(f"DJANGO_JOBS_TEST_SEED={seed}")
    dice = random.Random(seed)

    workers = [start_worker("--scheduler-only", POLL_INTERVAL=0.05) for _ in range(3)]
    while fast_now(clock) < end:
        moment = fast_now(clock) + timedelta(seconds=SPEED * dice.uniform(0.2, 1.0))
        wait_until(lambda moment=moment: fast_now(clock) >= moment)
        victim = dice.randrange(3)
        workers[victim].kill()
        workers[victim] = start_worker("--scheduler-only", POLL_INTERVAL=0.05)
    wait_until(
        lambda: not CronSchedule.objects.filter(next_due_at__lte=end).exists(),
        "all to be decided",
        seconds=60,
    )

    for worker in workers:
        worker.kill()
    fired = {
        name: list(
            Tick.objects.filter(schedule__name=name, due_at__lte=end)
            .order_by("due_at")
            .values_list("due_at", flat=True)
        )
        for name in expected
    }
    assert fired == expected
    assert set(Tick.objects.values_list("outcome", flat=True)) == {"fired"}
    jobs = {job.pk: job.metadata["due_at"] for job in Job.objects.all()}
    assert len(jobs) == Tick.objects.count(), "each tick has one job and each job one tick"
    assert all(jobs[one.job_id] == one.due_at.isoformat() for one in Tick.objects.all() if one.job_id)


def test_a_worker_fires_what_is_due_and_runs_it(start_worker: StartWorker) -> None:
    make_schedule("poll", every=timedelta(seconds=1), arguments={"region": "us"})
    worker = start_worker()
    wait_until(lambda: Job.objects.filter(state="succeeded").count() >= 3)
    assert worker.stop() == 0
    job = Job.objects.filter(state="succeeded").first()
    assert job is not None
    assert job.result == "us 10"
    ticks = list(Tick.objects.order_by("due_at"))
    assert [one.due_at.microsecond for one in ticks[1:]] == [0] * (len(ticks) - 1), "the first was due by hand"
    assert {one.job_id for one in ticks if one.outcome == "fired"} == set(Job.objects.values_list("pk", flat=True))


def _save_one_due_soon() -> None:
    save_schedule(
        ScheduleSpec(
            timing=Timing(name="soon", every=timedelta(seconds=1)),
            tick_policy=TickPolicy(overlap=Overlap.ALLOW),
            job_name=sample.digest.name,
            arguments={},
            queue_name="default",
            priority=0,
            max_attempts=1,
        )
    )


def test_a_change_wakes_the_scheduler(start_worker: StartWorker) -> None:
    """It sleeps for an hour; on PostgreSQL it is woken, elsewhere it looks every POLL_INTERVAL."""
    make_schedule("later", next_due_at=datetime.now(UTC) + timedelta(hours=1))
    start_worker()
    wait_until(lambda: CronSchedule.objects.filter(defined_at__isnull=False).exists(), "the worker to be in step")
    _save_one_due_soon()
    wait_until(lambda: Job.objects.filter(state="succeeded").exists(), "the one that is due soon to run")


@pytest.mark.skipif(chosen_vendor() != "postgresql", reason="elsewhere it is not woken")
def test_a_change_wakes_a_process_that_only_fires_schedules(start_worker: StartWorker) -> None:
    make_schedule("later", next_due_at=datetime.now(UTC) + timedelta(hours=1))
    worker = start_worker("--scheduler-only", POLL_INTERVAL=600)
    wait_until(lambda: CronSchedule.objects.filter(defined_at__isnull=False).exists(), "the worker to be in step")
    _save_one_due_soon()
    wait_until(Tick.objects.exists, "the one that is due soon to fire")
    assert worker.stop() == 0, worker.output


def test_a_tick_by_hand_that_waits_fires_soon_after_the_jobs_end(start_worker: StartWorker) -> None:
    """The scheduler sleeps until the next tick, an hour away, and has to hear that one waits."""
    row = make_schedule(
        "long",
        job_name=sample.wait_until_asked.name,
        overlap="queue",
        next_due_at=datetime.now(UTC) + timedelta(hours=1),
    )
    start_worker(SHUTDOWN_GRACE=0)
    wait_until(lambda: CronSchedule.objects.filter(defined_at__isnull=False).exists(), "the worker to be in step")
    assert run_schedule(row).outcome == "fired"
    running = Job.objects.filter(state="running")
    first = wait_until(running.first)
    assert run_schedule(row).outcome == "waiting"
    cancel(first)
    wait_until(running.exclude(pk=first.pk).exists, "the one that waited to run")


def test_a_worker_that_only_schedules_runs_no_job_and_is_not_counted_on(start_worker: StartWorker) -> None:
    waiting = sample.echo.enqueue(1)
    make_schedule("due")
    worker = start_worker("--scheduler-only")
    worker.wait_for_line("firing schedules only")
    wait_until(Tick.objects.exists, "the schedule to fire")
    assert set(Job.objects.values_list("state", flat=True)) == {"ready"}
    row = Worker.objects.get()
    assert (row.state, row.concurrency) == ("running", 0)
    health = start_worker("health", command=("jobs",))
    assert health.wait() == 1
    assert "No workers are running" in health.output
    assert worker.stop() == 0
    assert Worker.objects.get().state == "stopped"
    assert waiting.refresh().state == "ready"


def test_a_worker_without_a_scheduler_fires_nothing(start_worker: StartWorker) -> None:
    make_schedule("due")
    worker = start_worker("--no-scheduler")
    worker.wait_for_line("schedules  not fired here")
    assert ended(sample.echo.enqueue(1)) == ["succeeded"]
    assert worker.stop() == 0
    assert not Tick.objects.exists()


def test_a_burst_fires_nothing_and_both_duties_at_once_are_refused(start_worker: StartWorker) -> None:
    make_schedule("due")
    assert start_worker("--burst").wait() == 0
    assert not Tick.objects.exists()
    for both in (("--scheduler-only", "--no-scheduler"), ("--burst", "--scheduler-only")):
        worker = start_worker(*both)
        assert worker.wait() in {1, 2}
        assert "not allowed with" in worker.output or "--burst runs jobs" in worker.output


def test_jobs_tick_fires_once_from_many_places(start_worker: StartWorker) -> None:
    for number in range(10):
        make_schedule(f"s{number}")
    places = [start_worker("tick", "--json", command=("jobs",)) for _ in range(4)]
    assert [one.wait() for one in places] == [0] * 4
    fired = [json.loads(one.output[one.output.index("{") :])["fired"] for one in places]
    assert sum(fired) == Job.objects.count() == 10


@pytest.mark.skipif(
    chosen_vendor() == "sqlite",
    reason="a process that is frozen within a transaction holds SQLite's only lock",
)
def test_a_scheduler_that_is_frozen_holds_up_no_other(start_worker: StartWorker) -> None:
    frozen = start_worker("--scheduler-only")
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    pid = Worker.objects.get().pid
    os.kill(pid, signal.SIGSTOP)
    make_schedule("due")
    start_worker("--scheduler-only")
    wait_until(Tick.objects.exists, "the other to fire")
    os.kill(pid, signal.SIGCONT)
    assert Job.objects.count() == 1
    assert frozen.stop() == 0


def test_what_runs_is_asked_to_end_where_a_schedule_replaces_it(start_worker: StartWorker) -> None:
    make_schedule("replacing", job_name=sample.wait_until_asked.name, overlap="replace", every=timedelta(seconds=2))
    worker = start_worker("--concurrency", "2", SHUTDOWN_GRACE=0)
    replaced = Job.objects.filter(state="cancelled", started_at__isnull=False)
    wait_until(lambda: replaced.count() >= 2, "old runs to end")
    assert worker.stop() == 0
    first = replaced.order_by("pk")[0]
    [attempt] = first.attempts
    assert (attempt.outcome, attempt.error) == ("cancelled", "django_jobs.exceptions.Cancel: asked to")
