"""Walk through tables a window at a time, one window a table and round: bounded statements, whatever their size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Walk:
    """A check of one table, with its ``name``.

    ``check(after=, using=)`` returns how many rows it has changed, and where to continue, None at the end.
    """

    name: str
    check: Callable[..., tuple[int, Any]]
    start: Any = None
    position: Any = None
    is_done: bool = True

    def step(self, using: str) -> int:
        """Check the next window and return how many rows were changed."""
        changed, self.position = self.check(after=self.position, using=using)
        self.is_done = self.position is None
        return changed


class TableWalk:
    """``step`` checks the next window of each table until all are read; the next pass begins after an interval."""

    def __init__(self, walks: Sequence[Walk], *, interval_seconds: float, using: str) -> None:
        self._walks = walks
        self._interval_seconds = interval_seconds
        self._using = using
        self._next_pass_at = time.monotonic()

    @property
    def is_done(self) -> bool:
        """True between two passes."""
        return all(walk.is_done for walk in self._walks)

    def restart(self) -> None:
        """Begin a pass now."""
        self._next_pass_at = time.monotonic() + self._interval_seconds
        for walk in self._walks:
            walk.position, walk.is_done = walk.start, False

    def step(self) -> Iterator[tuple[str, int]]:
        """Check the next windows, if a pass is due or under way; yield the name and number of each change."""
        if self.is_done and time.monotonic() >= self._next_pass_at:
            self.restart()
        for walk in self._walks:
            if not walk.is_done and (changed := walk.step(self._using)):
                yield walk.name, changed
