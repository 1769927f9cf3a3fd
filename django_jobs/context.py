"""The current context of a thread or task: the job that it runs (``current_job()``), the batch that it fills."""

from __future__ import annotations

import json
import logging
import math
import operator
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from typing import Any, Protocol

from asgiref.sync import sync_to_async

from .arguments.metadata import write_metadata
from .conf.database import current_database, public_id
from .exceptions import Cancel, NoCurrentJobError, PayloadTooLargeError
from .policy.metadata import COPY_OF, SCHEDULE_KEY

__all__ = ["JobContext", "current_job"]

PROGRESS_INTERVAL_SECONDS = 0.5
"""Progress is saved at most this often; the first, the last and a changed total always are."""
MAX_PROGRESS_MESSAGE_LENGTH = 200
MAX_PROGRESS = 2**63 - 1
MAX_LOG_LEVEL = 1_000
CANCEL_CHECK_INTERVAL_SECONDS = 1.0
"""A cancellation request is looked up at most this often."""
CANCEL_REQUESTED_MESSAGE = "cancellation was requested"
"""The reason on the attempt of a job that ended because of a cancellation request."""
BATCH_ACTIVITY_SECONDS = 60.0
"""The builder of a batch records its activity this often, while it enqueues."""


class LogSink(Protocol):
    """Takes the lines that a run logs."""

    def add(self, *, level: str, logger: str, message: str) -> None:
        """Take a line, without waiting for the database."""


class HasContext(Protocol):
    """An item of a chunk."""

    @property
    def context(self) -> JobContext:
        """The context of the item's job."""


SaveUpdate = Callable[[dict[str, Any]], None]


class JobContext:
    """The current run: its job and attempt, and the means to report progress, log and save metadata.

    ``metadata`` is the small JSON object given to ``using(metadata=...)``; change it and call
    ``save_metadata()``. ``enqueued``, and ``ready``, when the job was ready to run, are in seconds since the epoch.
    ``database``: the alias of the job's. ``stored_arguments`` is JSON text, secrets and all.
    ``chunk``: the items of the call, if the function is called with those of many jobs; this is the first job then.
    """

    __slots__ = (
        "_cancel_checked_at",
        "_is_cancel_requested",
        "_last_saved_at",
        "_last_total",
        "_log",
        "_reserved",
        "_save",
        "attempt",
        "chunk",
        "database",
        "enqueued",
        "job_id",
        "max_attempts",
        "metadata",
        "name",
        "priority",
        "queue_name",
        "ready",
        "stored_arguments",
    )

    def __init__(
        self,
        *,
        job_id: int,
        name: str,
        queue_name: str,
        priority: int,
        attempt: int,
        max_attempts: int,
        enqueued: float,
        metadata: dict[str, Any],
        save: SaveUpdate,
        log: LogSink | None = None,
        reserved: Mapping[str, Any] | None = None,
        stored_arguments: str = "{}",
        ready: float | None = None,
        database: str | None = None,
    ) -> None:
        self.database = database or current_database()
        self.job_id = job_id
        self.name = name
        self.queue_name = queue_name
        self.priority = priority
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.enqueued = enqueued
        self.metadata = metadata
        self.ready = enqueued if ready is None else ready
        self.stored_arguments = stored_arguments
        self.chunk: Sequence[HasContext] = ()
        self._save = save
        self._log = log
        self._reserved = reserved
        self._last_saved_at: float | None = None
        self._last_total: int | None = None
        self._cancel_checked_at = -CANCEL_CHECK_INTERVAL_SECONDS
        self._is_cancel_requested = False

    @property
    def public_id(self) -> int | str:
        """The job's id as people see it: its number, or ``eu:4711`` if jobs are in several databases."""
        return public_id(self.job_id, database=self.database)

    @property
    def enqueued_at(self) -> datetime:
        """The instant at which the job was enqueued, aware, by the database's clock."""
        return datetime.fromtimestamp(self.enqueued, UTC)

    @property
    def due_at(self) -> datetime | None:
        """The instant at which this job's tick was due, aware, UTC; None for a job that no schedule enqueued."""
        due_at = self.metadata.get("due_at")
        return datetime.fromisoformat(due_at) if isinstance(due_at, str) else None

    @property
    def schedule_name(self) -> str | None:
        """The name of the schedule that enqueued this job; None for any other job, and for a copy."""
        name = self.metadata.get(SCHEDULE_KEY)
        return name if isinstance(name, str) and self.due_at and COPY_OF not in self.metadata else None

    @property
    def cancel_requested(self) -> bool:
        """True once cancellation was requested; then raise ``Cancel``, or return a partial result.

        Reads the database at most once a second, so that a loop may check it.
        """
        now = time.monotonic()
        if not self._is_cancel_requested and now - self._cancel_checked_at >= CANCEL_CHECK_INTERVAL_SECONDS:
            from .store.lifecycle.cancel import is_cancel_requested

            self._cancel_checked_at = now
            self._is_cancel_requested = is_cancel_requested(self.job_id, using=self.database)
        return self._is_cancel_requested

    async def acancel_requested(self) -> bool:
        """Return ``cancel_requested``, in an ``async def`` job."""
        return await sync_to_async(lambda: self.cancel_requested)()

    def raise_if_cancelled(self) -> None:
        """Raise ``Cancel`` if cancellation was requested; reads the database as rarely as ``cancel_requested``."""
        if self.cancel_requested:
            raise Cancel(CANCEL_REQUESTED_MESSAGE)

    async def araise_if_cancelled(self) -> None:
        """Do what ``raise_if_cancelled`` does, in an ``async def`` job."""
        if await self.acancel_requested():
            raise Cancel(CANCEL_REQUESTED_MESSAGE)

    def set_progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Show how far the job is: ``done`` of ``total`` in any unit.

        Returns at once; saved in the background, twice a second at most. Raises TypeError or ValueError for what is no
        whole number from 0 to 2**63 - 1.
        """
        done, total = _as_count("done", done), None if total is None else _as_count("total", total)
        now = time.monotonic()
        is_recent = self._last_saved_at is not None and now - self._last_saved_at < PROGRESS_INTERVAL_SECONDS
        if is_recent and done != total and total == self._last_total:
            return
        self._last_saved_at, self._last_total = now, total
        self._save(
            {
                "progress_done": done,
                "progress_total": total,
                "progress_message": _storable(str(message))[:MAX_PROGRESS_MESSAGE_LENGTH],
            }
        )

    def log(self, text: str, level: int | str = logging.INFO) -> None:
        """Keep a line on this attempt, whatever the project's LOGGING says; saved in the background, as progress is.

        Raises ValueError for a level that ``logging`` does not know.
        """
        self.keep(level=_level_name(level), logger="", message=str(text))

    def keep(self, *, level: str, logger: str, message: str) -> None:
        """Keep a line that a logger of this name made."""
        if self._log is not None:
            self._log.add(level=level, logger=logger, message=message)

    def allow_attempts(self, max_attempts: int) -> None:
        """Raise the maximum of attempts of this job, from this run on; a number below the present one changes nothing.

        Saved in the background before the run's end, as progress is.
        """
        from .conf.readers import as_max_attempts

        if as_max_attempts("allow_attempts", max_attempts) > self.max_attempts:
            self.max_attempts = max_attempts
            self._save({"max_attempts": max_attempts})

    def reserved(self, key: str) -> Any:
        """Return what the engine keeps in the metadata under a key of its own; None if that is nothing."""
        return (self._reserved or {}).get(key)

    def save_reserved(self, key: str, value: Any) -> None:
        """Save a value under a key of the engine's own, and the metadata with it. Raises as ``save_metadata``."""
        self._reserved = {**(self._reserved or {}), key: value}
        self.save_metadata()

    def save_metadata(self) -> None:
        """Save ``metadata`` as it is now, for this run and the next attempt.

        Raises SerializationError for a value that JSON cannot carry, and PayloadTooLargeError.
        """
        from .conf import get_settings

        metadata = {**self.metadata, **self._reserved} if self._reserved else self.metadata
        text = write_metadata(metadata, what=f"{self.name}: metadata")
        if len(text.encode()) > get_settings().enqueue.max_payload_bytes:
            raise PayloadTooLargeError(
                f"{self.name}: metadata of {len(text)} characters is larger than ENQUEUE['MAX_PAYLOAD_BYTES']"
            )
        self._save({"metadata": json.loads(text)})


def _level_name(level: int | str) -> str:
    known = logging.getLevelNamesMapping()
    if isinstance(level, str) and level.upper() in known:
        return level.upper()
    if type(level) is int and 0 <= level <= MAX_LOG_LEVEL:
        return logging.getLevelName(level)
    raise ValueError(
        f"log(level=...): expected one of {', '.join(known)}, or a number from 0 to {MAX_LOG_LEVEL}; got {level!r}"
    )


def _as_count(what: str, value: object) -> int:
    """Return a number of ``set_progress`` that the database's 64 bits hold; a fraction is rounded down."""
    if type(value) is int:
        count = value
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"set_progress({what}=...): expected a whole number, got {value!r}")
        count = math.floor(value)
    else:
        try:
            count = operator.index(value)  # type: ignore[arg-type]  # that is the question
        except TypeError:
            raise TypeError(
                f"set_progress({what}=...): expected a whole number such as 50, got {value!r}; text goes into message="
            ) from None
    if not 0 <= count <= MAX_PROGRESS:
        got = repr(count) if count.bit_length() < 128 else f"one of {count.bit_length()} bits"
        raise ValueError(f"set_progress({what}=...): expected a number from 0 to {MAX_PROGRESS}, got {got}")
    return count


def _storable(text: str) -> str:
    """Return ``text`` without NUL and lone surrogates, which PostgreSQL refuses."""
    return str.replace(text, "\0", "").encode("utf-8", "replace").decode("utf-8")


_current: ContextVar[JobContext] = ContextVar("django_jobs_current")


def current_job() -> JobContext:
    """Return the context of the job that is running here. Raises NoCurrentJobError outside of one."""
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentJobError(
            "current_job() works inside a job that a worker runs; a plain call of the function has none"
        ) from None


def current_job_or_none() -> JobContext | None:
    """Return the context of the job that is running here, None outside of one."""
    return _current.get(None)


activate, deactivate = _current.set, _current.reset
"""The two halves of ``activate_context``, for runs: as a block it costs a job two calls more."""


class activate_context:  # noqa: N801 - reads as a statement: with activate_context(context)
    """Make ``context`` the current job's within the block, in this thread or task."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: JobContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._token: Token[JobContext] = _current.set(self._context)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class BatchScope:
    """A batch that is filled here. ``is_builder``: the filling code closes the batch, and records its activity.

    ``database``: where it is.
    """

    __slots__ = ("_active_at", "batch_id", "database", "is_builder")

    def __init__(self, batch_id: int, *, database: str, is_builder: bool) -> None:
        self.batch_id = batch_id
        self.database = database
        self.is_builder = is_builder
        self._active_at = time.monotonic()

    def is_activity_due(self) -> bool:
        """Return whether the builder has to record its activity now, and count it as recorded."""
        now = time.monotonic()
        if not self.is_builder or now - self._active_at < BATCH_ACTIVITY_SECONDS:
            return False
        self._active_at = now
        return True


batch_scope: ContextVar[BatchScope | None] = ContextVar("django_jobs_batch_scope", default=None)
"""The batch that jobs enqueued here go into, or None."""
