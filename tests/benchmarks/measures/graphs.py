"""How fast one worker process follows a long chain, and a graph in which each job of a column waits for all before.

Counted from the start of the first job to the end of the last. In a chain nothing can be done at once: what is
measured is the way from the end of one job to the start of the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db.models import Max, Min

from django_jobs import chain, group
from django_jobs.models import Job

from ..jobs import noop
from ..queue_names import QUEUE, WARM_UP_QUEUE
from ..worker import WorkerProcess
from .place import Figures, Place

LONGEST_SECONDS = 1_800.0
POLL_SECONDS = 0.1
WARM_UP_JOBS = 500


def engine_chain(place: Place) -> Figures:
    """Follow a chain of as many links as the sizes say."""
    steps = [noop.s(x).without_result() for x in range(place.sizes.chain)]
    return _run(place, lambda: chain(*steps).enqueue())


def engine_graph(place: Place) -> Figures:
    """Work off columns of jobs, each of which waits for all of the column before it."""
    columns = [group(noop.s(x).without_result() for x in range(place.sizes.wide)) for _ in range(place.sizes.deep)]
    return _run(place, lambda: chain(*columns).enqueue())


def _run(place: Place, enqueue: Callable[[], list[Job]]) -> Figures:
    place.empty_engine()
    with WorkerProcess(QUEUE, WARM_UP_QUEUE) as worker:
        noop.using(queue_name=WARM_UP_QUEUE).enqueue_many([{"x": 0}] * WARM_UP_JOBS)
        _wait(worker, queue_name=WARM_UP_QUEUE)
        began = time.monotonic()
        jobs = enqueue()
        enqueued = time.monotonic() - began
        _wait(worker, queue_name=QUEUE)
    succeeded = Job.objects.filter(queue_name=QUEUE, state="succeeded")
    if succeeded.count() != len(jobs):
        raise RuntimeError(f"{succeeded.count()} of {len(jobs)} jobs succeeded")
    span = succeeded.aggregate(began=Min("started_at"), ended=Max("finished_at"))
    seconds = (span["ended"] - span["began"]).total_seconds()
    return {"jobs_per_second": len(jobs) / seconds, "enqueue_ms": enqueued * 1000}


def _wait(worker: WorkerProcess, *, queue_name: str) -> None:
    left = Job.objects.filter(queue_name=queue_name).exclude(state="succeeded")
    deadline = time.monotonic() + LONGEST_SECONDS
    while left.exists():
        worker.check()
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left.count()} jobs have not run within {LONGEST_SECONDS} s")
        time.sleep(POLL_SECONDS)
