"""How fast ten thousand schedules fire that are due at one instant, and how exactly one fires every second.

Counted from the instant at which they are due to the one at which the jobs are ready, by the database's clock.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta

from django.db.models import Max

from django_jobs.models import CronSchedule, Job, Tick
from django_jobs.store.clock import database_now

from ..jobs import noop
from ..queue_names import QUEUE
from ..worker import WorkerProcess
from .latency import percentiles
from .place import Figures, Place

START_SECONDS = 8.0
"""By then the worker has started and judged each row."""
LONGEST_SECONDS = 120.0
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
EXPRESSIONS = tuple(f"{minute} {hour} * * *" for minute in (0, 30) for hour in range(0, 24, 5))


def engine_many(place: Place) -> Figures:
    """Have all fire at once: some fifty different expressions and zones, each schedule with arguments of its own."""
    place.empty_engine()
    number = place.sizes.schedules
    due_at = database_now() + timedelta(seconds=START_SECONDS + number / 2_000)
    CronSchedule.objects.bulk_create(
        (_schedule(at, due_at) for at in range(number)),
        batch_size=1_000,
    )
    with WorkerProcess(QUEUE, arguments=["--scheduler-only"]) as worker:
        _wait_for_ticks(worker, number)
    last = Job.objects.aggregate(last=Max("ready_at"))["last"]
    seconds = (last - due_at).total_seconds()
    return {"seconds": seconds, "ticks_per_second": number / seconds}


def engine_on_time(place: Place) -> Figures:
    """Have one fire every second, and its jobs run."""
    place.empty_engine()
    CronSchedule.objects.create(
        name="every second",
        job_name=noop.name,
        arguments={"x": 1},
        queue_name=QUEUE,
        max_attempts=1,
        every=timedelta(seconds=1),
        overlap="allow",
        next_due_at=database_now().replace(microsecond=0) + timedelta(seconds=START_SECONDS),
        next_check_at=database_now() + timedelta(seconds=START_SECONDS),
    )
    with WorkerProcess(QUEUE) as worker:
        _wait_for_ticks(worker, place.sizes.on_time)
    due = dict(Tick.objects.filter(outcome="fired").values_list("job", "due_at"))
    ready = Job.objects.filter(pk__in=due).order_by("pk").values_list("pk", "ready_at")[1:]
    return percentiles([(at - due[job_id]).total_seconds() for job_id, at in ready])


def _schedule(at: int, due_at: datetime) -> CronSchedule:
    return CronSchedule(
        name=f"schedule {at}",
        job_name=noop.name,
        arguments={"x": at},
        queue_name=QUEUE,
        max_attempts=1,
        cron=EXPRESSIONS[at % len(EXPRESSIONS)],
        timezone=ZONES[at // len(EXPRESSIONS) % len(ZONES)],
        next_due_at=due_at,
        next_check_at=due_at,
    )


def _wait_for_ticks(worker: WorkerProcess, number: int) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while Tick.objects.count() < number:
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{Tick.objects.count()} of {number} ticks in {LONGEST_SECONDS} s")
        time.sleep(0.2)
