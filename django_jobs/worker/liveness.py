"""Signs of life of a worker process, in memory shared with its supervisor.

Instants are of the monotonic clock, which all processes of a host share. A round of a loop costs one store of a number.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from ctypes import c_double

from ..policy.health import WorkerLiveness

_ATTEMPTED, _SAVED, _CLAIMER_RAN, _CHECKED = range(4)


class SharedLiveness:
    """Written by the loops of one worker process, read by its supervisor; passed at the spawn."""

    def __init__(self) -> None:
        self._at = multiprocessing.get_context("spawn").RawArray(c_double, 4)

    def heartbeat_attempted(self) -> None:
        """Record a round of the heartbeat's loop."""
        self._at[_ATTEMPTED] = time.monotonic()

    def heartbeat_saved(self) -> None:
        """Record a saved heartbeat."""
        self._at[_SAVED] = time.monotonic()

    def claimer_ran(self) -> None:
        """Record a round of the claimer."""
        self._at[_CLAIMER_RAN] = time.monotonic()

    def claimer_stopped(self) -> None:
        """Record that the claimer is stopped and need not run."""
        self._at[_CLAIMER_RAN] = self._at[_CHECKED] = math.inf

    def queues_checked(self, at: float) -> None:
        """Record when the claimer last checked the queues, or had no room for more jobs (monotonic seconds)."""
        self._at[_CHECKED] = at

    def read(self, pid: int) -> WorkerLiveness:
        """Return how long ago each was."""
        now = time.monotonic()
        attempted, saved, polled, checked = (now - at if at else None for at in self._at)
        return WorkerLiveness(
            pid=pid, heartbeat_attempt_age=attempted, heartbeat_age=saved, poll_age=polled, check_age=checked
        )
