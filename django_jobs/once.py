"""``once``: what was done already is not done again, over all tries and duplicates of a job."""

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
    """What ``with once(...) as first`` gives: true in the block that is the first.

    ``stored`` is what the first one stored: for the first itself, what it has stored so far.
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
        """What the first one gave to ``store``, None where it gave nothing. A model instance is loaded now."""
        return decode(self._stored)

    @property
    def job_id(self) -> int | None:
        """The job that was the first, this one included; None where that was not in a job."""
        return self._record.job_id if self._earlier is None else self._earlier.job_id

    def store(self, value: Any) -> None:
        """Keep ``value``, in the block's transaction, for those that come later: anything that a job may return.

        Raises OnceError where this is not the first or the block has ended, SerializationError and
        PayloadTooLargeError.
        """
        from .store.enqueue.once import save_once_value

        if not self:
            raise OnceError(f"once({self._record.key}): only the first may store; this was done before")
        if not self._is_open:
            raise OnceError(f"once({self._record.key}): the block has ended; store within it")
        self._stored = save_once_value(self._record, value)

    def end(self) -> None:
        """Take no more values: the block has ended."""
        self._is_open = False


class once:  # noqa: N801 - reads as a statement: with once("charge", order_id) as first
    """Do a block one time only: ``with once("charge", order_id) as first:`` and then ``if first:``.

    The key is all of its parts, anything that an argument of a job may be, and is one key for the whole project. That
    it was done is committed together with what the block writes to the jobs' database: where the block raises, or is
    killed, neither is, and the next try is the first. Two at the same time: the second waits for the first's end.
    Records are kept for the setting ``RETENTION["ONCE"]``.

    Raises OnceError in asynchronous code, and where the block writes to another database.
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
        """Never reached; ``async with`` looks for it before it enters."""

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
    """Raise OnceError in a thread that runs an event loop, unless Django itself was told to let that be."""
    if os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise OnceError(_NO_ASYNC)
