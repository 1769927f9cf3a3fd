"""Exceptions of Celery tasks, under Celery's names."""

from __future__ import annotations

import builtins
from datetime import datetime, timedelta
from typing import Any, NoReturn

from django.utils import timezone

from ...exceptions import Cancel, JobsError, JobTimeoutError
from ...exceptions import Retry as RetryRequest
from ...policy.durations import MAX_DURATION, ZERO

__all__ = [
    "CeleryError",
    "ChordError",
    "Ignore",
    "ImproperlyConfigured",
    "MaxRetriesExceededError",
    "NotRegistered",
    "Reject",
    "Retry",
    "SoftTimeLimitExceeded",
    "TaskError",
    "TaskFailedError",
    "TaskPredicate",
    "TaskRevokedError",
    "TimeLimitExceeded",
    "TimeoutError",
    "UnsupportedError",
]


class CeleryError(JobsError):
    """Base of the errors below."""


class TaskError(CeleryError):
    """Base of the errors of tasks."""


class UnsupportedError(CeleryError, NotImplementedError):
    """Celery has it and django_jobs does not; the message names the way here."""


class ImproperlyConfigured(CeleryError, ValueError):
    """A setting or an option for Celery cannot be read."""


class NotRegistered(TaskError, KeyError):
    """No task has this name."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class MaxRetriesExceededError(TaskError):
    """``self.retry()`` was called after the last retry."""

    def __init__(self, *args: Any, task_args: Any = (), task_kwargs: Any = None) -> None:
        self.task_args, self.task_kwargs = task_args, dict(task_kwargs or {})
        super().__init__(*args)


class TaskRevokedError(TaskError):
    """The job was cancelled."""


class TaskFailedError(TaskError):
    """The job is dead; this stands for an exception of a class that is not imported here."""


class ChordError(TaskError):
    """A task of a chord's header failed, so that its body does not run."""


class TimeoutError(CeleryError, builtins.TimeoutError):  # noqa: A001 - Celery's name
    """``get(timeout=...)`` ended before the task did."""


class TaskPredicate(CeleryError):
    """Base of what a task raises to steer."""


class Ignore(TaskPredicate):
    """Raise inside a task to end it without an error; the job has succeeded, without a result."""


class Reject(TaskPredicate):
    """Raise inside a task to end it at once: dead; with ``requeue`` it runs again, and the attempt does not count."""

    def __init__(self, reason: Any = None, requeue: bool = False) -> None:
        self.reason, self.requeue = reason, requeue
        super().__init__(reason, requeue)

    def __str__(self) -> str:
        return f"reject requeue={self.requeue}: {self.reason}"


class Retry(RetryRequest, TaskPredicate):
    """Raised by ``self.retry()``: the job runs again ``when`` (seconds, or an instant)."""

    def __init__(
        self, message: str | None = None, exc: BaseException | None = None, when: float | datetime | None = None
    ) -> None:
        super().__init__(_wait_until(when), reason=message or "")
        self.message, self.exc, self.when = message, exc, when

    def humanize(self) -> str:
        """Return when the job runs again, in words."""
        return f"in {self.when}s" if isinstance(self.when, (int, float)) else f"at {self.when}"

    def __str__(self) -> str:
        if self.message:
            return self.message
        return f"Retry {self.humanize()}" + (f": {self.exc!r}" if self.exc is not None else "")


SoftTimeLimitExceeded = JobTimeoutError
"""Raised inside a task that ran longer than its limit."""
TimeLimitExceeded = JobTimeoutError
Revoked = Cancel


def raise_with_context(error: BaseException, current: BaseException | None) -> NoReturn:
    """Raise ``error``, caused by the exception that is being handled."""
    if current is None:
        raise error
    if current is error:
        raise error
    raise error from current


def _wait_until(when: float | datetime | None) -> timedelta | None:
    if when is None:
        return None
    if isinstance(when, datetime):
        return min(max(when - timezone.now(), ZERO), MAX_DURATION)
    return timedelta(seconds=min(max(when, 0), MAX_DURATION.total_seconds()))
