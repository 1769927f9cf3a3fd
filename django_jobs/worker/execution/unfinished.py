"""Refuse a result that stands for work not done: a coroutine, a generator, a future, a lazy iterator."""

from __future__ import annotations

import inspect
import itertools
from asyncio import Future as AsyncioFuture
from collections import deque
from collections.abc import Iterator, KeysView, ValuesView
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import is_dataclass
from types import SimpleNamespace
from typing import Any

from ...exceptions import UnfinishedResultError

_LAZY: tuple[type, ...] = (
    *(map, filter, zip, enumerate, type(iter(int, 0))),
    *(itertools.accumulate, itertools.chain, itertools.compress, itertools.dropwhile, itertools.filterfalse),
    *(itertools.groupby, itertools.islice, itertools.pairwise, itertools.starmap, itertools.takewhile),
    itertools.zip_longest,
)
"""Iterators of Python's own that call a function, or another iterator, when they are asked for an item."""
_COLLECTIONS = (list, tuple, set, frozenset, deque, KeysView, ValuesView)


def refuse_unfinished(result: object) -> None:
    """Raise UnfinishedResultError if the result, or an item of it, still has to be awaited or iterated.

    All such items are closed or cancelled, so that none runs after the failure and none is reported as not awaited.
    """
    try:
        found = [(value, cure) for value in _items(result, set()) if (cure := _cure(value)) is not None]
    except BaseException:  # noqa: BLE001 - a result may refuse to tell its type
        return
    for value, _ in found:
        _end(value)
    if found:
        value, cure = found[0]
        raise UnfinishedResultError(
            f"expected the result of finished work, got a {type(value).__name__}: its work was not done; {cure}"
        )


def _items(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    yield value
    parts: list[Any] = []
    if isinstance(value, _COLLECTIONS):
        parts = list(value)
    elif isinstance(value, dict):
        parts = [*value, *value.values()]
    elif isinstance(value, SimpleNamespace) or (is_dataclass(value) and not isinstance(value, type)):
        names = {*getattr(value, "__dict__", ()), *getattr(value, "__dataclass_fields__", ())}  # with slots, too
        parts = [getattr(value, name, None) for name in names]
    for part in parts:
        yield from _items(part, seen)


def _cure(value: object) -> str | None:
    """Return what the author of the job should do, None for a value that is no unfinished work."""
    if isinstance(value, Future):
        return "return future.result()"
    if inspect.isawaitable(value):
        return "await it, in an async def function"
    if inspect.isasyncgen(value):
        return "iterate it with async for, in an async def function"
    if inspect.isgenerator(value) or isinstance(value, _LAZY):
        return "iterate it, for example by list(...)"
    return None


def _end(value: Any) -> None:
    with suppress(Exception):
        if isinstance(value, AsyncioFuture):
            value.get_loop().call_soon_threadsafe(value.cancel)
        elif isinstance(value, Future):
            value.cancel()
        elif inspect.iscoroutine(value) or inspect.isgenerator(value):
            value.close()
