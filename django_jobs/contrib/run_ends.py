"""Tell what becomes of a run by the exception that its function has raised, as far as that is known inside the run.

For hooks around runs, which are left before the worker decides. Not known by then: a request to cancel the job that
arrives now, and that its result cannot be stored.
"""

from __future__ import annotations

from enum import StrEnum

from .. import registry
from ..conf.database import current_database
from ..context import JobContext
from ..exceptions import Cancel, Discard, Retry, Snooze


class RunEnd(StrEnum):
    """The end of a run: what becomes of its job."""

    SUCCEEDED = "succeeded"
    SNOOZED = "snoozed"
    CANCELLED = "cancelled"
    RETRIED = "retried"
    DEAD = "dead"

    @property
    def is_failure(self) -> bool:
        """True if the run has failed, whether or not the job runs again."""
        return self in (RunEnd.RETRIED, RunEnd.DEAD)


def run_end(error: BaseException | None, context: JobContext) -> RunEnd:
    """Return the end of a run of this job whose function has raised ``error``, None if it has returned."""
    if error is None:
        return RunEnd.SUCCEEDED
    kind = type(error)
    if issubclass(kind, Snooze):
        return RunEnd.SNOOZED
    if issubclass(kind, Cancel):
        return RunEnd.CANCELLED
    from ..worker.execution.interruption import is_interruption  # late: it loads models

    definition = registry.find(context.name)
    if definition is None or is_interruption(error, using=current_database()):
        return RunEnd.RETRIED
    options = definition.options
    if issubclass(kind, (Discard, *options.discard_on)) or context.attempt >= context.max_attempts:
        return RunEnd.DEAD
    is_retryable = issubclass(kind, (Retry, *options.retry_on))
    if not issubclass(kind, Exception):  # SystemExit and the like mean no more than any failure
        is_retryable = is_retryable or Exception in options.retry_on
    return RunEnd.RETRIED if is_retryable else RunEnd.DEAD
