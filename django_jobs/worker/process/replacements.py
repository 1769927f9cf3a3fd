"""When the next worker processes are to be started, and when failed starts are too many."""

from __future__ import annotations

import time

INITIAL_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 30.0
MAX_START_PAUSE_SECONDS = 5.0
"""The pause while the system has no process or descriptor to give."""
MIN_UPTIME_SECONDS = 5.0
"""A process that died sooner than this is replaced after growing pauses."""
MIN_FAILED_STARTS = 3
"""After so many deaths without a heartbeat in between, at least one a process, the supervisor gives up."""
FAILED_STARTS_SECONDS = 300.0
"""So long it goes on trying if processes had worked before: the system may lack memory or threads for a while."""


class Replacements:
    """The starts that are wanted, and how often starts have failed. ``gives_up``: False if code may be repaired."""

    def __init__(self, processes: int, *, gives_up: bool) -> None:
        self._due = [0.0] * processes
        self._gives_up = gives_up
        self._pause_seconds = self._start_pause_seconds = INITIAL_PAUSE_SECONDS
        self._failed_starts = 0
        self._may_fail_until = 0.0

    @property
    def wanted(self) -> bool:
        """True if a process is to be started, now or later."""
        return bool(self._due)

    def seconds_until_due(self) -> float:
        """Return the time until the next start, 0 if it is overdue, infinity if none is wanted."""
        now = time.monotonic()
        return min((max(due - now, 0.0) for due in self._due), default=float("inf"))

    def take_due(self) -> list[float]:
        """Remove the starts that are due and return their instants, 0 for each of the first processes."""
        now = time.monotonic()
        due = [start for start in self._due if start <= now]
        self._due = [start for start in self._due if start > now]
        return due

    def retry(self) -> float:
        """Want a start again that the system refused; return the pause in seconds, which grows."""
        pause = self._start_pause_seconds
        self._start_pause_seconds = min(2 * pause, MAX_START_PAUSE_SECONDS)
        self._due.append(time.monotonic() + pause)
        return pause

    def has_started(self) -> None:
        """Note that the system has started a process."""
        self._start_pause_seconds = INITIAL_PAUSE_SECONDS

    def want(self, *, uptime_seconds: float | None) -> None:
        """Want a process in place of one that ended; after a growing pause if it died soon. None: it did not die."""
        pause = 0.0
        if uptime_seconds is not None and uptime_seconds < MIN_UPTIME_SECONDS:
            pause = self._pause_seconds
            self._pause_seconds = min(2 * pause, MAX_PAUSE_SECONDS)
        else:
            self._pause_seconds = INITIAL_PAUSE_SECONDS
        self._due.append(time.monotonic() + pause)

    def has_worked(self) -> None:
        """Note that a process came as far as a heartbeat: those that fail get more time."""
        self._failed_starts = 0
        self._may_fail_until = time.monotonic() + FAILED_STARTS_SECONDS

    def count_failed_start(self, processes: int) -> int:
        """Count a process that died before its first heartbeat; return the number if it is time to give up, else 0."""
        self._failed_starts += 1
        if not self._gives_up or time.monotonic() < self._may_fail_until:
            return 0
        return self._failed_starts if self._failed_starts >= max(MIN_FAILED_STARTS, processes) else 0
