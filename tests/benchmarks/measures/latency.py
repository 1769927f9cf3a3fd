"""How long a job waits from enqueue to start while the worker has nothing else to do.

Both instants are the database's clock as the tables record them: milliseconds on SQLite. Once with a job
every 20 to 60 ms, a worker that is awake all the time; once after about a second of quiet each, a worker
that sleeps and has to be woken.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence

from django_jobs.models import Attempt

from ..jobs import QUEUE, noop
from ..limits import base
from ..worker import WorkerProcess
from .place import Figures, Place

SHORT_PAUSES = (0.020, 0.060)
QUIET_PAUSES = (0.9, 1.3)
SETTLE_SECONDS = 2.0
LONGEST_SECONDS = 60.0

Pauses = tuple[float, float]


def engine(place: Place) -> Figures:
    return _engine(place, place.sizes.latency, SHORT_PAUSES)


def limit(place: Place) -> Figures:
    return _limit(place, place.sizes.latency, SHORT_PAUSES)


def engine_quiet(place: Place) -> Figures:
    return _engine(place, place.sizes.latency_quiet, QUIET_PAUSES)


def limit_quiet(place: Place) -> Figures:
    return _limit(place, place.sizes.latency_quiet, QUIET_PAUSES)


def _engine(place: Place, number: int, pauses: Pauses) -> Figures:
    place.empty_engine()
    with WorkerProcess(QUEUE) as worker:
        noop.enqueue(0)
        _wait_for_attempts(worker, 1)
        time.sleep(SETTLE_SECONDS)
        _enqueue_slowly(noop.enqueue, range(number), pauses)
        _wait_for_attempts(worker, 1 + number)
    rows = Attempt.objects.order_by("job_id").values_list("started_at", "job__enqueued_at")[1:]
    return percentiles([(started - enqueued).total_seconds() for started, enqueued in rows])


def _limit(place: Place, number: int, pauses: Pauses) -> Figures:
    with place.limit() as program:
        serving = threading.Thread(target=base.serve, args=(program, number), daemon=True)
        serving.start()
        time.sleep(SETTLE_SECONDS)
        _enqueue_slowly(program.insert, [f'{{"x": {x}}}' for x in range(number)], pauses)
        serving.join(LONGEST_SECONDS)
        return percentiles(program.delays())


def _enqueue_slowly(enqueue: Callable[..., object], arguments: Sequence[object], pauses: Pauses) -> None:
    chance = random.Random(number := len(arguments))
    for one in arguments[:number]:
        time.sleep(chance.uniform(*pauses))
        enqueue(one)


def _wait_for_attempts(worker: WorkerProcess, number: int) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while Attempt.objects.count() < number:
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{Attempt.objects.count()} of {number} jobs were worked off in {LONGEST_SECONDS} s")
        time.sleep(0.05)


def percentiles(seconds: list[float]) -> Figures:
    """Return the median, the 90th and the 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return {
        "p50_ms": 1000 * ordered[round(last * 0.50)],
        "p90_ms": 1000 * ordered[round(last * 0.90)],
        "p99_ms": 1000 * ordered[round(last * 0.99)],
    }
