"""How many jobs to claim at once: enough to keep the executors busy, no more than they start soon.

A claimed job that does not run yet is unavailable to other workers. So the claimer claims about a quarter
of a second of work, estimated from the recent run times of each job definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_WEIGHT = 0.2
"""Weight of the newest batch in a moving average."""
_QUICKEST_SECONDS = 1e-6


@dataclass(slots=True, kw_only=True)
class RunTimes:
    """Moving averages of run times in seconds: by job name, and by queue for jobs not yet claimed.

    ``chunk_sizes``: of the jobs that are called many at once, by name. By queue each of them counts as its part of a
    full chunk, and a chunk as no more than ``unknown_seconds``: an idle slot may have a whole chunk, however long.
    """

    unknown_seconds: float
    by_name: dict[str, float] = field(default_factory=dict)
    by_queue: dict[str, float] = field(default_factory=dict)
    chunk_sizes: dict[str, int] = field(default_factory=dict)

    def record(self, runs: Mapping[tuple[str, str], Sequence[float]]) -> None:
        """Add runs that just ended: by job name and queue name, the seconds of each."""
        names: dict[str, list[float]] = {}
        queues: dict[str, list[float]] = {}
        for (name, queue_name), seconds in runs.items():
            names.setdefault(name, []).extend(seconds)
            parts = [self._part_of_chunk(name, each) for each in seconds] if name in self.chunk_sizes else seconds
            queues.setdefault(queue_name, []).extend(parts)
        _update_averages(self.by_name, names)
        _update_averages(self.by_queue, queues)

    def expected(self, name: str) -> float:
        """Return the expected run time of a job of this name."""
        return self.by_name.get(name, self.unknown_seconds)

    def expected_of_chunk(self, name: str, number: int) -> float:
        """Return the share of an executor's time that a chunk of so many jobs takes."""
        return number * self._part_of_chunk(name, self.expected(name))

    def _part_of_chunk(self, name: str, seconds: float) -> float:
        return min(seconds, self.unknown_seconds) / self.chunk_sizes.get(name, 1)

    def typical(self, queue_name: str) -> float:
        """Return the expected run time of the next job of this queue."""
        return self.by_queue.get(queue_name, self.unknown_seconds)


@dataclass(slots=True, kw_only=True)
class Backlog:
    """The work of one executor at this moment.

    ``idle`` slots have nothing to do, ``free`` ones are idle or will be within the horizon; ``waiting`` jobs
    are claimed and not started, expected to run ``waiting_seconds`` in total.
    """

    idle: int
    free: int
    waiting: int
    waiting_seconds: float

    def add(self, number: int, seconds_each: float) -> None:
        """Add jobs that were just claimed."""
        self.waiting += number
        self.waiting_seconds += number * seconds_each


def slots_free_soon(running: Iterable[tuple[float, float]], *, idle: int, horizon_seconds: float) -> int:
    """Return how many slots are idle or will be within the horizon.

    ``running``: (expected, elapsed) seconds of each running job. A job that exceeds its expected time
    counts as busy: nothing is known about its end.
    """
    return idle + sum(
        1 for expected, elapsed in running if elapsed < horizon_seconds and expected - elapsed < horizon_seconds
    )


def claim_limit(stock: Backlog, *, typical_seconds: float, horizon_seconds: float, max_waiting: int) -> int:
    """Return how many jobs to claim so that each starts within about ``horizon_seconds``.

    Every idle slot may get one job, however long; ``max_waiting`` bounds the waiting ones. 0 until half of the
    possible waiting jobs have started: otherwise each end of a run would claim a single job.
    """
    budget_seconds = stock.free * horizon_seconds - stock.waiting_seconds
    if max_waiting * typical_seconds <= budget_seconds:
        by_time = max_waiting
    else:
        by_time = int(budget_seconds / typical_seconds) if budget_seconds > 0 else 0
    more = max(0, min(max(by_time, stock.idle - stock.waiting), max_waiting - stock.waiting))
    return more if more >= stock.waiting or stock.idle > stock.waiting else 0


def has_room(stock: Backlog, *, horizon_seconds: float, max_waiting: int) -> bool:
    """Tell whether ``claim_limit`` allows any claim, at least of jobs that take next to no time."""
    limit = claim_limit(
        stock, typical_seconds=_QUICKEST_SECONDS, horizon_seconds=horizon_seconds, max_waiting=max_waiting
    )
    return limit > 0


def mixed_claim_limit(*, sync_limit: int, async_limit: int, async_share: float) -> int:
    """Return how many jobs to claim if a claim cannot choose between plain and async jobs.

    ``async_share``: fraction of recently claimed jobs that were async, 0 to 1. Neither kind gets more than
    its limit.
    """
    bounds = []
    if async_share < 1:
        bounds.append(sync_limit / (1 - async_share))
    if async_share > 0:
        bounds.append(async_limit / async_share)
    return int(min(bounds))


def _update_averages(averages: dict[str, float], newest: Mapping[str, Sequence[float]]) -> None:
    for key, seconds in newest.items():
        before = averages.get(key)
        mean = sum(seconds) / len(seconds)
        averages[key] = mean if before is None else before + _WEIGHT * (mean - before)
