"""Which lines of a run's log are kept: the first and the last ones."""

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
    """What is kept of ``total`` lines: the first ``head`` of ``lines`` came before those left out."""

    lines: list[LogLine]
    head: int
    total: int


class LogBuffer:
    """Takes any number of lines and keeps ``max_lines`` of them: the first half and the last.

    Takes no lock, because a job may be interrupted anywhere by its timeout, also while it adds a line here: each step
    is one call of C code. Lines are numbered, so that those left out need not be counted.
    """

    __slots__ = ("_head", "_numbers", "_room", "_tail")

    def __init__(self, *, max_lines: int) -> None:
        self._room = max_lines // 2
        self._head: list[tuple[int, LogLine]] = []
        self._tail: deque[tuple[int, LogLine]] = deque(maxlen=max_lines - self._room)
        self._numbers = itertools.count()

    def add(self, line: LogLine) -> None:
        """Take a line."""
        number = next(self._numbers)
        if number < self._room:
            self._head.append((number, line))
        else:
            self._tail.append((number, line))

    def kept(self) -> LogExcerpt:
        """Return what is kept so far, in order."""
        head, tail = sorted(self._head), sorted(self._tail)
        last = (tail or head)[-1][0] if tail or head else -1
        return LogExcerpt([line for _, line in head + tail], len(head), last + 1)
