"""Parts that the workers of one process share, if it serves several databases: capacity, and typical run times."""

from __future__ import annotations

from ..conf import Settings
from ..policy.prefetch import RunTimes
from .executors.job_process import JobProcess
from .executors.shared_capacity import SharedCapacity
from .options import WorkerOptions


class SharedParts:
    """``thread_capacity``: ``--concurrency`` of them, ``async_capacity``: WORKER["ASYNC_CONCURRENCY"]."""

    def __init__(self, options: WorkerOptions, settings: Settings) -> None:
        self.run_times = RunTimes(unknown_seconds=settings.worker.prefetch_horizon.total_seconds())
        self.thread_capacity = SharedCapacity(JobProcess() for _ in range(options.concurrency))
        self.async_capacity: SharedCapacity[None] = SharedCapacity([None] * settings.worker.async_concurrency)

    def end_job_processes(self) -> None:
        """End those that are idle, once all runs have ended."""
        for job_process in self.thread_capacity.grants:
            job_process.stop_idle()

    def kill_job_processes(self) -> None:
        """Kill all; their runs were decided about."""
        for job_process in self.thread_capacity.grants:
            job_process.close()
