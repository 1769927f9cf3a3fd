"""Turn what a function returned or raised into an Outcome, by the job's own options."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

from ... import registry
from ...arguments.serialization import RESULT_NOT_STORABLE, dumps
from ...exceptions import Cancel as CancelledByJob
from ...exceptions import Discard, JobTimeoutError, RateLimited, Retry, SerializationError, Snooze
from ...policy.backoff import Exponential, retry_delay
from ...policy.outcomes import (
    SUCCEEDED,
    Cancelled,
    Discarded,
    Failed,
    Outcome,
    ResultRetentionSpec,
    Snoozed,
    Succeeded,
)
from ...store.dialects.base.jobs import Claim
from .errors import describe_exception
from .runtime import PreparedCall, RunContext, create_job_context

logger = logging.getLogger("django_jobs.worker")

RESULT_LOST = Succeeded(result=json.dumps(RESULT_NOT_STORABLE))
"""The function has done its work, and what it returned could not be stored."""


def outcome_from_value(value: Any, call: PreparedCall, run_context: RunContext) -> Succeeded:
    """Return the success with its result as JSON text, or with the mark that it could not be stored.

    ``result_offload.offload`` has to see to the result where it is larger than the database takes.
    """
    if value is None:
        return SUCCEEDED
    claim, max_bytes = call.claim, run_context.settings.results.max_bytes
    ttl = call.definition.options.result_ttl or run_context.settings.results.ttl
    try:
        text = dumps(value, what="result")
        if len(text) * 4 > max_bytes and (size := len(text.encode())) > max_bytes:
            if run_context.settings.results.storage is not None:
                return Succeeded(
                    result=text,
                    result_retention=ResultRetentionSpec(
                        ttl=ttl, storage=run_context.settings.results.storage
                    ),
                )
            raise SerializationError(f"{size} bytes; DJANGO_JOBS['RESULTS']['MAX_BYTES'] allows {max_bytes}")
    except Exception as error:  # noqa: BLE001 - a strange type may raise anything while it is read
        logger.warning(
            "job %s (%s) succeeded, its result is not storable: %s", claim.job_id, claim.name, error
        )
        return RESULT_LOST
    return Succeeded(result=text, result_retention=ResultRetentionSpec(ttl=ttl) if ttl else None)


def outcome_from_exception(error: BaseException, call: PreparedCall, run_context: RunContext) -> Outcome:
    """Sort an exception: a request (Snooze, Cancelled, Discard, Retry), final by the options, or worth another try."""
    if isinstance(error, Snooze):
        return Snoozed(delay=error.delay, closes_limit=isinstance(error, RateLimited))
    timed_out = isinstance(error, JobTimeoutError)
    message = f"ran longer than {timedelta(seconds=call.timeout_seconds or 0)}" if timed_out else None
    described = describe_exception(error, job_name=call.claim.name, message=message)
    if isinstance(error, CancelledByJob):
        return Cancelled(error=described)
    options = call.definition.options
    if isinstance(error, (Discard, *options.discard_on)):
        return Discarded(error=described)
    if isinstance(error, Retry):
        wait = _retry_delay(error, call, run_context) if error.after is None else error.after
        return Failed(error=described, retry_in=wait, retry_requested=True)
    retryable = _is_retryable(error, options.retry_on)
    return Failed(
        error=described,
        retry_in=_retry_delay(error, call, run_context) if retryable else None,
        timed_out=timed_out,
    )


def timeout_seconds(claim: Claim) -> float | None:
    """Return how long a run of this job may take, None where there is no limit or no such job."""
    definition = registry.find(claim.name)
    timeout = definition.options.resolve("timeout", claim.queue_name) if definition else None
    return timeout.total_seconds() if timeout else None


def outcome_of_timeout(claim: Claim, run_context: RunContext) -> Outcome:
    """Return the outcome of a run that went on, deaf to its JobTimeoutError, until its process was given up."""
    definition = registry.get(claim.name)
    call = PreparedCall(
        claim, definition, [], {}, create_job_context(claim, run_context), timeout_seconds(claim)
    )
    return outcome_from_exception(JobTimeoutError(), call, run_context)


def _is_retryable(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> bool:
    """Hold SystemExit and its like, which are no Exception, for one: inside a job they mean no more."""
    return isinstance(error, retry_on) or (not isinstance(error, Exception) and Exception in retry_on)


def _retry_delay(error: BaseException, call: PreparedCall, run_context: RunContext) -> timedelta | None:
    claim = call.claim
    backoff = call.definition.options.resolve("backoff", claim.queue_name)
    try:
        return retry_delay(
            backoff,
            exception=error,  # type: ignore[arg-type]  # a SystemExit is passed on as it is
            context=call.context,
            attempt=claim.attempt,
            random=run_context.random,
        )
    except Exception:
        logger.exception("backoff of %s failed; the default is used", claim.name)
        return Exponential().wait(claim.attempt, run_context.random)
