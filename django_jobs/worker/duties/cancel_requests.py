"""Pass cancellation requests on to running jobs: one check a second for all active claims of a worker.

A check is one statement by the jobs' keys, made only if a job has been running for a while: a worker of short jobs
pays nothing.
"""

from __future__ import annotations

import logging
import time

from ...log_records import log_job
from ...store.dialects.base.jobs import Claim
from ...store.lifecycle.cancel import cancel_requested_ids
from ..execution.runtime import WorkerContext
from ..executors.base import Executor, take_waiting

logger = logging.getLogger("django_jobs.worker")

CHECK_INTERVAL_SECONDS = 1.0
MIN_RUNNING_SECONDS = 0.25
"""A worker whose jobs have all been running for less than this does not check."""


class CancelWatcher:
    """``step`` is one check and returns the seconds until the next.

    A request is passed on once per run. A claim that was not started is released instead: its finish cancels the job.
    """

    def __init__(self, context: WorkerContext, executors: tuple[Executor, ...]) -> None:
        self._context = context
        self._executors = executors
        self._notified: dict[int, Claim] = {}

    def step(self) -> float:
        """Check if it is worthwhile."""
        latest_start = time.monotonic() - MIN_RUNNING_SECONDS
        if any(since <= latest_start for executor in self._executors for _, since in executor.running()):
            self.check()
        return CHECK_INTERVAL_SECONDS

    def check(self) -> None:
        """Check now, however long the jobs have been running."""
        self._check(self._context.active_claims.copy())

    def was_requested(self, claim: Claim) -> bool:
        """Tell whether a check has found the request to cancel this run; no statement."""
        return self._notified.get(claim.job_id) is claim

    def _check(self, claims: dict[int, Claim]) -> None:
        self._notified = {pk: claim for pk, claim in self._notified.items() if claims.get(pk) is claim}
        unnotified = claims.keys() - self._notified.keys()
        for job_id in cancel_requested_ids(unnotified, using=self._context.using):
            claim = claims[job_id]
            if any(self._deliver(executor, claim) for executor in self._executors):
                self._notified[job_id] = claim
                log_job(logger, logging.DEBUG, claim, "is told that its cancellation was requested")

    def _deliver(self, executor: Executor, claim: Claim) -> bool:
        if not take_waiting(executor, claim):
            return executor.interrupt(claim)
        self._context.events.claim_released(claim)
        return True
