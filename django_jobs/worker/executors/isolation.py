"""Run each plain job in a context of its own, on connections in which no earlier job has left anything."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Context

from ...conf.database import set_database
from ...policy.decide import SUCCEEDED_WITHOUT_RESULT
from ...policy.outcomes import AttemptOutcome
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.chunk import Ends, execute_chunk, is_chunk_job
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
    finished = Context().run(_execute, claim, context)
    reset_connections({(context.using, claim.job_id): has_failed(finished)})
    return finished


def run_chunk_isolated(claims: Sequence[Claim], context: RunContext) -> Ends:
    """Execute plain jobs of a chunk in this thread, in one call."""
    if not is_chunk_job(claims[0]):
        return [run_isolated(claim, context) for claim in claims]
    check_idle_connections()
    ended = Context().run(_execute_chunk, claims, context)
    reset_connections({(context.using, run.claim.job_id): has_failed(run) for run in ended})
    return ended


def _execute(claim: Claim, context: RunContext) -> FinishedRun | CommittedRun:
    set_database(context.using)
    return execute(claim, context)


def _execute_chunk(claims: Sequence[Claim], context: RunContext) -> Ends:
    set_database(context.using)
    return execute_chunk(claims, context)


def has_failed(run: FinishedRun | CommittedRun) -> bool:
    """Tell whether a run was ended by an error, so that its sessions may be left half-way."""
    finished = run.finished if isinstance(run, CommittedRun) else run
    if finished is not None and finished.decision is SUCCEEDED_WITHOUT_RESULT:
        return False  # as nearly all: the set would compute the hash of an enumeration's member
    return finished is None or finished.decision.attempt_outcome not in _ORDERLY_OUTCOMES
