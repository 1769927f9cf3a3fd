"""What a worker costs while there is nothing to do: statements a second, its CPU and the server's."""

from __future__ import annotations

import time

from ..queue_names import QUEUE
from ..spent import sessions_cpu, sessions_cpu_since
from ..worker import LimitWorker, Program, WorkerProcess
from .place import Figures, Place

SETTLE_SECONDS = 15.0
"""By then it has registered, looked, pruned for the first time, and sleeps as long as it ever does.

And PostgreSQL has counted the statements of the start: a session tells its counts ten seconds late if it is idle.
"""
MOST_OF_OTHERS = 0.5
"""Statements a second of other clients that are passed over."""


def engine(place: Place) -> Figures:
    place.empty_engine()
    return _watch(place, WorkerProcess(QUEUE))


def limit(place: Place) -> Figures:
    """Watch the limit's program wait, in a process of its own."""
    with place.limit():
        return _watch(place, LimitWorker(place.vendor))


def _watch(place: Place, program: Program) -> Figures:
    """Watch while it is idle; where others keep the same server busy, its statements cannot be told from theirs."""
    seconds = place.sizes.idle_seconds
    others = _statements(place, seconds / 4)
    with program:
        time.sleep(SETTLE_SECONDS)
        sessions = sessions_cpu(place.server)
        cpu_before = program.cpu_seconds()
        statements = _statements(place, seconds)
        cpu_after = program.cpu_seconds()
        server_cpu = sessions_cpu_since(place.server, sessions)
    told_apart = others is not None and others < MOST_OF_OTHERS
    return {
        "statements_per_second": statements if told_apart else None,
        "others_per_second": others,
        "cpu_percent": None if cpu_before is None or cpu_after is None else 100 * (cpu_after - cpu_before) / seconds,
        "server_cpu_percent": None if server_cpu is None else 100 * server_cpu / seconds,
    }


def _statements(place: Place, seconds: float) -> float | None:
    """Return how many statements a second the server saw."""
    before = place.server.statements()
    time.sleep(seconds)
    after = place.server.statements()
    return None if before is None or after is None else (after - before) / seconds
