"""How long it takes from the command ``runworker`` to the first job, beside ``manage.py check``."""

from __future__ import annotations

import subprocess
import sys
import time

from django_jobs.models import Attempt
from django_jobs.store.clock import database_now

from ..jobs import noop
from ..queue_names import QUEUE
from ..worker import WorkerProcess
from .place import Figures, Place

TIMES = 3
"""The fastest of so many counts: what disturbs only ever adds."""


def engine(place: Place) -> Figures:
    return {"seconds": min(_first_job(place) for _ in range(TIMES))}


def limit(place: Place) -> Figures:
    """Time the system checks, which load the project as a worker does."""
    return {"seconds": min(_check() for _ in range(TIMES))}


def _first_job(place: Place) -> float:
    place.empty_engine()
    noop.enqueue(0)
    ahead = database_now().timestamp() - time.time()
    with WorkerProcess(QUEUE) as worker:
        place.wait_until_done(worker)
        return float(Attempt.objects.get().started_at.timestamp() - ahead - worker.started_at)


def _check() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "django", "check"], check=True, capture_output=True)
    return time.monotonic() - began
