"""Outcomes: what became of one run of a job's function, before anybody decided what follows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from .limits import RequiredPermit


class AttemptOutcome(StrEnum):
    """How one try ended. The values are what the database stores on an attempt."""

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
    """Why a job became a dead letter. The values are what the database stores."""

    ATTEMPTS_USED_UP = "attempts_used_up"
    NOT_RETRYABLE = "not_retryable"
    DISCARDED = "discarded"
    UNKNOWN_JOB = "unknown_job"
    UNREADABLE = "unreadable"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """What a person needs to know of an exception, already cut to what the database can hold."""

    error_class: str
    message: str
    traceback: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultRetentionSpec:
    """How a result is kept: for ``ttl`` (None: as long as the job), in a file of a storage where it is large."""

    ttl: timedelta | None = None
    storage: str = ""
    file_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded:
    """The function returned. ``result`` is JSON text, or None for a result of None or one not storable.

    ``result_retention`` None: it is kept in the job's row as long as that.
    """

    result: str | None = None
    result_retention: ResultRetentionSpec | None = None


SUCCEEDED = Succeeded()
"""What most runs come to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The function raised or ran out of time. ``retry_in`` None means: never again."""

    error: Error
    retry_in: timedelta | None
    timed_out: bool = False
    retry_requested: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """The function, or ``discard_on``, said that no further try can help."""

    error: Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Snoozed:
    """The function asked to run again later; the try does not count.

    ``closes_limit``: the called server refused more calls, so the whole key of the job's rate is to wait.
    """

    delay: timedelta
    closes_limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The function ended itself because it was asked to, or saw no point in going on."""

    error: Error


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """The function did not start: the job is too old to be of use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The worker gave the claim back. ``started`` tells whether the function had begun."""

    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The worker died with the claim in its hands. ``ran`` False: it is known that the function had not begun."""

    reason: str
    ran: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PermitsMissing:
    """The function did not start: it is under limits that were not known when the job was enqueued."""

    needs: tuple[RequiredPermit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownJob:
    """No function of this name is registered here; another version of the code may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """The stored arguments cannot be turned back into values."""

    error: Error


Outcome = (
    Succeeded
    | Failed
    | Discarded
    | Snoozed
    | Cancelled
    | Expired
    | Released
    | Lost
    | PermitsMissing
    | UnknownJob
    | Unreadable
)
