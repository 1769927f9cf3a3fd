"""How many connections one ``runworker`` holds: fresh, after jobs that do nothing, after jobs that read."""

from __future__ import annotations

import time

from django_jobs import JobDefinition

from ..jobs import noop, read
from ..queue_names import QUEUE
from ..worker import WorkerProcess
from .place import Figures, Place

SETTLE_SECONDS = 2.0
JOBS = 200


def engine(place: Place) -> Figures:
    """Count the sessions that the worker adds, where the server tells them."""
    place.empty_engine()
    if place.server.session_tasks() is None:
        return {"fresh": None, "after_noops": None, "after_reads": None}
    before = _sessions(place)
    with WorkerProcess(QUEUE) as worker:
        fresh = _settled(place, worker)
        _run(place, worker, noop)
        after_noops = _settled(place, worker)
        _run(place, worker, read)
        after_reads = _settled(place, worker)
    return {
        "fresh": fresh - before,
        "after_noops": after_noops - before,
        "after_reads": after_reads - before,
    }


def _run(place: Place, worker: WorkerProcess, definition: JobDefinition[[int], None]) -> None:
    definition.enqueue_many([(x,) for x in range(JOBS)])
    place.wait_until_done(worker)


def _settled(place: Place, worker: WorkerProcess) -> int:
    time.sleep(SETTLE_SECONDS)
    worker.check()
    return _sessions(place)


def _sessions(place: Place) -> int:
    return len(place.server.session_tasks() or ())
