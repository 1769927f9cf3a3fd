"""Send the signals of Tasks: ``task_started`` and ``task_finished``, with results made from the worker's claim.

Django's own receivers, which log, always listen; so no statement is made for them. For a receiver of a project or a
library, a job that has run before is read: its earlier attempts are part of its result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...conf.database import current_database
from ...policy.states import FINAL_STATES, State
from .results import NO_HISTORY, History, TaskResults

if TYPE_CHECKING:
    from ...models import Job
    from ...store.dialects.base.jobs import Claim, FinishedRun, StartedRun


class TaskObserver:
    """Tells the receivers of one Task's runs. An exception of a receiver is logged by Django."""

    def __init__(self, results: TaskResults, sender: type) -> None:
        self._results = results
        self._root = results.root
        self._signals = results.root.signals
        self._sender = sender

    def may_block(self) -> bool:
        """Return whether anybody but the root itself listens."""
        return self._root.has_receivers(self._signals.task_started)

    def is_told_of_end(self, run: FinishedRun) -> bool:
        """Return whether this is the end of the job, and anybody listens."""
        state = run.decision.state
        if state is State.SUCCEEDED:
            return self._is_heard(self._signals.task_finished)
        return state in FINAL_STATES

    def run_started(self, run: StartedRun) -> None:
        """Send ``task_started``."""
        signal = self._signals.task_started
        if self._is_heard(signal):
            self._send(signal, self._results.at_start(run, self._history(signal, run.claim)))

    def run_ended(self, run: FinishedRun, *, worker_id: int) -> None:
        """Send ``task_finished``."""
        signal, claim, retention = self._signals.task_finished, run.claim, run.decision.result_retention
        if not claim.arguments or (retention is not None and retention.file_name):
            self._send_row(claim.job_id)
        else:
            history = self._history(signal, claim)
            self._send(signal, self._results.at_end(run, worker_id=worker_id, history=history))

    def job_cancelled(self, job: Job) -> None:
        """Send ``task_finished`` for a job that was cancelled while it waited."""
        self._send(self._signals.task_finished, self._results.of_row(job))

    def _history(self, signal: Any, claim: Claim) -> History:
        if claim.claim_number == 1 or not self._root.has_receivers(signal):
            return NO_HISTORY
        return self._results.history(claim.job_id, before=claim.claim_number, using=current_database())

    def _send_row(self, job_id: int) -> None:
        from ...models import Job

        row = Job.objects.using(current_database()).filter(pk=job_id).first()
        if row is not None:
            self._send(self._signals.task_finished, self._results.of_row(row))

    def _send(self, signal: Any, result: Any) -> None:
        signal.send_robust(sender=self._sender, task_result=result)

    def _is_heard(self, signal: Any) -> bool:
        return self._root.is_logging() or self._root.has_receivers(signal)
