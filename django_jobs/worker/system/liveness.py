"""Signs of life of a worker process, in memory shared with its supervisor.

Instants are of the monotonic clock, which all processes of a host share. A round of a loop costs one store of a number.
"""

from __future__ import annotations

import math
import time
from ctypes import c_double, c_longlong
from multiprocessing.sharedctypes import RawArray

from ...policy.health import WorkerLiveness

_ATTEMPTED, _SAVED, _CLAIMER_RAN, _CHECKED, _INTERPRETER_RAN, _NEXT_TIMEOUT = range(6)


class SharedLiveness:
    """Written by the loops of one worker process, read by its supervisor; passed at the spawn."""

    def __init__(self) -> None:
        self._at = RawArray(c_double, 6)
        self._job = RawArray(c_longlong, 1)
        self._at[_NEXT_TIMEOUT] = math.inf

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

    def interpreter_ran(self) -> None:
        """Record that Python code runs, whatever the database does."""
        self._at[_INTERPRETER_RAN] = time.monotonic()

    def silent_seconds(self) -> float:
        """Return how long no Python code has run, 0 before the first sign."""
        ran_at = self._at[_INTERPRETER_RAN]
        return time.monotonic() - ran_at if ran_at else 0.0

    def timeout_changed(self, due: float, job_id: int) -> None:
        """Record which running job reaches its timeout first, and when; infinity: none."""
        self._at[_NEXT_TIMEOUT] = math.inf  # no reader may combine two jobs
        self._job[0] = job_id
        self._at[_NEXT_TIMEOUT] = due

    def next_timeout(self) -> tuple[float, int]:
        """Return what ``timeout_changed`` recorded last."""
        return self._at[_NEXT_TIMEOUT], self._job[0]

    def read(self, pid: int) -> WorkerLiveness:
        """Return how long ago each was."""
        now = time.monotonic()
        attempted, saved, polled, checked = (now - at if at else None for at in self._at[: _CHECKED + 1])
        return WorkerLiveness(
            pid=pid, heartbeat_attempt_age=attempted, heartbeat_age=saved, poll_age=polled, check_age=checked
        )
