"""What ``runworker`` was told, as one value that travels to the child processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """``queues`` None: all, also those created later. ``max_jobs`` and ``max_memory_bytes`` are per process."""

    queues: tuple[str, ...] | None = None
    concurrency: int = 4
    processes: int = 1
    burst: bool = False
    max_jobs: int | None = None
    max_memory_bytes: int | None = None
    reload: bool = False
    verbosity: int = 1
