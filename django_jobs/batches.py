"""``Batch``: jobs enqueued as one piece of work, and callbacks when all of them have ended.

::

    with Batch(description="newsletter", on_success=report.s(7)) as batch:
        send_mail.enqueue_many(addresses)

Jobs that this thread or task enqueues inside the block go into the batch. They run as any others, as soon as they are
committed; the batch can end only after the block.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self

from asgiref.sync import sync_to_async
from django.db import DatabaseError

from .conf.database import check_database, current_database
from .context import BatchScope, batch_scope, current_job
from .database_choice import default_database
from .definition import JobCall, JobDefinition
from .enqueueing import prepare
from .exceptions import ConfigurationError, NoCurrentBatchError, NoCurrentJobError, WaitTimeoutError
from .policy.batches import FINAL_BATCH_STATES, MAX_DESCRIPTION_LENGTH, Callback
from .policy.durations import ZERO, Duration, read_duration
from .policy.hints import explains_options
from .policy.metadata import BATCH_KEY
from .policy.plurals import counted
from .registry import TaskLike, as_definition

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from .models import Batch as BatchRow
    from .models import Job
    from .operations import CancelResult, Progress

__all__ = ["Batch", "completed_batch", "current_batch"]

_MIN_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.005, 0.25

CallbackCall = JobCall | JobDefinition[..., Any] | TaskLike


@explains_options
class Batch:
    """The jobs enqueued in a block, and up to three callbacks, each enqueued once when all of the jobs have ended.

    on_complete: when every job has ended, in any state. on_failure: at that moment, if one is dead. on_success: when
    every job has succeeded; after a redrive of dead jobs that may be later. Each is a job, or a call ``job.s(...)``.
    A batch made in another's block is inside it: the outer one ends after it. database: the alias of the one in which
    batch and jobs are, if the setting DATABASES has several; default: as for one job.

    An exception in the block cancels the waiting jobs and is raised on. In a transaction, batch and jobs exist once it
    has committed.
    """

    def __init__(
        self,
        *,
        description: str = "",
        on_success: CallbackCall | None = None,
        on_failure: CallbackCall | None = None,
        on_complete: CallbackCall | None = None,
        database: str | None = None,
    ) -> None:
        self.description = _as_description(description)
        self._database = None if database is None else check_database("Batch(database)", database)
        self._stored = _checked(
            {
                Callback.ON_SUCCESS: on_success,
                Callback.ON_FAILURE: on_failure,
                Callback.ON_COMPLETE: on_complete,
            },
            self._database,
        )
        self._id: int | None = None
        self._is_builder = True
        self._tokens: list[Token[BatchScope | None]] = []

    @classmethod
    def get(cls, batch_id: int, *, database: str | None = None) -> Batch:
        """Return a batch that has begun, by its id. Raises ``models.Batch.DoesNotExist``."""
        from .models import Batch as BatchRow

        return cls.of(BatchRow.objects.using(database or default_database()).get(pk=batch_id))

    @classmethod
    def of(cls, row: BatchRow) -> Batch:
        """Return a batch that has begun, by its row."""
        batch = cls(description=row.description)
        batch._id, batch._is_builder, batch._database = row.pk, False, row._state.db
        return batch

    @property
    def database(self) -> str:
        """The alias of the database in which batch and jobs are, or will be."""
        return self._database or default_database()

    @property
    def id(self) -> int:
        """The batch's number. Raises NoCurrentBatchError before its block has begun."""
        if self._id is None:
            raise NoCurrentBatchError("this batch has not begun yet: with Batch(...) as batch begins it")
        return self._id

    def __enter__(self) -> Self:
        """Begin the batch, or reopen the block of one that has begun."""
        self._begin()
        self._fill()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Close the batch that this block has built; cancel it if there is an exception."""
        batch_scope.reset(self._tokens.pop())
        self._end(error)

    async def __aenter__(self) -> Self:
        """Do what ``with`` does, in asynchronous code."""
        await sync_to_async(self._begin)()
        self._fill()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        """Do what the end of ``with`` does, in asynchronous code."""
        batch_scope.reset(self._tokens.pop())
        await sync_to_async(self._end)(error)

    def add(self, *calls: JobCall) -> list[Job]:
        """Enqueue calls in the batch and return their jobs: from its block, or from one of its own jobs.

        Raises BatchEndedError if it has ended or was cancelled.
        """
        token = batch_scope.set(self._scope())
        try:
            return [call.enqueue() for call in calls]
        finally:
            batch_scope.reset(token)

    @property
    def row(self) -> BatchRow:
        """The batch's row as it is now. Raises ``models.Batch.DoesNotExist`` if it was rolled back or pruned."""
        from .models import Batch as BatchRow

        return BatchRow.objects.using(self.database).get(pk=self.id)

    @property
    def jobs(self) -> QuerySet[Job]:
        """The batch's own jobs that still exist, without those of batches inside it."""
        from .models import Job

        return Job.objects.using(self.database).filter(batch_job__batch=self.id)

    def progress(self) -> Progress:
        """Return the current numbers of jobs by how they ended. Two statements, however many jobs."""
        from .operations import batch_progress

        return batch_progress(self.row, using=self.database)

    def cancel(self, *, by: str = "") -> CancelResult:
        """Cancel waiting jobs, request cancellation of running ones, and return how many; add no more jobs."""
        from .operations import cancel_batch

        return cancel_batch(self.id, by=by, using=self.database)

    def wait(self, timeout: Duration | None = None) -> Progress:
        """Wait until the batch has ended and return its progress. Raises WaitTimeoutError. Outside of a transaction."""
        seconds = None if timeout is None else read_duration("timeout", timeout, minimum=ZERO).total_seconds()
        began, pause = time.monotonic(), _MIN_WAIT_SECONDS
        while (progress := self.progress()).state not in FINAL_BATCH_STATES or not self.row.completed_at:
            if seconds is not None and time.monotonic() - began >= seconds:
                raise WaitTimeoutError(
                    f"batch {self.id}: {counted(progress.waiting, 'job')} not ended after {seconds:g} s"
                )
            time.sleep(pause)
            pause = min(pause * 1.5, _MAX_WAIT_SECONDS)
        return progress

    def __repr__(self) -> str:
        return f"<batch {self._id} {self.description!r}>"

    def _fill(self) -> None:
        """Set the context variable: in the caller's own thread, also in asynchronous code."""
        self._tokens.append(batch_scope.set(self._scope()))

    def _scope(self) -> BatchScope:
        return BatchScope(self.id, database=self.database, is_builder=self._is_builder)

    def _begin(self) -> None:
        if self._id is not None:
            if self._is_builder:
                raise ConfigurationError("a Batch is built by one block; current_batch() adds to it from its own jobs")
            return
        from .store.batches.batch import open_batch

        outer = batch_scope.get()
        self._database = self._database or (outer.database if outer else default_database())
        if outer and outer.database != self._database:
            raise ConfigurationError(
                f"Batch(database): expected {outer.database!r}, the database of the batch around it, got"
                f" {self._database!r}"
            )
        row = open_batch(
            description=self.description,
            callbacks=self._stored,
            parent=outer.batch_id if outer else None,
            using=self._database,
        )
        self._id = row.pk

    def _end(self, error: BaseException | None) -> None:
        from .operations import cancel_batch
        from .store.batches.batch import close_batch

        if not self._is_builder:
            return
        if error is None:
            close_batch(self.id, using=self.database)
            return
        try:
            cancel_batch(self.id, by=type(error).__name__, using=self.database)
        except DatabaseError:
            # The transaction that the batch was begun in is broken and rolls the batch back; or the database is away,
            # and maintenance finds the batch never closed. The first error is the one to raise.
            return


def current_batch() -> Batch:
    """Return the batch that is being filled here, or else that of the running job. Raises NoCurrentBatchError."""
    scope = batch_scope.get()
    if scope is not None:
        return Batch.get(scope.batch_id, database=scope.database)
    from .store.batches.batch import batch_of

    try:
        row = batch_of(current_job().job_id)
    except NoCurrentJobError:
        row = None
    if row is None:
        raise NoCurrentBatchError("current_batch() works in the block of a Batch, and in a job that is in one")
    return Batch.of(row)


def completed_batch() -> Batch:
    """Return the batch whose end enqueued the running job, a callback. Raises NoCurrentBatchError in other jobs."""
    try:
        batch_id = current_job().metadata.get(BATCH_KEY)
    except NoCurrentJobError:
        batch_id = None
    if not isinstance(batch_id, int):
        raise NoCurrentBatchError("completed_batch() works in a job that the end of a batch enqueued")
    return Batch.get(batch_id, database=current_database())


def _as_description(given: object) -> str:
    if isinstance(given, str) and len(given) <= MAX_DESCRIPTION_LENGTH:
        return given
    raise ConfigurationError(
        f"Batch(description): expected a text of up to {MAX_DESCRIPTION_LENGTH} characters, got"
        f" {str(given)[:MAX_DESCRIPTION_LENGTH]!r}"
    )


def _checked(callbacks: Mapping[Callback, Any], database: str | None) -> dict[Callback, dict[str, Any]]:
    """Return the callbacks as they are stored. Raises ConfigurationError, or the errors of their enqueue."""
    return {
        callback: _stored(callback, _as_callback(callback, given), database)
        for callback, given in callbacks.items()
        if given is not None
    }


def _as_callback(callback: Callback, given: object) -> JobCall:
    match given:
        case JobCall():
            return given
        case _ if isinstance(definition := as_definition(given), JobDefinition):
            return definition.s()
        case _:
            raise ConfigurationError(
                f"Batch({callback}): expected a job, or a job with its arguments, job.s(...), got {given!r}"
            )


def _stored(callback: Callback, call: JobCall, database: str | None) -> dict[str, Any]:
    from .store.batches.apply_deltas import serialize_new_job

    if (own := call.definition.enqueue_options.get("database")) not in (None, database):
        raise ConfigurationError(
            f"Batch({callback}): expected a job of the batch's database, {database!r}, got one of {own!r}; name it in"
            " Batch(database=...)"
        )
    if call.definition.waits_for:
        raise ConfigurationError(f"Batch({callback}): expected a job that waits for no others")
    new, arguments = prepare(call.definition, call.args, call.kwargs)
    for option, instant in (("a run_after", new.run_after), ("an expires_at", new.expires_at)):
        if instant is not None:
            raise ConfigurationError(
                f"Batch({callback}): expected {option} that is a timedelta or seconds, counted from the end of the"
                f" batch, got {instant!r}"
            )
    return serialize_new_job(new, arguments)
