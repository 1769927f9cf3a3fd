"""``drained()``: a block of a test, then what its commit would start: ``on_commit`` callbacks, and jobs."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from types import TracebackType
from typing import Unpack

from asgiref.sync import sync_to_async

from .drain import DrainOptions, check_options, drain_into
from .result import Drained
from .transactions import collect_callbacks, run_callbacks


class drained(AbstractContextManager[Drained], AbstractAsyncContextManager[Drained]):  # noqa: N801 - with drained():
    """Run the block, then the callbacks that it gave to ``on_commit``, then jobs until none is left.

    ``with drained() as result``, or ``async with`` in an async test; ``result`` is filled when the block has ended. The
    options are those of ``drain``. If the block raises, no callback and no job is run.
    """

    def __init__(self, **options: Unpack[DrainOptions]) -> None:
        check_options("drained", options)
        self._options = options
        self._result = Drained()
        self._collected = collect_callbacks()

    def __enter__(self) -> Drained:
        self._callbacks = self._collected.__enter__()
        return self._result

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._collected.__exit__(kind, error, frames)
        if error is not None:
            return
        run_callbacks(self._callbacks)
        drain_into(self._result, **self._options)

    async def __aenter__(self) -> Drained:
        return await sync_to_async(self.__enter__)()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        await sync_to_async(self.__exit__)(kind, error, frames)
