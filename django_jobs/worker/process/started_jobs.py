"""Which jobs a worker process has begun lately, in memory that outlives it.

When the process has died the supervisor reads it: of the jobs that were still the worker's, those found
here had begun, and the others were only claimed and are given back without a trace. It costs one
store of a number a run: no lock, no statement.
"""

from __future__ import annotations

import itertools
import multiprocessing
from collections.abc import Callable
from ctypes import c_longlong

RING_SIZE = 8_192
"""More than a process can have begun and not yet saved: the claimer stops long before."""


class StartedJobs:
    """A ring of job ids, shared with a child process by passing it at the spawn."""

    def __init__(self) -> None:
        self._ids = multiprocessing.get_context("spawn").RawArray(c_longlong, RING_SIZE)

    def writer(self) -> Callable[[int], None]:
        """Return what the executors' threads call with the id of each job that begins."""
        ids, places = self._ids, itertools.count()

        def begin(job_id: int) -> None:
            ids[next(places) % RING_SIZE] = job_id

        return begin

    def job_ids(self) -> frozenset[int]:
        """Return the ids of the jobs that began lately."""
        return frozenset(self._ids) - {0}
