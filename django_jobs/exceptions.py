"""Errors of django_jobs, and exceptions that a job raises to steer: Retry, Snooze, Discard, Cancel, RateLimited."""

from __future__ import annotations

from datetime import timedelta
from math import inf
from typing import Any

from .policy.backoff import MAX_WAIT

__all__ = [
    "ArgumentsError",
    "BatchEndedError",
    "Cancel",
    "ClaimLostError",
    "ConfigurationError",
    "Discard",
    "InvalidGraphError",
    "JobTimeoutError",
    "JobsError",
    "LimitKeyError",
    "NoCurrentBatchError",
    "NoCurrentJobError",
    "OnceError",
    "PayloadTooLargeError",
    "RateLimited",
    "ResultExpiredError",
    "ResultNotPassedError",
    "ResultUnreadableError",
    "Retry",
    "SerializationError",
    "Snooze",
    "UnfinishedResultError",
    "UnknownJobError",
    "WaitTimeoutError",
]


class JobsError(Exception):
    """Base of all errors of django_jobs."""


class ConfigurationError(JobsError, ValueError):
    """A setting or an option is wrong; the message names it, the expected value and the given one."""


class UnknownJobError(JobsError, LookupError):
    """No job of this name is registered in this process."""


class ArgumentsError(JobsError, TypeError):
    """The arguments given to ``enqueue`` do not fit the job's signature."""


class SerializationError(JobsError, ValueError):
    """A value cannot be stored as JSON, or a stored one cannot be read back."""


class PayloadTooLargeError(SerializationError):
    """Arguments or metadata are larger than the setting ``ENQUEUE["MAX_PAYLOAD_BYTES"]`` allows."""


class ClaimLostError(JobsError):
    """The claim of this run belongs to another worker now; nothing was written."""


class LimitKeyError(JobsError, ValueError):
    """The key of a limit could not be computed from a job's arguments; the job is not enqueued."""


class NoCurrentJobError(JobsError, LookupError):
    """``current_job()`` was called outside of a running job."""


class OnceError(JobsError):
    """``once(...)`` cannot keep its promise here; the message says why, and what to do instead."""


class WaitTimeoutError(JobsError, TimeoutError):
    """``Job.wait(timeout)`` ended before the job did."""


class InvalidGraphError(JobsError, ValueError):
    """Jobs cannot wait for one another like this: a circle, too many of them, a job that is gone."""


class NoCurrentBatchError(JobsError, LookupError):
    """``current_batch()`` was called outside of a batch's block, by a job that is in no batch."""


class ResultExpiredError(JobsError, LookupError):
    """The job has succeeded, and its result has expired (``result_ttl``, or the setting ``RESULTS["TTL"]``)."""


class ResultUnreadableError(JobsError, OSError):
    """The job's result is in a file of ``RESULTS["STORAGE"]`` that cannot be read. ``is_gone``: the file is missing."""

    def __init__(self, message: str, *, is_gone: bool) -> None:
        super().__init__(message)
        self.is_gone = is_gone


class ResultNotPassedError(SerializationError):
    """The result of another job cannot be passed on: it is gone, has expired or could not be stored."""


class UnfinishedResultError(JobsError, TypeError):
    """A job returned a coroutine, a generator or a future: its work was not done, and the attempt has failed."""


class JobTimeoutError(JobsError):
    """Raised inside a job that ran longer than its ``timeout``."""


class Retry(Exception):
    """Raise inside a job to run it again; the attempt counts.

    ``after`` is the wait (timedelta or seconds); None takes the job's backoff.
    """

    after: timedelta | None = None
    reason: str = ""

    def __init__(self, *, after: timedelta | float | None = None, reason: str = "") -> None:
        super().__init__(reason)
        self.after = as_delay("Retry", after) if after is not None else None
        self.reason = reason


class Discard(Exception):
    """Raise inside a job to make it a dead letter at once, with ``reason``."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Cancel(Exception):
    """Raise inside a job to end it as cancelled, neither succeeded nor dead; the attempt keeps ``reason``."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class BatchEndedError(JobsError, Cancel):
    """A batch that has ended, or was cancelled, takes no more jobs; a job that does not catch this is cancelled too."""


class Snooze(Exception):
    """Raise inside a job to run it again after ``delay`` (timedelta or seconds); the attempt does not count."""

    def __init__(self, delay: timedelta | float) -> None:
        super().__init__(f"again in {delay}")
        self.delay = as_delay("Snooze", delay)


class RateLimited(Snooze):
    """Raise inside a job with a ``rate_limit`` when the called server refuses because of too many calls.

    No job of the same key starts before ``retry_after`` (timedelta or seconds) has passed; this one runs again, and the
    attempt does not count. A job without a rate limit only snoozes.
    """

    def __init__(self, retry_after: timedelta | float) -> None:
        super().__init__(retry_after)


def as_delay(what: str, value: Any) -> timedelta:
    """Return the wait that a job asks for. Raises TypeError or ValueError that names ``what``."""
    if isinstance(value, timedelta):
        delay = timedelta(value.days, value.seconds, value.microseconds)
    elif type(value) in {int, float}:
        if not 0 <= value < inf:
            raise ValueError(f"{what}: expected a delay of zero or more, got {value!r}")
        delay = timedelta(seconds=min(value, MAX_WAIT.total_seconds()))
    else:
        raise TypeError(f"{what}: expected a timedelta or seconds, got {value!r}")
    if delay < timedelta(0):
        raise ValueError(f"{what}: expected a delay of zero or more, got {value!r}")
    return delay
