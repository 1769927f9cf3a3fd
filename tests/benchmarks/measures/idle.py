"""What a worker costs while there is nothing to do: statements a second, processor time, memory."""

from __future__ import annotations

import time

from ..jobs import QUEUE
from ..worker import WorkerProcess
from .place import Figures, Place

SETTLE_SECONDS = 5.0
"""By then it has registered, looked, pruned for the first time, and sleeps as long as it ever does."""
MOST_OF_OTHERS = 0.5
"""Statements a second of other clients that are passed over."""


def engine(place: Place) -> Figures:
    """Watch an idle worker; where others keep the same server busy, its statements cannot be told from theirs."""
    place.empty_engine()
    seconds = place.sizes.idle_seconds
    others = _statements(place, seconds / 4)
    with WorkerProcess(QUEUE) as worker:
        time.sleep(SETTLE_SECONDS)
        cpu_before = worker.cpu_seconds()
        statements = _statements(place, seconds)
        cpu_after = worker.cpu_seconds()
        memory = worker.resident_mib()
    told_apart = others is not None and others < MOST_OF_OTHERS
    used = None if cpu_before is None or cpu_after is None else cpu_after - cpu_before
    return {
        "statements_per_second": statements if told_apart else None,
        "others_per_second": others,
        "cpu_seconds_per_minute": None if used is None else used * 60 / seconds,
        "idle_mib": memory,
    }


def _statements(place: Place, seconds: float) -> float | None:
    """Return how many statements a second the server saw."""
    before = place.server.statements()
    time.sleep(seconds)
    after = place.server.statements()
    return None if before is None or after is None else (after - before) / seconds
