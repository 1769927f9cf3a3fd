"""``GroupResult``: the results of tasks that run side by side."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn
from uuid import uuid4

from .exceptions import UnsupportedError
from .result_base import ResultBase


class GroupResult(ResultBase):
    """The results of a group, in the order of its tasks."""

    is_group = True

    def __init__(self, id: str | None, results: Sequence[Any], *, parent: ResultBase | None = None) -> None:  # noqa: A002 - Celery's name
        self.id = id or str(uuid4())
        self.results = list(results)
        self.parent = parent

    def ready(self) -> bool:
        """Tell whether all have ended."""
        return all(result.ready() for result in self.results)

    def successful(self) -> bool:
        """Tell whether all have succeeded."""
        return all(result.successful() for result in self.results)

    def failed(self) -> bool:
        """Tell whether one is dead."""
        return any(result.failed() for result in self.results)

    def waiting(self) -> bool:
        """Tell whether one has not ended."""
        return not self.ready()

    def completed_count(self) -> int:
        """Return how many have succeeded."""
        return sum(result.successful() for result in self.results)

    def raise_failure(self) -> None:
        """Raise the exception of the first that has ended with one."""
        for result in self.results:
            result.raise_failure()

    maybe_throw = maybe_reraise = raise_failure

    def join(self, timeout: float | None = None, propagate: bool = True, **options: Any) -> list[Any]:
        """Do what ``get`` does."""
        values: list[Any] = self.get(timeout, propagate, **options)
        return values

    join_native = join

    def revoke(self, *ignored: Any, **options: Any) -> None:
        """Revoke each."""
        for result in self.results:
            result.revoke(**options)

    def forget(self) -> None:
        """Forget each."""
        for result in self.results:
            result.forget()

    @property
    def children(self) -> list[Any]:
        """The results."""
        return self.results

    def save(self, *ignored: Any) -> NoReturn:
        """Raise UnsupportedError."""
        raise UnsupportedError("GroupResult.save() is not supported: a Batch has an id, and Batch.get(id) returns it")

    restore = save

    def __len__(self) -> int:
        return len(self.results)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __getitem__(self, index: int) -> Any:
        return self.results[index]

    def __repr__(self) -> str:
        return f"<GroupResult: {self.id} of {len(self.results)}>"

    def await_end(self, timeout: float | None, interval: float, *, propagate: bool) -> None:
        """Return when all have ended, or raise the first exception."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for result in self.results:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            result.await_end(left, interval, propagate=propagate)
            if propagate:
                result.raise_failure()

    def collect(self, *, propagate: bool, callback: Callable[[str, Any], object] | None) -> list[Any]:
        """Return the results."""
        return [result.collect(propagate=propagate, callback=callback) for result in self.results]
