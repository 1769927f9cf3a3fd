"""Turn the value or exception of a job's function into an Outcome, by the job's own options."""

from __future__ import annotations

import json
import logging
from asyncio import CancelledError
from datetime import timedelta
from typing import Any

from ... import registry
from ...arguments.serialization import RESULT_NOT_STORABLE, dumps
from ...exceptions import Cancel as CancelledByJob
from ...exceptions import Discard, JobTimeoutError, RateLimited, Retry, SerializationError, Snooze, as_delay
from ...policy.backoff import Exponential, retry_delay
from ...policy.outcomes import (
    SUCCEEDED,
    Cancelled,
    Discarded,
    Failed,
    Interrupted,
    Outcome,
    Released,
    ResultRetentionSpec,
    Snoozed,
    Succeeded,
)
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


def outcome_from_value(value: Any, run: Run) -> Succeeded:
    """Return the success with its result as JSON text, or RESULT_LOST.

    A result larger than RESULTS["MAX_BYTES"] is still to be written to RESULTS["STORAGE"] by ``offload``. Raises
    UnfinishedResultError for a coroutine, a generator and the like.
    """
    if value is None:
        return SUCCEEDED
    settings, claim = run.context.settings.results, run.claim
    ttl = run.definition.options.result_ttl or settings.ttl
    max_bytes = settings.max_bytes
    try:
        text = dumps(value, what="result")
        if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
            if settings.storage is not None:
                retention = ResultRetentionSpec(ttl=ttl, storage=settings.storage)
                return Succeeded(result=text, result_retention=retention)
            raise SerializationError(f"{size} bytes; DJANGO_JOBS['RESULTS']['MAX_BYTES'] allows {max_bytes}")
    except BaseException as error:  # noqa: BLE001 - serializing an unknown type may raise anything
        refuse_unfinished(value)
        logger.warning(
            "job %s (%s) succeeded; result cannot be stored: %s", claim.job_id, claim.name, message_of(error)
        )
        return RESULT_LOST
    return Succeeded(result=text, result_retention=ResultRetentionSpec(ttl=ttl) if ttl else None)


def outcome_from_exception(error: BaseException, run: Run) -> Outcome:
    """Classify an exception: a request (Snooze, Cancel, Discard, Retry), a final failure, or one to retry.

    Never raises. An exception that cannot be classified, because its class or an option raises, is a failure to retry.
    """
    try:
        return _classify(error, run)
    except BaseException as second:  # noqa: BLE001 - attributes and classes may raise anything
        claim = run.claim
        described = describe_exception(error, job_name=claim.name)
        logger.error(
            "job %s (%s): its exception %s could not be classified and is retried: %s",
            claim.job_id,
            claim.name,
            described.error_class,
            message_of(second),
        )
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
        delay = as_delay("Snooze", getattr(error, "delay", None))
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
            return as_delay("Retry", after)
    except BaseException as wrong:  # noqa: BLE001 - as above
        logger.error("%s: the backoff is used instead: %s", run.claim.name, message_of(wrong))
    return _retry_delay(error, run)


def timeout_seconds(claim: Claim) -> float | None:
    """Return how long a run of this job may take, None if there is no limit or no definition."""
    definition = registry.find(claim.name)
    timeout = definition.options.resolve("timeout", claim.queue_name) if definition else None
    return timeout.total_seconds() if timeout else None


def outcome_of_timeout(claim: Claim, context: RunContext) -> Outcome:
    """Return the outcome of a run that did not end at its JobTimeoutError and is abandoned with its process."""
    run = Run(claim, context)
    run.definition = registry.get(claim.name)
    run.timeout_seconds = timeout_seconds(claim)
    run.job = create_job_context(claim, context)
    return outcome_from_exception(JobTimeoutError(), run)


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
            context=run.job,
            attempt=claim.attempt,
            random=random,
        )
    except BaseException:  # SystemExit too: the callable is the project's code
        logger.exception("backoff of %s failed; the default is used", claim.name)
        return Exponential().wait(claim.attempt, random)
