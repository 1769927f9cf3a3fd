"""Report what this worker runs: with each heartbeat, and in between if a run has become long.

A worker that turns busy, or whose run has become long, reports that once before its next heartbeat. Else the heartbeat
carries the report: no job costs a statement.
"""

from __future__ import annotations

import time
from typing import Any

from ...policy.activity import ASYNC, PROCESS, THREAD, Activity, ReportedRun, oldest_first
from ...store.dialects.base.jobs import Claim
from ...store.workers import report_activity
from ..execution.runtime import WorkerContext
from ..executors.base import Executor, running_claims

LONG_SECONDS = 1.0
"""A run is reported before the next heartbeat once it takes so long."""


class ActivityReport:
    """``read`` returns the report for a heartbeat; ``step`` sends one if it cannot wait."""

    def __init__(self, context: WorkerContext, *, threads: Executor, event_loop: Executor) -> None:
        self._context = context
        self._threads = threads
        self._event_loop = event_loop
        self._reported: set[tuple[int, int]] = set()
        self._was_busy = False

    def read(self) -> dict[str, Any]:
        """Return what runs now, and remember it as reported."""
        context, now = self._context, self._context.clock.seconds() - time.monotonic()
        in_threads, in_loop = running_claims(self._threads), running_claims(self._event_loop)
        runs = [
            _as_run(claim, now + since, PROCESS if context.isolates(claim) else THREAD) for claim, since in in_threads
        ]
        runs += [_as_run(claim, now + since, ASYNC) for claim, since in in_loop]
        self._reported = {run[:2] for run in runs}
        self._was_busy = bool(runs)
        return Activity(
            threads=len(self._threads.busy()),
            async_runs=len(self._event_loop.busy()),
            async_capacity=self._event_loop.capacity,
            claimed=len(context.active_claims),
            runs=oldest_first(runs),
        ).as_json()

    def step(self) -> None:
        """Send a report if a run has become long since the last one, or if there was none then."""
        latest_start = time.monotonic() - LONG_SECONDS
        runs = running_claims(self._threads) + running_claims(self._event_loop)
        if (runs and not self._was_busy) or any(
            since <= latest_start and (claim.job_id, claim.claim_number) not in self._reported for claim, since in runs
        ):
            report_activity(self._context.worker_id, self.read(), using=self._context.using)


def _as_run(claim: Claim, started: float, place: str) -> ReportedRun:
    return ReportedRun(claim.job_id, claim.claim_number, round(started, 3), place)
