"""The options of ``runworker``, as one value that is passed to the child processes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ..policy.queue_order import FairOrder, QueueOrder, StrictOrder, WeightedOrder

THREADS, PROCESSES = "threads", "processes"
POOLS = (THREADS, PROCESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """``queues`` None: all, also those created later. ``concurrency``: plain jobs at once per worker process.

    ``databases``: aliases of those that are served; none are named: all that hold jobs.
    ``weights``: shares of the claims; ``strict``: claim from a queue only if those named before it are empty.
    ``pool``: jobs run in threads or in job processes. ``max_jobs`` and ``max_memory_bytes`` are per process
    in which jobs run. ``works``: it runs jobs; ``schedules``: it fires schedules. ``process_setup``: dotted path of
    the function that configures Django in each process. ``started``: when the command of
    all processes began, by this host's monotonic clock.
    """

    databases: tuple[str, ...] = ()
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
    process_setup: str | None = None
    health_port: int | None = None
    health_address: str = "127.0.0.1"
    verbosity: int = 1
    started: float = field(default_factory=time.monotonic)

    def of_database(self, alias: str, *, schedules_in: str) -> WorkerOptions:
        """Return the options of the worker for one database: schedules fire in the one in which they are."""
        return replace(self, databases=(alias,), schedules=self.schedules and alias == schedules_in)

    def queue_order(self) -> QueueOrder:
        """Return the order in which to claim from the queues."""
        if self.weights is not None:
            return WeightedOrder(self.weights)
        return StrictOrder(self.queues or ()) if self.strict else FairOrder()
