"""Log how runs end: one record each, with the fields of the job, and the traceback where the exception is still alive.

::

    ERROR    the job is dead
    WARNING  it failed, was lost or interrupted, and runs again; it is not known here; it expired before it started
    DEBUG    it succeeded, snoozed, was cancelled, or was released while it ran
    none     it was not started: it is given back, or waits for permits
"""

from __future__ import annotations

import logging
from contextlib import suppress

from ...log_records import ExceptionInfo, log_job
from ...policy.decide import Decision
from ...policy.error_text import error_text
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..dialects.base.jobs import FinishedRun

logger = logging.getLogger("django_jobs.worker")

MAX_ERROR_CHARS = 200

_Text = tuple[str, tuple[object, ...]]
"""A predicate of the job, and the arguments of its format."""


def log_end(ended: FinishedRun, *, exc_info: ExceptionInfo | None = None) -> None:
    """Log the end of a run; a failure with the traceback, if it is given. Never raises, whatever a handler does."""
    level = _level(ended.decision)
    if level and logger.isEnabledFor(level):
        is_failure = level > logging.DEBUG
        with suppress(BaseException):
            text, args = _failure_text(ended) if is_failure else _text(ended)
            log_job(logger, level, ended.claim, text, *args, exc_info=exc_info if is_failure else None)


def logs_successes() -> bool:
    """Tell whether ``log_end`` has anything to say of a success."""
    return logger.isEnabledFor(logging.DEBUG)


def _level(decision: Decision) -> int:
    if decision.state is State.SUCCEEDED:
        return logging.DEBUG
    if decision.state is State.DEAD:
        return logging.ERROR
    if decision.name_unknown or decision.has_expired or _is_interrupted(decision):
        return logging.WARNING
    if decision.error is not None and decision.state is not State.CANCELLED:
        return logging.WARNING
    return logging.NOTSET if decision.attempt_outcome is None else logging.DEBUG


def _is_interrupted(decision: Decision) -> bool:
    """Tell whether the jobs' database went away, before the function was called or in it."""
    is_before_call = decision.delay is not None and decision.attempt_outcome is None and not decision.name_unknown
    return is_before_call or decision.after_interruptions is not None


def _failure_text(ended: FinishedRun) -> _Text:
    claim, decision = ended.claim, ended.decision
    error = error_text(decision.error.error_class, decision.error.message[:MAX_ERROR_CHARS]) if decision.error else ""
    if decision.state is State.DEAD:
        attempts = f"{claim.attempt} attempt{'' if claim.attempt == 1 else 's'}"
        return "is dead (%s) after %s: %s", (decision.death, attempts, error)
    if decision.has_expired:
        return "expired before it started; it is cancelled", ()
    if decision.name_unknown:
        text = (
            "is not known here: no job of this name is registered; retry in %s. Jobs are registered by the modules"
            " <app>/jobs.py of INSTALLED_APPS"
        )
        return text, (decision.delay,)
    if _is_interrupted(decision):
        text = "was interrupted: the database went away under it; it runs again, and no attempt counts: %s"
        return text, (error or "its function had not started",)
    if decision.attempt_outcome is AttemptOutcome.LOST:
        return "was lost, and runs again: %s", (error,)
    text = "failed (attempt %s of %s); retry in %s: %s"
    return text, (claim.attempt, claim.max_attempts, decision.delay, error)


def _text(ended: FinishedRun) -> _Text:
    decision = ended.decision
    if ended.started is None:
        return "was %s before it started", (decision.state.value,)
    seconds = ended.finished - ended.started
    match decision.attempt_outcome:
        case AttemptOutcome.SNOOZED:
            return "snoozed for %s after %.3f s", (decision.delay, seconds)
        case AttemptOutcome.CANCELLED if decision.error is not None:
            return "was cancelled after %.3f s: %s", (seconds, decision.error.message[:MAX_ERROR_CHARS])
        case AttemptOutcome.RELEASED:
            return "was released after %.3f s; it runs again, and no attempt counts", (seconds,)
        case _:
            return "%s in %.3f s", (decision.state.value, seconds)
