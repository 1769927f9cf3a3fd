"""How fast one worker process works off a thousand queues of one job, over a network, and when one more job starts.

The server is a few milliseconds away, so that each statement tells: SQLite is a file and has no network.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db.models import Max, Min

from django_jobs.models import Attempt, Job
from tests.databases import CONNECT_TIMEOUT, address
from tests.process.proxy import Proxy

from ..backlog import fill_jobs
from ..jobs import noop
from ..worker import WorkerProcess
from .place import Figures, Place

NETWORK_SECONDS = 0.005
"""From a statement to its answer, besides what the server takes."""
LONGEST_SECONDS = 600.0
POLL_SECONDS = 0.05


def engine(place: Place) -> Figures:
    """Drain with ``manage.py runworker``, and enqueue one more job once all have ended."""
    place.empty_engine()
    number = place.sizes.queues
    ready = {"state": "'ready'", "enqueued_at": place.server.instant("0"), "ready_at": place.server.instant("0")}
    names = "'customer ' || number.n" if place.vendor != "mysql" else "concat('customer ', number.n)"
    fill_jobs(place.server, "django_jobs", number, {**ready, "queue_name": names})
    with _network(place.vendor) as environment, WorkerProcess(environment=environment) as worker:
        _wait(worker, number)
        later = noop.using(queue_name="one more").enqueue(1)
        _wait(worker, number + 1)
    attempts = Attempt.objects.exclude(job=later).aggregate(began=Min("started_at"), ended=Max("finished_at"))
    started = Attempt.objects.get(job=later).started_at
    return {
        "jobs_per_second": number / (attempts["ended"] - attempts["began"]).total_seconds(),
        "one_more_ms": 1000 * (started - later.enqueued_at).total_seconds(),
    }


@contextmanager
def _network(vendor: str) -> Iterator[dict[str, str]]:
    """Give the environment of a worker that reaches the server through a slow network."""
    if vendor == "sqlite":
        yield {}
        return
    where = address(vendor)
    proxy = Proxy(where["HOST"], int(where["PORT"]), delay_seconds=NETWORK_SECONDS / 2)
    try:
        yield {
            f"DJANGO_JOBS_TEST_{vendor.upper()}_HOST": "127.0.0.1",
            f"DJANGO_JOBS_TEST_{vendor.upper()}_PORT": str(proxy.port),
            CONNECT_TIMEOUT: "10",
        }
    finally:
        proxy.close()


def _wait(worker: WorkerProcess, number: int) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while Attempt.objects.count() < number:
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{Job.objects.filter(state='ready').count()} jobs are left after {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)
