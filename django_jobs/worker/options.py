"""What ``runworker`` was told, as one value that travels to the child processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ..policy.queue_order import FairOrder, QueueOrder, StrictOrder, WeightedOrder

THREADS, PROCESSES = "threads", "processes"
POOLS = (THREADS, PROCESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """``queues`` None: all, also those created later. ``concurrency`` is the number of slots a worker process has.

    ``weights``: shares of the jobs taken; ``strict``: nothing of a queue while one named before it has anything.
    ``pool``: a slot is a thread, or a process of its own. ``max_jobs`` and ``max_memory_bytes`` are per process
    in which jobs run. ``works`` and ``schedules``: what a process is there for. ``started``: when the command that all
    processes belong to began, by this host's monotonic clock.
    """

    queues: tuple[str, ...] | None = None
    weights: Mapping[str, int] | None = None
    strict: bool = False
    pool: str = THREADS
    concurrency: int = 4
    processes: int = 1
    burst: bool = False
    works: bool = True
    schedules: bool = True
    max_jobs: int | None = None
    max_memory_bytes: int | None = None
    reload: bool = False
    health_port: int | None = None
    health_address: str = "127.0.0.1"
    verbosity: int = 1
    started: float = field(default_factory=time.monotonic)

    def queue_order(self) -> QueueOrder:
        """Return the way in which to take from the queues."""
        if self.weights is not None:
            return WeightedOrder(self.weights)
        return StrictOrder(self.queues or ()) if self.strict else FairOrder()
