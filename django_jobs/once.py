"""``once``: do a piece of work one time only, over all attempts and duplicates of a job."""

from __future__ import annotations

import asyncio
import os
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from .arguments.serialization import decode, encode
from .context import current_job
from .exceptions import NoCurrentJobError, OnceError
from .policy.uniqueness import MAX_KEY_LENGTH, canonical_json, key_digest

if TYPE_CHECKING:
    from .models import OnceRecord
    from .store.dialects.base.keys import NewOnceRecord

__all__ = ["Once", "once"]

_NO_ASYNC = (
    "once(): Django's transactions do not work in asynchronous code; put the block into a function and"
    " await sync_to_async(function)()"
)


class Once:
    """The value of ``with once(...) as first``: true in the block that is the first.

    ``stored`` is the value that the first one stored; for the first itself, so far.
    """

    __slots__ = ("_earlier", "_is_open", "_record", "_stored")

    def __init__(self, record: NewOnceRecord, earlier: OnceRecord | None) -> None:
        self._record = record
        self._earlier = earlier
        self._stored = None if earlier is None else earlier.stored
        self._is_open = True

    def __bool__(self) -> bool:
        return self._earlier is None

    def __repr__(self) -> str:
        return f"<once({self._record.key}): {'first' if self else 'done before'}>"

    @property
    def stored(self) -> Any:
        """The value that the first one gave to ``store``, or None. A model instance is loaded now."""
        return decode(self._stored)

    @property
    def job_id(self) -> int | None:
        """The job that was the first, this one included; None outside of a job."""
        return self._record.job_id if self._earlier is None else self._earlier.job_id

    def store(self, value: Any) -> None:
        """Keep ``value``, in the block's transaction, for later blocks: any value that a job may return.

        Raises OnceError if this is not the first or the block has ended, SerializationError and PayloadTooLargeError.
        """
        from .store.enqueue.once import save_once_value

        if not self:
            raise OnceError(f"once({self._record.key}): only the first may store; this was done before")
        if not self._is_open:
            raise OnceError(f"once({self._record.key}): the block has ended; store within it")
        self._stored = save_once_value(self._record, value)

    def end(self) -> None:
        """Refuse more values: the block has ended."""
        self._is_open = False


class once:  # noqa: N801 - reads as a statement: with once("charge", order_id) as first
    """Run a block one time only: ``with once("charge", order_id) as first:`` and then ``if first:``.

    The key consists of all parts, any values that a job's arguments may be, and is valid for the whole project. Its
    record is committed together with the block's writes to the jobs' database: if the block raises or is killed,
    neither is, and the next attempt is the first. Of two at the same time, the second waits for the end of the first.
    Records are kept for the setting ``RETENTION["ONCE"]``.

    Raises OnceError in asynchronous code, and if the block writes to another database.
    """

    def __init__(self, *key: Any) -> None:
        if not key:
            raise OnceError("once(): expected a key of one part or more: once('charge', order_id)")
        self._key = key
        self._block: AbstractContextManager[OnceRecord | None] | None = None
        self._first: Once | None = None

    def __enter__(self) -> Once:
        from .store.enqueue.once import recording

        _refuse_event_loop()
        record = self._new_record()
        self._block = recording(record)
        self._first = Once(record, self._block.__enter__())
        return self._first

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._block is None or self._first is None:
            raise OnceError("once(): left without having been entered")
        self._first.end()
        return self._block.__exit__(kind, error, trace)

    async def __aenter__(self) -> NoReturn:
        raise OnceError(_NO_ASYNC)

    async def __aexit__(self, *_: object) -> None:
        """Never called; ``async with`` needs it to exist."""

    def _new_record(self) -> NewOnceRecord:
        from .store.dialects.base.keys import NewOnceRecord

        parts = [encode(part, what=f"once: part {at + 1} of the key") for at, part in enumerate(self._key)]
        whole = canonical_json(parts)
        text = whole[1:-1]
        try:
            job_id: int | None = current_job().job_id
        except NoCurrentJobError:
            job_id = None
        return NewOnceRecord(
            digest=key_digest("once", whole),
            key=text if len(text) <= MAX_KEY_LENGTH else text[: MAX_KEY_LENGTH - 3] + "...",
            job_id=job_id,
        )


def _refuse_event_loop() -> None:
    """Raise OnceError in a thread that runs an event loop, unless DJANGO_ALLOW_ASYNC_UNSAFE is set."""
    if os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise OnceError(_NO_ASYNC)
