"""A buffer that keeps the first and the last lines of a run's log."""

from __future__ import annotations

import itertools
from collections import deque
from typing import NamedTuple


class LogLine(NamedTuple):
    """One line: ``at`` in seconds since the epoch, the level's name, the logger's, and the message."""

    at: float
    level: str
    logger: str
    message: str


class LogExcerpt(NamedTuple):
    """The kept ones of ``total`` lines; omitted lines were after the first ``head``."""

    lines: list[LogLine]
    head: int
    total: int


class LogBuffer:
    """Keeps ``max_lines`` of any number of lines: half of them the first, half the last.

    Lock-free, because a timeout may interrupt a job anywhere, also while it adds a line: each step is one call of
    C code. Lines are numbered, so that omitted ones need not be counted.
    """

    __slots__ = ("_head", "_numbers", "_room", "_tail")

    def __init__(self, *, max_lines: int) -> None:
        self._room = max_lines // 2
        self._head: list[tuple[int, LogLine]] = []
        self._tail: deque[tuple[int, LogLine]] = deque(maxlen=max_lines - self._room)
        self._numbers = itertools.count()

    def add(self, line: LogLine) -> None:
        """Add a line."""
        number = next(self._numbers)
        if number < self._room:
            self._head.append((number, line))
        else:
            self._tail.append((number, line))

    def kept(self) -> LogExcerpt:
        """Return the kept lines in order."""
        head, tail = sorted(self._head), sorted(self._tail)
        last = (tail or head)[-1][0] if tail or head else -1
        return LogExcerpt([line for _, line in head + tail], len(head), last + 1)
