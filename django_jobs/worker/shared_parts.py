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
        self.thread_capacity = SharedCapacity(options.concurrency, JobProcess, JobProcess.stop_idle)
        self.async_capacity: SharedCapacity[None] = SharedCapacity(
            settings.worker.async_concurrency, lambda: None, lambda _: None
        )

    def set_overdue(self, database: str, *, is_overdue: bool) -> bool:
        """Tell whether a database answers the heartbeat in time; true if that is a change."""
        changed = self.thread_capacity.set_overdue(database, is_overdue=is_overdue)
        return self.async_capacity.set_overdue(database, is_overdue=is_overdue) or changed

    def end_job_processes(self) -> None:
        """End those that are idle, once all runs have ended."""
        for job_process in list(self.thread_capacity.grants):
            job_process.stop_idle()

    def kill_job_processes(self) -> None:
        """Kill all; their runs were decided about."""
        for job_process in list(self.thread_capacity.grants):
            job_process.close()
