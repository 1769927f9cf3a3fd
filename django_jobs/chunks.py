"""``ChunkItem``: one job of the many that a function with ``@job(chunk=...)`` is called with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Generic, TypeVar

from .arguments.signature import CallSignature
from .context import JobContext, activate_context
from .exceptions import ArgumentsError, Cancel, ConfigurationError, Discard, JobTimeoutError, Retry, Snooze
from .policy.chunks import ARGUMENT, MAX_CHUNK_SIZE, MAX_CHUNK_WAIT, Chunk
from .policy.durations import Duration

__all__ = ["MAX_CHUNK_SIZE", "MAX_CHUNK_WAIT", "Chunk", "ChunkItem", "ChunkSignature", "call_with_one"]

T = TypeVar("T")
_POSITIONAL = ("POSITIONAL_ONLY", "POSITIONAL_OR_KEYWORD")


class ChunkItem(Generic[T]):
    """One job of a chunk: ``arguments`` is what it was enqueued with, ``context`` its JobContext.

    A job that the function marks has that end, whatever becomes of the others; the last mark counts. One without a
    mark succeeds with ``result`` if the function returns, and fails with the exception if it raises.

    ``with item:`` makes it the current job, for what is logged and for ``current_job()``; an exception that leaves the
    block marks this job only, and the function goes on.
    """

    __slots__ = ("_activated", "_context", "_key", "arguments", "error", "has_succeeded", "result")

    def __init__(
        self, arguments: T, context: JobContext | Callable[[Any], JobContext] | None = None, key: Any = None
    ) -> None:
        self.arguments = arguments
        self.result: Any = None
        self.error: BaseException | None = None
        self.has_succeeded = False
        self._context = context
        self._key = key
        self._activated: list[activate_context] | None = None

    def __repr__(self) -> str:
        """Leave the arguments out: the text appears in logs and error mails."""
        return f"<chunk item of job {'none' if self._context is None else self.context.job_id}>"

    @property
    def context(self) -> JobContext:
        """The context of the job: its id, attempt, metadata, progress, log. Raises LookupError in a plain call."""
        if self._context is None:
            raise LookupError("an item of a plain call has no context; a worker, drain() and run_job() give it one")
        if not isinstance(self._context, JobContext):
            self._context = self._context(self._key)  # made at the first look: most functions never do
        return self._context

    @property
    def job_id(self) -> int:
        """The job's id."""
        return int(self._known().job_id)

    @property
    def attempt(self) -> int:
        """The number of this attempt, from 1."""
        return int(self._known().attempt)

    @property
    def enqueued(self) -> float:
        """The instant of the enqueue, in seconds since the epoch, by the database's clock."""
        return float(self._known().enqueued)

    def _known(self) -> Any:
        """Return what tells id, attempt and enqueue: the key, a claim, which costs no context; else the context."""
        return self.context if self._key is None else self._key

    def succeed(self, result: Any = None) -> None:
        """Mark the job as succeeded, also if the function raises later."""
        self.result, self.error, self.has_succeeded = result, None, True

    def fail(self, error: BaseException) -> None:
        """Mark the job as failed with this exception: retried or dead, as if its function had raised it."""
        if not isinstance(error, BaseException):
            raise TypeError(f"fail(error): expected an exception, got {error!r}")
        self.error, self.has_succeeded = error, False

    def retry(self, after: Duration | None = None, *, reason: str = "") -> None:
        """Mark the job to run again, after a wait (timedelta or seconds) or its backoff; the attempt counts."""
        self.fail(Retry(after, reason=reason))

    def snooze(self, delay: Duration) -> None:
        """Mark the job to run again later; the attempt does not count."""
        self.fail(Snooze(delay))

    def discard(self, reason: str = "") -> None:
        """Mark the job as dead, without another attempt."""
        self.fail(Discard(reason))

    def cancel(self, reason: str = "") -> None:
        """Mark the job as cancelled."""
        self.fail(Cancel(reason))

    def __enter__(self) -> ChunkItem[T]:
        if self._context is not None:
            active = activate_context(self.context)
            active.__enter__()
            self._activated = [*(self._activated or ()), active]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._activated:
            self._activated.pop().__exit__()
        if error is None or not isinstance(error, Exception) or isinstance(error, JobTimeoutError):
            return False
        self.fail(error)
        return True


class ChunkSignature(CallSignature):
    """The signature of a chunk job's ``enqueue``: one argument, which each item has."""

    def __init__(self, function: Callable[..., Any], *, name: str, chunk: Chunk) -> None:
        given = CallSignature(function, name=name, takes_context=False)
        parameters = list(given.parameters.values())
        required = [parameter for parameter in parameters if parameter.default is parameter.empty]
        if not parameters or parameters[0].kind.name not in _POSITIONAL or len(required) != 1 or len(parameters) != 1:
            raise ConfigurationError(
                f"@job {name}: chunk: expected a function of one parameter, the items, such as"
                f" def {getattr(function, '__name__', 'index')}(jobs: Sequence[ChunkItem[int]]); got {given.signature}"
            )
        super().__init__(_one_argument, name=name, takes_context=False)
        self._by = chunk.by

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the argument by its name. Raises ArgumentsError, also if it lacks a key of ``Chunk(by=...)``."""
        bound = super().bind(args, kwargs)
        if self._by:
            argument = bound[ARGUMENT]
            missing = [key for key in self._by if not (isinstance(argument, Mapping) and key in argument)]
            if missing:
                raise ArgumentsError(
                    f"{self.name}: expected a dict with the keys of Chunk(by=...), got none under {', '.join(missing)}"
                )
        return bound


def _one_argument(argument: Any, /) -> None:
    """Give its signature."""


def call_with_one(function: Callable[..., Any], args: Sequence[Any]) -> Any:
    """Call the function of a chunk job plainly, with one item, and return that item's result or raise its error."""
    item: ChunkItem[Any] = ChunkItem(*args)
    value = function([item])
    if item.error is not None:
        raise item.error
    return item.result if value is None else value
