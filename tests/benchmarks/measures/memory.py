"""How much memory one ``runworker`` has in use after some jobs, beside a process that has only set up Django.

Proportional set size: a page that several processes share is divided among them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from ..jobs import noop
from ..queue_names import QUEUE
from ..worker import BareDjango, WorkerProcess
from .place import Figures, Place

SETTLE_SECONDS = 2.0
JOBS = 200
SHAPES: Mapping[str, tuple[str, ...]] = {
    "defaults": (),
    "two_processes": ("--processes", "2"),
    "pool_processes": ("--pool", "processes"),
}


def engine(place: Place) -> Figures:
    figures: Figures = {}
    for shape, arguments in SHAPES.items():
        place.empty_engine()
        with WorkerProcess(QUEUE, arguments=arguments, workers=2 if shape == "two_processes" else 1) as worker:
            noop.enqueue_many([(x,) for x in range(JOBS)])
            place.wait_until_done(worker)
            time.sleep(SETTLE_SECONDS)
            figures[f"{shape}_mib"] = worker.pss_mib()
            figures[f"{shape}_processes"] = worker.processes()
    return figures


def limit(place: Place) -> Figures:
    """Measure one process with the same settings, to which each shape is compared."""
    with BareDjango() as process:
        memory = process.pss_mib()
    return {f"{shape}_mib": memory for shape in SHAPES}
