"""Time limits for plain functions: a watchdog that raises JobTimeout inside the thread that runs one.

``PyThreadState_SetAsyncExc`` (Python C API) makes a thread raise at its next bytecode; one that sits in C
code raises when that returns. A limit fires at most once, and never after it was left: both are
decided under the watchdog's lock.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..exceptions import JobTimeout


class _Limit:
    __slots__ = ("fired", "left", "thread_id")

    def __init__(self) -> None:
        self.thread_id = threading.get_ident()
        self.fired = False
        self.left = False


class Watchdog:
    """Watches the limits of all threads of the process from one thread, which starts with the first limit."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: list[tuple[float, int, _Limit]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise JobTimeout inside the block once ``seconds`` have passed."""
        limit = _Limit()
        with self._changed:
            heapq.heappush(self._limits, (time.monotonic() + seconds, next(self._numbers), limit))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="jobs-watchdog", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                limit.left = True
                if limit.fired:
                    _raise_in(limit.thread_id, None)

    def _watch(self) -> None:
        with self._changed:
            while True:
                while self._limits and self._limits[0][2].left:
                    heapq.heappop(self._limits)
                if not self._limits:
                    self._changed.wait()
                    continue
                due = self._limits[0][0] - time.monotonic()
                if due > 0:
                    self._changed.wait(due)
                    continue
                _, _, limit = heapq.heappop(self._limits)
                limit.fired = True
                _raise_in(limit.thread_id, JobTimeout)


def _raise_in(thread_id: int, exception: type[BaseException] | None) -> None:
    """Make a thread raise ``exception``; None takes back one that has not been raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(
        ctypes.c_ulong(thread_id), None if exception is None else ctypes.py_object(exception)
    )
