"""The last step of a run: decide what follows from its outcome."""

from __future__ import annotations

from datetime import timedelta

from ...policy.decide import JobFacts, decide
from ...policy.flags import JobFlag
from ...policy.outcomes import Outcome, PermitsMissing
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..forked_copies import end_copy_since
from .runtime import Run, RunContext


def finalize_run(run: Run, outcome: Outcome) -> FinishedRun:
    """Decide what follows from the outcome of an executed run, except in a copy of this process that the run made."""
    end_copy_since(run.forks)
    return finalize(run.claim, outcome, run.context, started=run.started)


def finalize(claim: Claim, outcome: Outcome, context: RunContext, *, started: float | None = None) -> FinishedRun:
    """Decide what follows from ``outcome``; ``started`` None: the function was not called."""
    finished = context.clock.seconds()
    unknown_for = None if claim.unknown_since is None else timedelta(seconds=finished - claim.unknown_since)
    if isinstance(outcome, PermitsMissing):
        claim = claim._replace(flags=claim.flags | JobFlag.LIMITED)
    is_limited = bool(claim.flags & JobFlag.LIMITED)
    facts = JobFacts(claim.attempt, claim.max_attempts, unknown_for, claim.worker_deaths, is_limited)
    decision = decide(outcome, facts, rules=context.rules)
    fingerprint = decision.error.fingerprint if decision.error else ""
    if started is not None:
        finished = max(finished, started)  # the clock may have been set back a little during the run
    return FinishedRun(claim, decision, started, finished, fingerprint)
