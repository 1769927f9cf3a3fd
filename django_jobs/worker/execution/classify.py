"""Turn what a function returned or raised into an Outcome, by the job's own options."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

from ... import registry
from ...arguments.serialization import NOT_STORABLE, dumps
from ...exceptions import Cancelled as CancelledByJob
from ...exceptions import Discard, JobTimeout, RateLimited, Retry, SerializationError, Snooze
from ...policy.backoff import Exponential, wait_after
from ...policy.outcomes import SUCCEEDED, Cancelled, Discarded, Failed, Keeping, Outcome, Snoozed, Succeeded
from ...store.dialects.base.jobs import Claim
from .errors import describe
from .runtime import Bench, Call, context_of

logger = logging.getLogger("django_jobs.worker")

LOST = Succeeded(result=json.dumps(NOT_STORABLE))
"""The function has done its work, and what it returned could not be stored."""


def outcome_of_value(value: Any, call: Call, bench: Bench) -> Succeeded:
    """Return the success with its result as JSON text, or with the mark that it could not be stored.

    ``large_results.put_away`` has to see to the result where it is larger than the database takes.
    """
    if value is None:
        return SUCCEEDED
    claim, most = call.claim, bench.settings.max_result_bytes
    ttl = call.definition.options.result_ttl or bench.settings.result_ttl
    try:
        text = dumps(value, what="result")
        if len(text) * 4 > most and (size := len(text.encode())) > most:
            if bench.settings.result_storage is not None:
                return Succeeded(result=text, keeping=Keeping(ttl=ttl, storage=bench.settings.result_storage))
            raise SerializationError(f"{size} bytes; DJANGO_JOBS['MAX_RESULT_BYTES'] allows {most}")
    except Exception as error:  # noqa: BLE001 - a strange type may raise anything while it is read
        logger.warning(
            "job %s (%s) succeeded, its result is not storable: %s", claim.job_id, claim.name, error
        )
        return LOST
    return Succeeded(result=text, keeping=Keeping(ttl=ttl) if ttl else None)


def outcome_of_error(error: BaseException, call: Call, bench: Bench) -> Outcome:
    """Sort an exception: a request (Snooze, Cancelled, Discard, Retry), final by the options, or worth another try."""
    if isinstance(error, Snooze):
        return Snoozed(delay=error.delay, holds_back=isinstance(error, RateLimited))
    timed_out = isinstance(error, JobTimeout)
    message = f"ran longer than {timedelta(seconds=call.timeout_seconds or 0)}" if timed_out else None
    described = describe(error, job_name=call.claim.name, message=message)
    if isinstance(error, CancelledByJob):
        return Cancelled(error=described)
    options = call.definition.options
    if isinstance(error, (Discard, *options.discard_on)):
        return Discarded(error=described)
    if isinstance(error, Retry):
        wait = _wait(error, call, bench) if error.after is None else error.after
        return Failed(error=described, retry_in=wait, retry_requested=True)
    retryable = _is_retryable(error, options.retry_on)
    return Failed(
        error=described,
        retry_in=_wait(error, call, bench) if retryable else None,
        timed_out=timed_out,
    )


def timeout_seconds(claim: Claim) -> float | None:
    """Return how long a run of this job may take, None where there is no limit or no such job."""
    definition = registry.find(claim.name)
    timeout = definition.options.resolve("timeout", claim.queue_name) if definition else None
    return timeout.total_seconds() if timeout else None


def outcome_of_hang(claim: Claim, bench: Bench) -> Outcome:
    """Return the outcome of a run that went on, deaf to its JobTimeout, until its process was given up."""
    definition = registry.get(claim.name)
    call = Call(claim, definition, [], {}, context_of(claim, bench), timeout_seconds(claim))
    return outcome_of_error(JobTimeout(), call, bench)


def _is_retryable(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> bool:
    """Hold SystemExit and its like, which are no Exception, for one: inside a job they mean no more."""
    return isinstance(error, retry_on) or (not isinstance(error, Exception) and Exception in retry_on)


def _wait(error: BaseException, call: Call, bench: Bench) -> timedelta | None:
    claim = call.claim
    backoff = call.definition.options.resolve("backoff", claim.queue_name)
    try:
        return wait_after(
            backoff,
            exception=error,  # type: ignore[arg-type]  # a SystemExit is passed on as it is
            context=call.context,
            attempt=claim.attempt,
            random=bench.random,
        )
    except Exception:
        logger.exception("backoff of %s failed; the default is used", claim.name)
        return Exponential().wait(claim.attempt, bench.random)
