"""How long a job waits from enqueue to start while the worker has nothing else to do.

Both instants are the database's clock as the tables record them: milliseconds on SQLite. Once with a job
every 20 to 60 ms, a worker that is awake all the time; once after about a second of quiet each, a worker
that sleeps and has to be woken. The quiet times are spread evenly over two polls, and begin when the last job has
run: a worker that polls then meets each part of its pause as often, and the median of few jobs is no matter of luck.
Then the same with a Redis as the notifier, beside LISTEN or the poll.
"""

from __future__ import annotations

import os
import random
import threading
import time
from datetime import timedelta
from unittest.mock import patch

from django.test import override_settings

from django_jobs.conf import get_settings
from django_jobs.models import Attempt
from tests.private.redis import PrivateRedis

from ..jobs import noop
from ..limits import base
from ..queue_names import QUEUE
from ..settings import NOTIFIER_VARIABLE
from ..worker import WorkerProcess
from .place import Figures, Place

SHORT_PAUSES = (0.020, 0.060)
QUIET_PAUSES = (0.9, 1.3)
SETTLE_SECONDS = 2.0
LONGEST_SECONDS = 60.0
LOOK_SECONDS = 0.005

Pauses = tuple[float, float]


def engine(place: Place) -> Figures:
    return _engine(place, place.sizes.latency, SHORT_PAUSES)


def limit(place: Place) -> Figures:
    return _limit(place, place.sizes.latency, SHORT_PAUSES)


def engine_quiet(place: Place) -> Figures:
    return _engine(place, place.sizes.latency_quiet, QUIET_PAUSES)


def limit_quiet(place: Place) -> Figures:
    return _limit(place, place.sizes.latency_quiet, QUIET_PAUSES)


def engine_redis(place: Place) -> Figures:
    """Pause as ``engine_quiet`` does, with a Redis of its own; SQLite's workers are woken by its file all the same."""
    server = PrivateRedis()
    try:
        server.start()
        url = f"redis://127.0.0.1:{server.port}"
        with patch.dict(os.environ, {NOTIFIER_VARIABLE: url}), override_settings(DJANGO_JOBS={"NOTIFIER": url}):
            figures = engine_quiet(place)
        figures.pop("p50_over_half_poll_ms", None)
        return figures
    finally:
        server.remove()


def _engine(place: Place, number: int, pauses: Pauses) -> Figures:
    place.empty_engine()
    with WorkerProcess(QUEUE) as worker:
        noop.enqueue(0)
        _wait_for_attempts(worker, 1)
        time.sleep(SETTLE_SECONDS)
        for at, pause in enumerate(_spread(number, pauses)):
            time.sleep(pause)
            noop.enqueue(at)
            if pauses == QUIET_PAUSES:
                _wait_for_attempts(worker, 2 + at)
        _wait_for_attempts(worker, 1 + number)
    rows = Attempt.objects.order_by("job_id").values_list("started_at", "job__enqueued_at")[1:]
    figures = percentiles([(started - enqueued).total_seconds() for started, enqueued in rows])
    if place.vendor != "mysql":
        return figures
    half_a_poll = get_settings().worker.poll_interval_without_notify / 2
    return figures | {"p50_over_half_poll_ms": figures["p50_ms"] - half_a_poll / timedelta(milliseconds=1)}


def _limit(place: Place, number: int, pauses: Pauses) -> Figures:
    with place.limit() as program:
        serving = threading.Thread(target=base.serve, args=(program, number), daemon=True)
        serving.start()
        time.sleep(SETTLE_SECONDS)
        for at, pause in enumerate(_spread(number, pauses)):
            time.sleep(pause)
            program.insert(f'{{"x": {at}}}')
        serving.join(LONGEST_SECONDS)
        return percentiles(program.delays())


def _spread(number: int, pauses: Pauses) -> list[float]:
    """Return pauses that are spread evenly, in any order."""
    shortest, longest = pauses
    spread = [shortest + (longest - shortest) * (at + 0.5) / number for at in range(number)]
    random.Random(number).shuffle(spread)
    return spread


def _wait_for_attempts(worker: WorkerProcess, number: int) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while Attempt.objects.count() < number:
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{Attempt.objects.count()} of {number} jobs were worked off in {LONGEST_SECONDS} s")
        time.sleep(LOOK_SECONDS)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the median, the 90th and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50_ms": 1000 * ordered[round(last * 0.50)],
        "p90_ms": 1000 * ordered[round(last * 0.90)],
        "p99_ms": 1000 * ordered[round(last * 0.99)],
    }
