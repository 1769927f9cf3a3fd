"""The reports that the parts of a worker make to each other: two protocols and their values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from ...policy.log_lines import LogExcerpt
from ...store.dialects.base.jobs import Claim, FinishedRun


class ProgressUpdate(NamedTuple):
    """Progress or metadata fields of a running job, to be saved while its claim is valid."""

    claim: Claim
    fields: dict[str, Any]


class LogUpdate(NamedTuple):
    """Notice of new log lines; ``lines`` returns the excerpt to save, as of the moment of the call."""

    claim: Claim
    lines: Callable[[], LogExcerpt]


class CommittedRun(NamedTuple):
    """A run whose finish is committed already; ``finished`` is None if its claim was lost and all was rolled back.

    ``otherwise``: the end to save if the commit did not come through; the connection broke before its answer.
    """

    claim: Claim
    finished: FinishedRun | None
    otherwise: FinishedRun | None = None


class RunEvents(Protocol):
    """Reports of a run while it executes."""

    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        """Save an update in the background; returns at once."""


class WorkerEvents(RunEvents, Protocol):
    """Reports of a worker's parts to the worker. Every method may be called from any thread."""

    def registered(self, worker_id: int) -> None:
        """The process has a row in the table of workers, hence a new id."""

    def job_started(self, job_id: int) -> None:
        """An executor starts a job."""

    def run_finished(self, run: FinishedRun | CommittedRun) -> None:
        """A run has ended and is to be saved."""

    def runs_finished(self, runs: Sequence[FinishedRun | CommittedRun]) -> None:
        """These runs have ended and are to be saved together."""

    def claim_released(self, claim: Claim) -> None:
        """A claimed job will not be started here; another worker can have it."""

    def capacity_freed(self) -> None:
        """An executor can take more claims."""

    def runs_saved(self, runs: Sequence[FinishedRun]) -> None:
        """The finishes of these runs are committed."""

    def batch_saved(self) -> None:
        """The finisher has saved a batch and no longer holds its claims."""

    def work_due_in(self, seconds: float) -> None:
        """A job was scheduled that is due after ``seconds``."""

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None, priority: int | None = None) -> None:
        """Jobs were enqueued; claim now, and poll often for ``poll_seconds``. None: in any queue, of any priority."""

    def schedules_changed(self) -> None:
        """A schedule was changed."""

    def stop(self, reason: str, exit_code: int) -> None:
        """The process should drain and end; the first reason counts."""

    def kill(self, reason: str) -> None:
        """The process should end at once; running jobs are released, or cancelled if that was requested."""

    def failed(self, reason: str) -> None:
        """A part of the worker is broken; the process should drain and end with an error."""
