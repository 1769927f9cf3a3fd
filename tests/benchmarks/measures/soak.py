"""Whether all of it together lasts: threads enqueue, two workers drain and prune, and a snapshot is held open.

Each of eight threads enqueues a job every few milliseconds, as the requests of a site do: the rate is well below what
the workers reach, so that what is measured is whether anything gets slower. Jobs are pruned a few seconds after their
end. How long an enqueue takes is compared with the same threads while no worker runs.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Self
from unittest.mock import patch

from django.db import connection
from django.db.models import Max

from django_jobs.models import Attempt, Job

from ..jobs import noop
from ..queue_names import QUEUE
from ..settings import RETENTION_VARIABLE
from ..worker import WorkerProcess
from .latency import percentiles
from .own_server import own_server
from .place import Figures, Place

THREADS = 8
PAUSE_SECONDS = 0.02
IDLE_SECONDS = 20.0
SETTLE_SECONDS = 5.0
WINDOW_SECONDS = 60.0
LONGEST_SECONDS = 120.0
POLL_SECONDS = 0.1
RETENTION_SECONDS = "5"


class Enqueuers:
    """Threads that enqueue until the end of the ``with``, and the seconds that each enqueue took."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.errors: list[BaseException] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(THREADS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def check(self) -> None:
        """Raise what one of them met."""
        if self.errors:
            raise RuntimeError("an enqueue failed") from self.errors[0]

    def _run(self) -> None:
        try:
            while not self._end.wait(PAUSE_SECONDS):
                began = time.monotonic()
                noop.enqueue(1)
                self.seconds.append(time.monotonic() - began)
        except BaseException as error:  # noqa: BLE001 - raised by check
            self.errors.append(error)
        finally:
            connection.close()


def engine(place: Place) -> Figures:
    """Watch the last attempt's id: the attempts themselves are pruned."""
    seconds = 60.0 * place.sizes.soak_minutes
    window = min(WINDOW_SECONDS, seconds / 3)
    with own_server(place), patch.dict(os.environ, {RETENTION_VARIABLE: RETENTION_SECONDS}):
        place.empty_engine()
        with Enqueuers() as idle:
            time.sleep(IDLE_SECONDS)
        idle.check()
        with WorkerProcess(QUEUE, arguments=["--processes", "2"], workers=2) as worker:
            _wait_until_drained(worker)
            with place.server.hold_snapshot(), Enqueuers() as busy:
                time.sleep(SETTLE_SECONDS)
                first = _rate(worker, busy, window)
                time.sleep(max(seconds - 2 * window, 0))
                last = _rate(worker, busy, window)
                waiting = Job.objects.filter(state="ready").count()
            _wait_until_drained(worker)
    calm, loaded = percentiles(idle.seconds), percentiles(busy.seconds)
    return {
        "jobs_per_second": last,
        "last_minute_to_first": last / first,
        "waiting_at_end": float(waiting),
        "enqueue_p50_ms": loaded["p50_ms"],
        "enqueue_p99_ms": loaded["p99_ms"],
        "idle_p99_ms": calm["p99_ms"],
        "enqueue_p99_to_idle": loaded["p99_ms"] / calm["p99_ms"],
    }


def _rate(worker: WorkerProcess, enqueuers: Enqueuers, seconds: float) -> float:
    began, before = time.monotonic(), _last_attempt()
    time.sleep(seconds)
    worker.check()
    enqueuers.check()
    return (_last_attempt() - before) / (time.monotonic() - began)


def _last_attempt() -> int:
    return int(Attempt.objects.aggregate(last=Max("pk"))["last"] or 0)


def _wait_until_drained(worker: WorkerProcess) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while Job.objects.filter(state__in=["ready", "running"]).exists():
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"jobs are left after {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)
