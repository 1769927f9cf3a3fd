"""When a worker process last did what shows that it is well, in memory shared with its supervisor.

Instants are of the monotonic clock, which all processes of a host share. It costs a loop one store of a
number a round.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from ctypes import c_double

from ..policy.health import Pulse

_TRIED, _SAVED, _LOOKED = range(3)


class SharedPulse:
    """Written by the loops of one worker process, read by its supervisor; passed at the spawn."""

    def __init__(self) -> None:
        self._at = multiprocessing.get_context("spawn").RawArray(c_double, 3)

    def heartbeat_tried(self) -> None:
        """Note that the heartbeat's loop turns."""
        self._at[_TRIED] = time.monotonic()

    def heartbeat_saved(self) -> None:
        """Note that the database took a heartbeat."""
        self._at[_SAVED] = time.monotonic()

    def looked(self) -> None:
        """Note that the claimer turns."""
        self._at[_LOOKED] = time.monotonic()

    def looks_no_more(self) -> None:
        """Note that the claimer has been stopped, and need not turn."""
        self._at[_LOOKED] = math.inf

    def read(self, pid: int) -> Pulse:
        """Return how long ago each was."""
        now = time.monotonic()
        tried, saved, looked = (now - at if at else None for at in self._at)
        return Pulse(pid=pid, tried=tried, saved=saved, looked=looked)
