"""How many jobs to claim at once: enough to keep the executors busy, never more than they start soon.

A claim held without being run is a job that no other worker can have. So the claimer buys about a
quarter of a second of work, reckoned from how long each job definition took lately.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WEIGHT = 0.2
"""How much the newest batch counts in a moving average."""


@dataclass(slots=True, kw_only=True)
class RunTimes:
    """Moving averages of how long jobs run, in seconds: by job name, and over all that ended lately."""

    unknown_seconds: float
    by_name: dict[str, float] = field(default_factory=dict)
    lately: float | None = None

    def record(self, runs: Mapping[str, tuple[int, float]]) -> None:
        """Take in what has just ended: job name -> (how many, seconds in all)."""
        for name, (number, seconds) in runs.items():
            self.by_name[name] = _moved(self.by_name.get(name), seconds / number)
        number = sum(number for number, _ in runs.values())
        if number:
            self.lately = _moved(self.lately, sum(seconds for _, seconds in runs.values()) / number)

    def expected(self, name: str) -> float:
        """Return the expected run time of a job of this name."""
        return self.by_name.get(name, self.unknown_seconds)

    def typical(self) -> float:
        """Return the expected run time of a job that nothing is known of yet."""
        return self.unknown_seconds if self.lately is None else self.lately


def free_soon(running: Iterable[tuple[float, float]], *, idle: int, horizon_seconds: float) -> int:
    """Return how many slots are idle or will be within the horizon.

    ``running`` gives (expected, elapsed) seconds of each job that runs now. One that is over its
    time tells nothing of its end: it counts as busy.
    """
    return idle + sum(
        1
        for expected, elapsed in running
        if elapsed < horizon_seconds and expected - elapsed < horizon_seconds
    )


def room(
    *,
    idle: int,
    free: int,
    waiting: int,
    waiting_seconds: float,
    typical_seconds: float,
    horizon_seconds: float,
    most: int,
) -> int:
    """Return how many jobs to claim so that each starts within about ``horizon_seconds``.

    ``idle`` slots have nothing to do, ``free`` are idle or will be soon; ``waiting`` jobs are claimed
    and not begun, expected to run ``waiting_seconds`` in all. Every idle slot may have one job, however
    long; ``most`` bounds what waits.
    """
    budget_seconds = free * horizon_seconds - waiting_seconds
    by_time = int(budget_seconds / typical_seconds) if typical_seconds > 0 else most
    return max(0, min(max(by_time, idle - waiting), most - waiting))


def share_room(*, sync_room: int, async_room: int, async_share: float) -> int:
    """Return how many to claim where a claim cannot choose between plain and async jobs.

    ``async_share`` is the part of lately claimed jobs that was async, 0 to 1. Neither kind is to get
    more than its room.
    """
    bounds = []
    if async_share < 1:
        bounds.append(sync_room / (1 - async_share))
    if async_share > 0:
        bounds.append(async_room / async_share)
    return int(min(bounds))


def _moved(before: float | None, newest: float) -> float:
    return newest if before is None else before + _WEIGHT * (newest - before)
