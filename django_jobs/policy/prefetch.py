"""How many jobs to claim at once: enough to keep the executors busy, never more than they start soon.

A claim held without being run is a job that no other worker can have. So the claimer buys about a
quarter of a second of work, reckoned from how long each job definition took lately.
"""

from __future__ import annotations

from dataclasses import dataclass, field

_WEIGHT = 0.2
"""How much the newest run counts in a definition's moving average."""


@dataclass(slots=True, kw_only=True)
class RunTimes:
    """Moving averages of how long jobs run, in seconds, by job name."""

    unknown_seconds: float
    by_name: dict[str, float] = field(default_factory=dict)
    lately: float | None = None

    def record(self, name: str, seconds: float) -> None:
        """Take in the run time of one job, or the mean of several of one name."""
        before = self.by_name.get(name)
        self.by_name[name] = seconds if before is None else before + _WEIGHT * (seconds - before)
        self.lately = seconds if self.lately is None else self.lately + _WEIGHT * (seconds - self.lately)

    def expected(self, name: str) -> float:
        """Return the expected run time of a job of this name."""
        return self.by_name.get(name, self.unknown_seconds)


def room(
    *, slots: int, running: int, waiting_seconds: float, run_seconds: float, horizon_seconds: float, most: int
) -> int:
    """Return how many jobs to claim so that each starts within about ``horizon_seconds``.

    ``slots`` executors of which ``running`` are busy; ``waiting_seconds`` is the expected run time
    of all that is claimed and not begun; ``run_seconds`` that of a typical job to come.
    """
    idle = max(slots - running, 0)
    if run_seconds <= 0:
        return most
    budget_seconds = slots * horizon_seconds - waiting_seconds
    by_time = int(budget_seconds / run_seconds)
    if run_seconds >= horizon_seconds:
        by_time = idle - int(waiting_seconds / run_seconds)
    return max(0, min(by_time, most))
