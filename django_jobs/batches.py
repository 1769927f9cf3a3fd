"""``Batch``: jobs enqueued as one piece of work, and what follows when all of them have ended.

::

    with Batch(description="newsletter", on_success=report.s(7)) as batch:
        send_mail.enqueue_many(addresses)

What this thread or task enqueues inside the block goes into the batch. Its jobs run as any others, from the moment
they are committed; the batch can end only once the block has.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async
from django.db import DatabaseError

from .batch_context import Gathering, begin_gathering, current_gathering, end_gathering
from .calls import JobCall
from .context import current_job
from .definition import JobDefinition
from .enqueue_options import EnqueueOptions
from .exceptions import ConfigurationError, NoCurrentBatchError, NoCurrentJobError, WaitTimeoutError
from .policy.batches import FINAL_BATCH_STATES, MAX_DESCRIPTION_LENGTH, Callback
from .policy.metadata import BATCH_KEY

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import Batch as BatchRow
    from .models import Job
    from .operations import CancelResult, Progress

_SHORTEST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 0.005, 0.25

CallbackCall = JobCall | JobDefinition[..., Any] | EnqueueOptions[..., Any]


class Batch:
    """Gathers what is enqueued in its block, and enqueues up to three callbacks, each once, when all of it has ended.

    on_complete: when every job has ended, however. on_failure: at that moment, where one is dead. on_success: when
    every job has succeeded; where dead ones were redriven that may be later. Each is a job, or a call ``job.s(...)``.
    A batch made in another's block is inside it: the other ends after it.

    An exception in the block cancels what waits, and goes on. Where the block is in a transaction, the batch and its
    jobs are there once that has committed.
    """

    def __init__(
        self,
        *,
        description: str = "",
        on_success: CallbackCall | None = None,
        on_failure: CallbackCall | None = None,
        on_complete: CallbackCall | None = None,
    ) -> None:
        self.description = _as_description(description)
        self._stored = _checked(
            {
                Callback.ON_SUCCESS: on_success,
                Callback.ON_FAILURE: on_failure,
                Callback.ON_COMPLETE: on_complete,
            }
        )
        self._id: int | None = None
        self._is_builder = True
        self._tokens: list[Token[Gathering | None]] = []

    @classmethod
    def get(cls, batch_id: int) -> Batch:
        """Return a batch that was begun before, by its id. Raises ``models.Batch.DoesNotExist``."""
        from .models import Batch as BatchRow

        return cls.of(BatchRow.objects.get(pk=batch_id))

    @classmethod
    def of(cls, row: BatchRow) -> Batch:
        """Return a batch that was begun before, by its row."""
        batch = cls(description=row.description)
        batch._id, batch._is_builder = row.pk, False
        return batch

    @property
    def id(self) -> int:
        """The batch's number. Raises NoCurrentBatchError before its block has begun."""
        if self._id is None:
            raise NoCurrentBatchError("this batch is not begun yet: with Batch(...) as batch begins it")
        return self._id

    def __enter__(self) -> Self:
        """Begin the batch, or go on with one that was begun before."""
        self._begin()
        self._gather()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Close the batch that this block has built; cancel it where an exception passes."""
        end_gathering(self._tokens.pop())
        self._end(error)

    async def __aenter__(self) -> Self:
        """Do what ``with`` does, in asynchronous code."""
        await sync_to_async(self._begin)()
        self._gather()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Do what the end of ``with`` does, in asynchronous code."""
        end_gathering(self._tokens.pop())
        await sync_to_async(self._end)(error)

    def add(self, *calls: JobCall) -> list[Job]:
        """Enqueue calls in the batch and return their jobs: from its block, or from one of its own jobs.

        Raises BatchEndedError where it has ended or was cancelled.
        """
        token = begin_gathering(Gathering(self.id, is_builder=self._is_builder))
        try:
            return [call.enqueue() for call in calls]
        finally:
            end_gathering(token)

    @property
    def row(self) -> BatchRow:
        """The batch's row as it is now. Raises ``models.Batch.DoesNotExist`` where it was rolled back or pruned."""
        from .models import Batch as BatchRow

        return BatchRow.objects.get(pk=self.id)

    @property
    def jobs(self) -> QuerySet[Job]:
        """The batch's own jobs that are still there; those of batches inside it are theirs."""
        from .models import Job

        return Job.objects.filter(batch_job__batch=self.id)

    def progress(self) -> Progress:
        """Return how many jobs there are and how they ended, as it is now. Two statements, however many jobs."""
        from .operations import batch_progress

        return batch_progress(self.row)

    def cancel(self, *, by: str = "") -> CancelResult:
        """Cancel waiting jobs, request cancellation of running ones, and return how many; no job can be added any more."""
        from .operations import cancel_batch

        return cancel_batch(self.id, by=by)

    def wait(self, timeout: timedelta | float | None = None) -> Progress:
        """Wait until the batch has ended and return its progress. Raises WaitTimeoutError. Outside of a transaction."""
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        began, pause = time.monotonic(), _SHORTEST_WAIT_SECONDS
        while (progress := self.progress()).state not in FINAL_BATCH_STATES or not self.row.completed_at:
            if seconds is not None and time.monotonic() - began >= seconds:
                raise WaitTimeoutError(
                    f"batch {self.id}: {progress.waiting} jobs have not ended after {seconds} s"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_WAIT_SECONDS)
        return progress

    def __repr__(self) -> str:
        return f"<batch {self._id} {self.description!r}>"

    def _gather(self) -> None:
        """Gather here: a context variable, which a thread of its own would set for nobody."""
        self._tokens.append(begin_gathering(Gathering(self.id, is_builder=self._is_builder)))

    def _begin(self) -> None:
        if self._id is not None:
            if self._is_builder:
                raise ConfigurationError(
                    "a Batch is built by one block; current_batch() adds to it from its own jobs"
                )
            return
        from .store.batches.batch import open_batch

        around = current_gathering()
        row = open_batch(
            description=self.description,
            callbacks=self._stored,
            parent=around.batch_id if around else None,
        )
        self._id = row.pk

    def _end(self, error: BaseException | None) -> None:
        from .operations import cancel_batch
        from .store.batches.batch import close_batch

        if not self._is_builder:
            return
        if error is None:
            close_batch(self.id)
            return
        try:
            cancel_batch(self.id, by=type(error).__name__)
        except DatabaseError:
            # The transaction that the batch was begun in is broken, and takes the batch with it; or the database is
            # away, and maintenance finds the batch never closed. What went wrong first is what counts.
            return


def current_batch() -> Batch:
    """Return the batch that gathers here, or else the one that the running job is in. Raises NoCurrentBatchError."""
    gathering = current_gathering()
    if gathering is not None:
        return Batch.get(gathering.batch_id)
    from .store.batches.batch import batch_of

    try:
        row = batch_of(current_job().job_id)
    except NoCurrentJobError:
        row = None
    if row is None:
        raise NoCurrentBatchError(
            "current_batch() works in the block of a Batch, and in a job that is in one"
        )
    return Batch.of(row)


def completed_batch() -> Batch:
    """Return the batch whose end enqueued the running job, its callback. Raises NoCurrentBatchError in any other job."""
    try:
        batch_id = current_job().metadata.get(BATCH_KEY)
    except NoCurrentJobError:
        batch_id = None
    if not isinstance(batch_id, int):
        raise NoCurrentBatchError("completed_batch() works in a job that the end of a batch enqueued")
    return Batch.get(batch_id)


def _as_description(given: object) -> str:
    if isinstance(given, str) and len(given) <= MAX_DESCRIPTION_LENGTH:
        return given
    raise ConfigurationError(
        f"Batch(description): expected a text of up to {MAX_DESCRIPTION_LENGTH} characters, got"
        f" {str(given)[:MAX_DESCRIPTION_LENGTH]!r}"
    )


def _checked(callbacks: Mapping[Callback, Any]) -> dict[Callback, dict[str, Any]]:
    """Return the callbacks as they are stored. Raises ConfigurationError, or what their enqueue would raise."""
    return {
        callback: _stored(callback, _as_callback(callback, given))
        for callback, given in callbacks.items()
        if given is not None
    }


def _as_callback(callback: Callback, given: object) -> JobCall:
    match given:
        case JobCall():
            return given
        case JobDefinition() | EnqueueOptions():
            return given.s()
        case _:
            raise ConfigurationError(
                f"Batch({callback}): expected a job, or a job with its arguments, job.s(...), got {given!r}"
            )


def _stored(callback: Callback, call: JobCall) -> dict[str, Any]:
    from .store.batches.apply_deltas import serialize_new_job

    if call.options.waits_for:
        raise ConfigurationError(f"Batch({callback}): expected a job that waits for no others")
    new, arguments = call.options.prepared(call.args, call.kwargs)
    if new.run_after is not None:
        raise ConfigurationError(
            f"Batch({callback}): expected a run_after that is a timedelta, counted from the end of the batch, got"
            f" {new.run_after!r}"
        )
    if new.expires_at is not None:
        raise ConfigurationError(
            f"Batch({callback}): expected an expires_at that is a timedelta, counted from the end of the batch, got"
            f" {new.expires_at!r}"
        )
    return serialize_new_job(new, arguments)
