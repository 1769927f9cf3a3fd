"""Send the signals of saved runs to their receivers."""

from __future__ import annotations

from collections.abc import Sequence

from django.dispatch import Signal

from ... import signals
from ...models import DeadLetter, Job
from ...policy.decide import Decision
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import Claim, FinishedRun

_RETRIED = {AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.RETRIED, AttemptOutcome.LOST}


def has_receivers(decision: Decision) -> bool:
    """Tell whether the signal of ``decision`` has receivers."""
    signal = _signal_of(decision)
    return signal is not None and bool(signal.receivers) and signal.has_listeners(Job)


def send_signals(saved: Sequence[FinishedRun], *, using: str | None = None) -> None:
    """Send the signal of each saved run; one statement for all the jobs, one for each dead letter.

    Call it after the commit. Django logs a receiver that raises; a job that was purged meanwhile is skipped.
    """
    received = [run for run in saved if has_receivers(run.decision)]
    if not received:
        return
    _, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias).in_bulk([run.claim.job_id for run in received])
    for run in received:
        signal, job = _signal_of(run.decision), jobs.get(run.claim.job_id)
        if signal is None or job is None:
            continue
        if run.decision.state is State.DEAD:
            dead_letters = DeadLetter.objects.using(connection.alias).filter(job=job)
            signal.send_robust(sender=Job, job=job, dead_letter=dead_letters.order_by("-pk").first())
        else:
            signal.send_robust(sender=Job, job=job)


def send_started_signal(claim: Claim, *, using: str | None = None) -> None:
    """Send ``job_started``; one statement if it has receivers, none otherwise."""
    if signals.job_started.receivers and signals.job_started.has_listeners(Job):
        _, connection = open_dialect(using)
        job = Job.objects.using(connection.alias).filter(pk=claim.job_id).first()
        if job is not None:
            signals.job_started.send_robust(sender=Job, job=job)


def _signal_of(decision: Decision) -> Signal | None:
    if decision.state is State.SUCCEEDED:
        return signals.job_succeeded
    if decision.state is State.DEAD:
        return signals.job_dead
    if decision.state is State.CANCELLED:
        return signals.job_cancelled
    if decision.attempt_outcome in _RETRIED:
        return signals.job_retried
    return None
