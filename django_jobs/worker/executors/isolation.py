"""Run each plain job in a context of its own, on connections in which no earlier job has left anything."""

from __future__ import annotations

from contextvars import Context

from ...policy.outcomes import AttemptOutcome
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.events import CommittedRun
from ..execution.run import execute
from ..execution.runtime import RunContext
from ..threads.connections import check_idle_connections, reset_connections

_ORDERLY_OUTCOMES = {
    AttemptOutcome.SUCCEEDED,
    AttemptOutcome.SNOOZED,
    AttemptOutcome.RETRIED,
    AttemptOutcome.DISCARDED,
}


def run_isolated(claim: Claim, context: RunContext) -> FinishedRun | CommittedRun:
    """Execute a plain job in this thread."""
    check_idle_connections()
    # Empty, not a copy: a copy shares values such as decimal's context, which a job may change in place.
    finished = Context().run(execute, claim, context)
    reset_connections({claim.job_id: has_failed(finished)})
    return finished


def has_failed(run: FinishedRun | CommittedRun) -> bool:
    """Tell whether a run was ended by an error, so that its sessions may be left half-way."""
    finished = run.finished if isinstance(run, CommittedRun) else run
    return finished is None or finished.decision.attempt_outcome not in _ORDERLY_OUTCOMES
