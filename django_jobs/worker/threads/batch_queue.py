"""A queue between threads that is emptied in batches: all items since the last time."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class _Group(list[T]):
    """Items that were added together."""


class BatchQueue(Generic[T]):
    """``put`` never waits; ``take`` waits for the first item only. ``is_ended`` after ``close``, once all is taken."""

    def __init__(self, *, max_items: int) -> None:
        self.is_ended = False
        self._max_items = max_items
        self._items: SimpleQueue[T | _Group[T] | None] = SimpleQueue()
        self._in_groups = 0
        self._lock = threading.Lock()

    def put(self, item: T) -> None:
        """Add an item."""
        self._items.put(item)

    def put_all(self, items: Iterable[T]) -> None:
        """Add items that are taken together, in a batch that may have more than ``max_items``."""
        group = _Group(items)
        with self._lock:
            self._in_groups += len(group) - 1
        self._items.put(group)

    def close(self) -> None:
        """Accept no more items."""
        self._items.put(None)

    def __len__(self) -> int:
        return self._items.qsize() + self._in_groups

    def take(self, *, seconds: float | None = None) -> list[T]:
        """Return all items, not many more than ``max_items``. Wait for the first, up to ``seconds`` if given."""
        batch: list[T] = []
        try:
            item = self._items.get(timeout=seconds)
        except Empty:
            return batch
        while item is not None:
            if isinstance(item, _Group):
                batch.extend(item)
                with self._lock:
                    self._in_groups -= len(item) - 1
            else:
                batch.append(item)
            if len(batch) >= self._max_items:
                return batch
            try:
                item = self._items.get_nowait()
            except Empty:
                return batch
        self.is_ended = True
        return batch
