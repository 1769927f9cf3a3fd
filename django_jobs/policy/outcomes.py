"""Outcomes of one run of a job's function, the input of ``decide``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from .limits import RequiredPermit


class AttemptOutcome(StrEnum):
    """Outcome of an attempt, as stored in the database."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    RETRIED = "retried"
    DISCARDED = "discarded"
    SNOOZED = "snoozed"
    RELEASED = "released"
    CANCELLED = "cancelled"
    LOST = "lost"
    UNREADABLE = "unreadable"


class DeathReason(StrEnum):
    """Reason why a job became a dead letter, as stored in the database."""

    ATTEMPTS_USED_UP = "attempts_used_up"
    NOT_RETRYABLE = "not_retryable"
    DISCARDED = "discarded"
    UNKNOWN_JOB = "unknown_job"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"


class UnraisedError(StrEnum):
    """Path of an exception that the engine records for a run in which nothing could be raised."""

    WORKER_LOST = "django_jobs.exceptions.WorkerLostError"
    UNKNOWN_JOB = "django_jobs.exceptions.UnknownJobError"
    NOT_STORABLE = "django_jobs.exceptions.NotStorableError"
    CANCELLED = "django_jobs.exceptions.Cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """An exception as text, cut to the size of the columns. ``error_class`` is a path: ``builtins.ValueError``."""

    error_class: str
    message: str
    traceback: str
    fingerprint: str

    @classmethod
    def unraised(cls, error: UnraisedError, message: str) -> Error:
        """Return the error of a run in which nothing was raised. The finish adds the fingerprint of a death."""
        return cls(error_class=error.value, message=message, traceback="", fingerprint="")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRetentionSpec:
    """How a result is stored: for ``ttl`` (None: as long as the job), a large one in a file of a storage."""

    ttl: timedelta | None = None
    storage: str = ""
    file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The function returned. ``result`` is JSON text, or None if it is None or cannot be stored.

    ``result_retention`` None: the result stays in the job's row as long as the job.
    """

    result: str | None = None
    result_retention: ResultRetentionSpec | None = None


SUCCEEDED = Succeeded()
"""Shared by the many runs without a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The function raised or timed out. ``retry_in`` None: do not retry."""

    error: Error
    retry_in: timedelta | None
    timed_out: bool = False
    retry_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """The function raised Discard or an exception of ``discard_on``: do not retry."""

    error: Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    """The function asked to run again later; the attempt does not count.

    ``closes_limit``: the called server refused more calls, so the whole key of the job's rate limit waits.
    """

    delay: timedelta
    closes_limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The function raised Cancel, or ended because cancellation was requested."""

    error: Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The function did not start: the job has expired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The worker released the claim. ``started``: the function had started."""

    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """The jobs' database went away under the run. ``failure`` None: the function had not started.

    ``failure``: the outcome if the job has been interrupted too often.
    """

    failure: Failed | Discarded | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker died while it held the claim. ``ran`` False: the function is known not to have started."""

    reason: str
    ran: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitsMissing:
    """The function did not start: the job needs permits of limits that did not exist when it was enqueued."""

    needs: tuple[RequiredPermit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownJob:
    """No function of this name is registered in this process; another version of the code may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The stored arguments cannot be decoded."""

    error: Error


Outcome = (
    Succeeded
    | Failed
    | Discarded
    | Snoozed
    | Cancelled
    | Expired
    | Released
    | Interrupted
    | Lost
    | PermitsMissing
    | UnknownJob
    | Unreadable
)
