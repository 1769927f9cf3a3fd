"""The jobs that a worker process has started lately, in shared memory that outlives it.

After the process has died the supervisor reads it: of the worker's claims, those found here had started; the
others were only claimed and are released without a trace. A start costs one store of a number: no lock, no statement.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from ctypes import c_longlong
from multiprocessing.sharedctypes import RawArray

BUFFER_SIZE = 32_768
"""More than a process can have started and not yet saved: the claimer stops long before."""


class StartedJobs:
    """A ring buffer of job ids, shared with a child process by passing it at the spawn."""

    def __init__(self) -> None:
        self._ids = RawArray(c_longlong, BUFFER_SIZE)

    def writer(self) -> Callable[[int], None]:
        """Return a function to be called with the id of each job that starts, from any thread."""
        ids, positions = self._ids, itertools.count()

        def record_start(job_id: int) -> None:
            ids[next(positions) % BUFFER_SIZE] = job_id

        return record_start

    def job_ids(self) -> frozenset[int]:
        """Return the ids of the jobs that started lately."""
        return frozenset(self._ids) - {0}
