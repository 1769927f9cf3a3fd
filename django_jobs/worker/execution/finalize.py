"""The last step of a run: decide what follows from its outcome, and log it."""

from __future__ import annotations

from datetime import timedelta

from ...policy.decide import SUCCEEDED_WITHOUT_RESULT, JobFacts, decide, decide_success
from ...policy.flags import JobFlag
from ...policy.outcomes import SUCCEEDED, Outcome, PermitsMissing, Succeeded
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.lifecycle.end_log import log_end, logs_successes
from ..system.forked_copies import end_copy_since
from .errors import exception_info
from .runtime import Run, RunContext


def finalize_run(run: Run, outcome: Outcome) -> FinishedRun:
    """Decide and log what follows from the outcome of an executed run, except in a copy of this process."""
    if outcome is SUCCEEDED and run.started is not None and not logs_successes():
        end_copy_since(run.forks)  # nearly all runs: there is nothing to decide, and nothing to say
        finished = max(run.context.clock.seconds(), run.started)
        return FinishedRun(run.claim, SUCCEEDED_WITHOUT_RESULT, run.started, finished)
    ended = decide_end(run, outcome)
    log_run(run, ended)
    return ended


def finalize(
    claim: Claim,
    outcome: Outcome,
    context: RunContext,
    *,
    started: float | None = None,
    error: BaseException | None = None,
) -> FinishedRun:
    """Decide and log what follows from an outcome that no step of a run has found; ``error``: what it is due to."""
    ended = _decide(claim, outcome, context, started)
    log_end(ended, exc_info=None if error is None else exception_info(error))
    return ended


def decide_end(run: Run, outcome: Outcome) -> FinishedRun:
    """Decide what follows from the outcome of an executed run; the caller logs it."""
    end_copy_since(run.forks)
    claim = run.claim
    if run.is_called and run.job.max_attempts > claim.max_attempts:  # the function has allowed more
        claim = claim._replace(max_attempts=run.job.max_attempts)
    return _decide(claim, outcome, run.context, run.started)


def log_run(run: Run, ended: FinishedRun) -> None:
    """Log the end of an executed run, with the exception that it is due to, and drop that."""
    error, run.error = run.error, None
    log_end(ended, exc_info=None if error is None else exception_info(error))


def _decide(claim: Claim, outcome: Outcome, context: RunContext, started: float | None) -> FinishedRun:
    """Return the run with its decision; ``started`` None: the function was not called."""
    # the worker's clock is an estimate, and may be behind the time that the claim's statement has written
    if started is not None:
        started = max(started, claim.claimed)
    finished = max(context.clock.seconds(), started or claim.claimed)
    if isinstance(outcome, Succeeded):  # nearly all runs, which depend on no facts
        return FinishedRun(claim, decide_success(outcome), started, finished)
    unknown_for = None if claim.unknown_since is None else timedelta(seconds=finished - claim.unknown_since)
    if isinstance(outcome, PermitsMissing):
        claim = claim._replace(flags=claim.flags | JobFlag.LIMITED)
    is_limited = bool(claim.flags & JobFlag.LIMITED)
    facts = JobFacts(claim.attempt, claim.max_attempts, unknown_for, claim.worker_deaths, is_limited)
    decision = decide(outcome, facts, rules=context.rules)
    fingerprint = decision.error.fingerprint if decision.error else ""
    return FinishedRun(claim, decision, started, finished, fingerprint)
