"""Announce: send the signals of runs that have been saved, where somebody listens."""

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
    """Tell whether anybody listens to the signal that follows from ``decision``."""
    signal = _signal_of(decision)
    return signal is not None and bool(signal.receivers) and signal.has_listeners(Job)


def send_signals(saved: Sequence[FinishedRun], *, using: str | None = None) -> None:
    """Send each saved run's signal to its receivers; one statement for all the jobs, one for a dead letter.

    Call it after the commit. A receiver that raises is logged by Django; a job that was purged
    meanwhile is passed over.
    """
    heard = [one for one in saved if has_receivers(one.decision)]
    if not heard:
        return
    _, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias).in_bulk([one.claim.job_id for one in heard])
    for one in heard:
        signal, job = _signal_of(one.decision), jobs.get(one.claim.job_id)
        if signal is None or job is None:
            continue
        if one.decision.state is State.DEAD:
            letters = DeadLetter.objects.using(connection.alias).filter(job=job)
            signal.send_robust(sender=Job, job=job, dead_letter=letters.order_by("-pk").first())
        else:
            signal.send_robust(sender=Job, job=job)


def send_started_signal(claim: Claim, *, using: str | None = None) -> None:
    """Send ``job_started`` where somebody listens; one statement then, none otherwise."""
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
