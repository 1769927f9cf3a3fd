"""When a worker process last did what shows that it is well, in memory shared with its supervisor.

Instants are of the monotonic clock, which all processes of a host share. It costs a loop one store of a
number a round.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from ctypes import c_double

from ..policy.health import WorkerLiveness

_ATTEMPTED, _SAVED, _CLAIMER_RAN = range(3)


class SharedLiveness:
    """Written by the loops of one worker process, read by its supervisor; passed at the spawn."""

    def __init__(self) -> None:
        self._at = multiprocessing.get_context("spawn").RawArray(c_double, 3)

    def heartbeat_attempted(self) -> None:
        """Note that the heartbeat's loop turns."""
        self._at[_ATTEMPTED] = time.monotonic()

    def heartbeat_saved(self) -> None:
        """Note that the database took a heartbeat."""
        self._at[_SAVED] = time.monotonic()

    def claimer_ran(self) -> None:
        """Note that the claimer turns."""
        self._at[_CLAIMER_RAN] = time.monotonic()

    def claimer_stopped(self) -> None:
        """Note that the claimer has been stopped, and need not turn."""
        self._at[_CLAIMER_RAN] = math.inf

    def read(self, pid: int) -> WorkerLiveness:
        """Return how long ago each was."""
        now = time.monotonic()
        attempted, saved, polled = (now - at if at else None for at in self._at)
        return WorkerLiveness(pid=pid, heartbeat_attempt_age=attempted, heartbeat_age=saved, poll_age=polled)
