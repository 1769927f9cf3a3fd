"""A WorkerContext without a worker: its events are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_jobs.conf import get_settings
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.worker.execution.events import CommittedRun, LogUpdate, ProgressUpdate
from django_jobs.worker.execution.runtime import WorkerContext
from django_jobs.worker.options import WorkerOptions


class RecordedEvents:
    """WorkerEvents that are kept in lists."""

    def __init__(self) -> None:
        self.worker_ids: list[int] = []
        self.started: list[int] = []
        self.updates: list[ProgressUpdate | LogUpdate] = []
        self.finished: list[FinishedRun | CommittedRun] = []
        self.released: list[Claim] = []
        self.saved: list[FinishedRun] = []
        self.delays: list[float] = []
        self.polls: list[float] = []
        self.notified: list[tuple[str | None, int | None]] = []
        self.stops: list[str] = []
        self.freed = self.batches = self.schedule_changes = 0

    def registered(self, worker_id: int) -> None:
        self.worker_ids.append(worker_id)

    def job_started(self, job_id: int) -> None:
        self.started.append(job_id)

    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        self.updates.append(update)

    def run_finished(self, run: FinishedRun | CommittedRun) -> None:
        self.finished.append(run)

    def runs_finished(self, runs: Sequence[FinishedRun | CommittedRun]) -> None:
        self.finished.extend(runs)

    def claim_released(self, claim: Claim) -> None:
        self.released.append(claim)

    def capacity_freed(self) -> None:
        self.freed += 1

    def runs_saved(self, runs: Sequence[FinishedRun]) -> None:
        self.saved.extend(runs)

    def batch_saved(self) -> None:
        self.batches += 1

    def work_due_in(self, seconds: float) -> None:
        self.delays.append(seconds)

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None, priority: int | None = None) -> None:
        self.polls.append(poll_seconds)
        self.notified.append((queue_name, priority))

    def schedules_changed(self) -> None:
        self.schedule_changes += 1

    def stop(self, reason: str, exit_code: int) -> None:
        self.stops.append(reason)

    def kill(self, reason: str) -> None:
        self.stops.append(reason)

    def failed(self, reason: str) -> None:
        self.stops.append(reason)


def make_context(events: RecordedEvents, *, worker_id: int = 0, **options: Any) -> WorkerContext:
    """Return the context of a worker with these options."""
    return WorkerContext(settings=get_settings(), options=WorkerOptions(**options), events=events, worker_id=worker_id)
