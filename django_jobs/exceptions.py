"""Errors of django_jobs, and exceptions that a job raises to steer: Retry, Snooze, Discard, Cancel, RateLimited."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from .policy.durations import Duration, read_wait
from .policy.hints import explains_options

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
    "MessageRefusedError",
    "NoCurrentBatchError",
    "NoCurrentJobError",
    "NotStorableError",
    "OnceError",
    "PayloadTooLargeError",
    "PoisonMessageError",
    "RateLimited",
    "ResultExpiredError",
    "ResultNotPassedError",
    "ResultUnreadableError",
    "Retry",
    "SerializationError",
    "SettingsError",
    "Snooze",
    "UnfinishedResultError",
    "UnknownJobError",
    "WaitTimeoutError",
    "WorkerLostError",
]


class JobsError(Exception):
    """Base of all errors of django_jobs."""


class ConfigurationError(JobsError, ValueError):
    """A setting or an option is wrong; the message names it, the expected value and the given one."""


class SettingsError(ConfigurationError):
    """The setting DJANGO_JOBS is wrong; ``problems`` has a sentence for each wrong key, the message has all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self.problems)


class UnknownJobError(JobsError, LookupError):
    """No job of this name is registered in this process. Also the error of a job that no worker knew for too long."""


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


class WorkerLostError(JobsError):
    """The process that ran the job died or stopped answering. Recorded as the error of its attempt, never raised."""


class MessageRefusedError(JobsError):
    """A broker did not take a message: too large, no such topic, no queue bound. The error of the job that sends it."""


class PoisonMessageError(JobsError, ValueError):
    """A message cannot become a job: no JSON, not what the function takes, too large. The message says why."""


class NotStorableError(JobsError):
    """The database refused the limits of a job that was to start. Recorded as the job's error, never raised."""


@explains_options
class Retry(Exception):
    """Raise inside a job to run it again; the attempt counts.

    ``after`` is the wait (timedelta or seconds); None takes the job's backoff.
    """

    after: timedelta | None = None
    reason: str = ""

    def __init__(self, after: Duration | None = None, *, reason: str = "") -> None:
        super().__init__(reason)
        self.after = read_wait("Retry", after) if after is not None else None
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


@explains_options
class Snooze(Exception):
    """Raise inside a job to run it again after ``delay`` (timedelta or seconds); the attempt does not count."""

    def __init__(self, delay: Duration) -> None:
        super().__init__(f"again in {delay}")
        self.delay = read_wait(type(self).__name__, delay)


@explains_options
class RateLimited(Snooze):
    """Raise inside a job with a ``rate_limit`` when the called server refuses because of too many calls.

    No job of the same key starts before ``retry_after`` (timedelta or seconds) has passed; this one runs again, and the
    attempt does not count. A job without a rate limit only snoozes.
    """

    def __init__(self, retry_after: Duration) -> None:
        super().__init__(retry_after)
