"""Send the signals of saved runs to their receivers, and tell the observers of their jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from django.dispatch import Signal

from ... import signals
from ...log_records import log_job
from ...models import DeadLetter, Job
from ...observers import observers
from ...policy.decide import Decision
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..dialects import open_dialect
from ..dialects.base.jobs import FinishedRun, StartedRun

logger = logging.getLogger("django_jobs.store")

_END_SIGNALS = (signals.job_succeeded, signals.job_dead, signals.job_cancelled, signals.job_retried)
_RETRIED = {AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.RETRIED, AttemptOutcome.LOST}


def announced(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Return the runs of whose end somebody is told: receivers of a signal, or an observer of the job."""
    if not any(signal.receivers for signal in _END_SIGNALS):
        return [run for run in runs if run.claim.name in observers and _is_observed(run)] if observers else []
    return [run for run in runs if (observers and _is_observed(run)) or _has_receivers(run.decision)]


def announce_ends(saved: Sequence[FinishedRun], *, worker_id: int, using: str | None = None) -> None:
    """Tell observers and send the signal of each saved run; one statement for all the jobs, one for each dead letter.

    Call it after the commit. A receiver or observer that raises is logged; a job that was purged meanwhile is skipped.
    """
    messages = list(_messages(saved, using))  # all is read before anybody is told: who reads in vain does it again
    if observers:
        for run in filter(_is_observed, saved):
            _tell_observer(run, worker_id)
    for run, signal, values in messages:
        try:
            signal.send_robust(sender=Job, **values)
        except SystemExit:
            log_job(logger, logging.ERROR, run.claim, "has a signal whose receiver exited", exc_info=True)


def _messages(saved: Sequence[FinishedRun], using: str | None) -> Iterator[tuple[FinishedRun, Signal, dict[str, Any]]]:
    received = [run for run in saved if _has_receivers(run.decision)]
    if not received:
        return
    _, connection = open_dialect(using)
    jobs = Job.objects.using(connection.alias).in_bulk([run.claim.job_id for run in received])
    for run in received:
        signal, job = _signal_of(run.decision), jobs.get(run.claim.job_id)
        if signal is None or job is None:
            continue
        values: dict[str, Any] = {"job": job}
        if run.decision.state is State.DEAD:
            dead_letters = DeadLetter.objects.using(connection.alias).filter(job=job)
            values["dead_letter"] = dead_letters.order_by("-pk").first()
        yield run, signal, values


def announce_start(run: StartedRun, *, using: str | None = None) -> None:
    """Tell the observer and send ``job_started``; one statement if it has receivers, none otherwise."""
    if observers and (observer := observers.get(run.claim.name)) is not None:
        observer.run_started(run)
    if signals.job_started.receivers and signals.job_started.has_listeners(Job):
        _, connection = open_dialect(using)
        job = Job.objects.using(connection.alias).filter(pk=run.claim.job_id).first()
        if job is not None:
            signals.job_started.send_robust(sender=Job, job=job)


def start_may_block(name: str) -> bool:
    """Tell whether ``announce_start`` may use the database."""
    return bool(signals.job_started.receivers) or (
        bool(observers) and (observer := observers.get(name)) is not None and observer.may_block()
    )


def is_start_announced(name: str) -> bool:
    """Tell whether anybody is told of the start of such a job."""
    return bool(signals.job_started.receivers) or (bool(observers) and name in observers)


def _is_observed(run: FinishedRun) -> bool:
    observer = observers.get(run.claim.name)
    return observer is not None and observer.is_told_of_end(run)


def _tell_observer(run: FinishedRun, worker_id: int) -> None:
    try:
        observers[run.claim.name].run_ended(run, worker_id=worker_id)
    except (Exception, SystemExit):  # noqa: BLE001 - code of another app
        log_job(logger, logging.ERROR, run.claim, "has an observer that failed", exc_info=True)


def _has_receivers(decision: Decision) -> bool:
    signal = _signal_of(decision)
    return signal is not None and bool(signal.receivers) and signal.has_listeners(Job)


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
