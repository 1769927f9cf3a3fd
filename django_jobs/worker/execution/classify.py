"""Turn the value or exception of a job's function into an Outcome, by the job's own options."""

from __future__ import annotations

import json
import logging
from asyncio import CancelledError
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ... import registry
from ...arguments.serialization import RESULT_NOT_STORABLE, dumps
from ...context import CANCEL_REQUESTED_MESSAGE
from ...exceptions import Cancel as CancelledByJob
from ...exceptions import Discard, JobTimeoutError, RateLimited, Retry, SerializationError, Snooze
from ...log_records import log_job
from ...policy.backoff import Exponential, retry_delay
from ...policy.durations import read_wait
from ...policy.error_text import class_text
from ...policy.outcomes import (
    SUCCEEDED,
    Cancelled,
    Discarded,
    Error,
    Failed,
    Interrupted,
    Outcome,
    Released,
    ResultRetentionSpec,
    Snoozed,
    Succeeded,
)
from ...registry import DefinedJob
from ...store.dialects.base.jobs import Claim
from .errors import describe_exception, message_of
from .interruption import is_database_error, is_interruption
from .runtime import Run, RunContext, create_job_context
from .unfinished import refuse_unfinished

logger = logging.getLogger("django_jobs.worker")

_STEERING = (Discard, Retry, JobTimeoutError)
"""Requests of the job itself: honoured whatever they were raised from."""

RESULT_LOST = Succeeded(result=json.dumps(RESULT_NOT_STORABLE))
"""The function succeeded, and its result could not be stored."""


def outcome_from_value(value: Any, run: Run) -> Succeeded | Discarded:
    """Return the success with its result as JSON text; RESULT_LOST, or the death of a job that needs its result.

    A result larger than RESULTS["MAX_BYTES"] is still to be written to RESULTS["STORAGE"] by ``offload``. Raises
    UnfinishedResultError for a coroutine, a generator and the like.
    """
    if value is None:
        return SUCCEEDED
    settings, claim = run.context.settings.results, run.claim
    ttl = run.definition.options.result_ttl or settings.ttl
    max_bytes, convert = settings.max_bytes, run.definition.convert_result
    try:
        text = dumps(value if convert is None else convert(value), what="result")
        if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
            if settings.storage is not None:
                retention = ResultRetentionSpec(ttl=ttl, storage=settings.storage)
                return Succeeded(result=text, result_retention=retention)
            raise SerializationError(f"{size} bytes; DJANGO_JOBS['RESULTS']['MAX_BYTES'] allows {max_bytes}")
    except BaseException as error:  # noqa: BLE001 - serializing an unknown type may raise anything
        refuse_unfinished(value)
        if convert is not None:
            return Discarded(error=describe_end(error, run))
        log_job(logger, logging.WARNING, claim, "succeeded; result cannot be stored: %s", message_of(error))
        return RESULT_LOST
    return Succeeded(result=text, result_retention=ResultRetentionSpec(ttl=ttl) if ttl else None)


def outcome_from_exception(error: BaseException, run: Run) -> Outcome:
    """Classify an exception: a request (Snooze, Cancel, Discard, Retry), a final failure, or one to retry.

    Never raises. An exception that cannot be classified, because its class or an option raises, is a failure to retry.
    """
    run.report_exception(error)
    if run.is_called:  # frames of the steps before hold the arguments, which a handler might show
        run.error = error
    try:
        return _classify(error, run)
    except BaseException as second:  # noqa: BLE001 - attributes and classes may raise anything
        claim = run.claim
        described = describe_exception(error, job_name=claim.name)
        text = "raised %s, which could not be classified and is retried: %s"
        log_job(logger, logging.ERROR, claim, text, class_text(described.error_class), message_of(second))
        return Failed(error=described, retry_in=Exponential().wait(claim.attempt, run.context.random))


def outcome_from_stray(error: BaseException, run: Run) -> Outcome:
    """Classify an exception that no step has handled: a failure, but no run if the database failed before the call."""
    if not run.is_called:
        run.started = None
        if is_kind(error, CancelledError):
            return Released(started=False)
        if is_database_error(error, using=run.context.using):
            return Interrupted()
    return outcome_from_exception(error, run)


def describe_end(error: BaseException, run: Run) -> Error:
    """Return the stored form of an exception that ends a run before its function is called, or after it."""
    run.report_exception(error)
    return describe_exception(error, job_name=run.claim.name)


def is_kind(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Tell whether ``except kinds`` would catch an exception: by its class, whatever it says about itself."""
    return issubclass(type(error), kinds)


def _classify(error: BaseException, run: Run) -> Outcome:
    if is_kind(error, Snooze):
        return _snoozed(error, run)
    failure = _classify_failure(error, run)
    if not isinstance(failure, Failed | Discarded) or is_kind(error, *_STEERING):
        return failure
    if not is_interruption(error, using=run.context.using):
        return failure
    return Interrupted(failure=failure if run.is_called else None)


def _classify_failure(error: BaseException, run: Run) -> Outcome:
    timed_out = is_kind(error, JobTimeoutError)
    message = f"ran longer than {timedelta(seconds=run.timeout_seconds or 0)}" if timed_out else None
    described = describe_exception(error, job_name=run.claim.name, message=message)
    if is_kind(error, CancelledByJob):
        return Cancelled(error=described)
    options = run.definition.options
    if is_kind(error, Discard, *options.discard_on):
        return Discarded(error=described)
    if is_kind(error, Retry):
        return Failed(error=described, retry_in=_requested_delay(error, run), retry_requested=True)
    retryable = _is_retryable(error, options.retry_on)
    return Failed(error=described, retry_in=_retry_delay(error, run) if retryable else None, timed_out=timed_out)


def _snoozed(error: BaseException, run: Run) -> Outcome:
    """Return the snooze; a failure if it does not say for how long: without end, it must not be free of attempts."""
    try:
        delay = read_wait("Snooze", getattr(error, "delay", None))
    except BaseException as wrong:  # noqa: BLE001 - an attribute of a user's class may raise anything
        message = f"{message_of(wrong)}; call super().__init__(delay) in a subclass"
        described = describe_exception(error, job_name=run.claim.name, message=message)
        return Failed(error=described, retry_in=_retry_delay(error, run))
    return Snoozed(delay=delay, closes_limit=is_kind(error, RateLimited))


def _requested_delay(error: BaseException, run: Run) -> timedelta | None:
    """Return the wait that a ``Retry`` asks for, the job's backoff if it names none or an invalid one."""
    try:
        after = getattr(error, "after", None)
        if after is not None:
            return read_wait("Retry", after)
    except BaseException as wrong:  # noqa: BLE001 - as above
        text = "asked for a retry without a valid wait; the backoff is used instead: %s"
        log_job(logger, logging.ERROR, run.claim, text, message_of(wrong))
    return _retry_delay(error, run)


def timeout_seconds(claim: Claim) -> float | None:
    """Return how long a run of this job may take, None if there is no limit or no definition."""
    definition = registry.find(claim.name)
    return None if definition is None else defined_timeout_seconds(definition, claim)


def defined_timeout_seconds(definition: DefinedJob, claim: Claim) -> float | None:
    """Return how long a run of this definition's job may take, None if there is no limit."""
    timeout: timedelta | None = definition.options.resolve("timeout", claim.queue_name)
    return timeout.total_seconds() if timeout else None


def outcome_of_timeout(claim: Claim, context: RunContext) -> Outcome:
    """Return the outcome of a run that did not end at its JobTimeoutError and is abandoned with its process."""
    return outcome_of_error(JobTimeoutError(), claim, context)


def outcome_of_cancellation(claim: Claim) -> Cancelled:
    """Return the outcome of a run that does not begin, or is abandoned, because cancellation was requested."""
    return Cancelled(error=describe_exception(CancelledByJob(CANCEL_REQUESTED_MESSAGE), job_name=claim.name))


def outcome_of_error(error: BaseException, claim: Claim, context: RunContext) -> Outcome:
    """Return the outcome of a run that failed outside of its function."""
    run = Run(claim, context)
    run.definition = registry.get(claim.name)
    run.timeout_seconds = timeout_seconds(claim)
    run.job = run.context_argument = create_job_context(claim, context)
    if run.definition.context_needs_read:
        with suppress(Exception):  # the database does not answer
            run.context_argument = run.definition.context_argument(run.job, run.as_started())
    return outcome_from_exception(error, run)


def _is_retryable(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> bool:
    """Treat SystemExit and the like as an Exception: inside a job they mean no more."""
    return is_kind(error, *retry_on) or (not is_kind(error, Exception) and Exception in retry_on)


def _retry_delay(error: BaseException, run: Run) -> timedelta | None:
    claim, random = run.claim, run.context.random
    backoff = run.definition.options.resolve("backoff", claim.queue_name)
    try:
        return retry_delay(
            backoff,
            exception=error,  # type: ignore[arg-type]  # a SystemExit is passed on unchanged
            context=run.context_argument if backoff is run.definition.options.backoff else run.job,
            attempt=claim.attempt,
            random=random,
        )
    except BaseException:  # noqa: BLE001 - SystemExit too: the callable is the project's code
        log_job(logger, logging.ERROR, claim, "has a backoff that failed; the default is used", exc_info=True)
        return Exponential().wait(claim.attempt, random)
