"""Time limits for plain functions: a watchdog raises JobTimeoutError inside the thread that runs one.

``PyThreadState_SetAsyncExc`` (Python C API) makes a thread raise at its next bytecode; a thread in C
code raises when that returns. A limit fires at most once, and never after its block was left: both are
decided under a lock. An exception that fires while the block is left is raised and dropped there. It is
not revoked by the same call with NULL: CPython 3.11 then leaves its "something is pending" flag
set, and a thread under a tracer spins for ever.

The lock is a plain one, taken only by ``with``: an exception cannot occur between the acquisition and
the block, as it can inside the Python code of a Condition or an Event.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue

from ...exceptions import JobTimeoutError


class _Limit:
    """Block in which JobTimeoutError is raised once its time is over."""

    __slots__ = ("_seconds", "_watchdog", "job_id", "left", "thread_id")

    def __init__(self, watchdog: Watchdog, seconds: float, job_id: int) -> None:
        self.thread_id = threading.get_ident()
        self.job_id = job_id
        self.left = False
        self._watchdog = watchdog
        self._seconds = seconds

    def __enter__(self) -> None:
        self._watchdog.add(self, time.monotonic() + self._seconds)

    def __exit__(self, *_: object) -> None:
        try:
            self._watchdog.remove(self)
            time.sleep(0)  # a pending exception is raised at the end of this call
        except JobTimeoutError:
            self._watchdog.remove(self)


class Watchdog:
    """Watches the limits of all threads of the process from one thread, which starts with the first limit.

    If that thread dies, the next limit starts another, which takes over all limits. ``report`` is called with the
    first limit in force: its instant, infinity if there is none, and its job's id. While C code holds the interpreter
    the thread does not run, and somebody outside has to know.
    """

    def __init__(self, report: Callable[[float, int], None] = lambda due, job_id: None) -> None:
        self._report = report
        self._in_force: dict[object, tuple[float, int]] = {}
        self._lock = threading.Lock()
        self._limits: list[tuple[float, int, _Limit]] = []
        self._numbers = itertools.count()
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def limit(self, seconds: float, *, job_id: int = 0) -> _Limit:
        """Return a context manager that raises JobTimeoutError inside its block once ``seconds`` have passed."""
        return _Limit(self, seconds, job_id)

    @contextmanager
    def report_only(self, seconds: float, *, job_id: int) -> Iterator[None]:
        """Report a limit that somebody else enforces."""
        limit = object()
        with self._lock:
            self._put_in_force(limit, time.monotonic() + seconds, job_id)
        try:
            yield
        finally:
            with self._lock:
                self._lift(limit)

    def add(self, limit: _Limit, due: float) -> None:
        """Watch ``limit`` until ``due`` (monotonic seconds)."""
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="jobs-watchdog", daemon=True)
                self._thread.start()
            self._put_in_force(limit, due, limit.job_id)
            heapq.heappush(self._limits, (due, next(self._numbers), limit))
            is_next = self._limits[0][2] is limit
        if is_next:
            self._wakeups.put(None)

    def remove(self, limit: _Limit) -> None:
        """Keep ``limit`` from firing."""
        with self._lock:
            limit.left = True
            self._lift(limit)

    def close(self) -> None:
        """End the thread; limits that are left do not fire."""
        self._is_closed = True
        self._wakeups.put(None)

    def _put_in_force(self, limit: object, due: float, job_id: int) -> None:
        self._in_force[limit] = (due, job_id)
        self._report(*min(self._in_force.values()))

    def _lift(self, limit: object) -> None:
        self._in_force.pop(limit, None)
        self._report(*min(self._in_force.values(), default=(math.inf, 0)))

    def _watch(self) -> None:
        while not self._is_closed:
            wait = self._fire_due()
            try:
                self._wakeups.get(timeout=wait)
            except Empty:
                continue

    def _fire_due(self) -> float | None:
        """Fire due limits and return the seconds until the next, None if there is none."""
        with self._lock:
            while self._limits:
                due, _, limit = self._limits[0]
                wait = due - time.monotonic()
                if not limit.left and wait > 0:
                    return wait
                heapq.heappop(self._limits)
                if not limit.left:
                    _raise_in(limit.thread_id)
        return None


def _raise_in(thread_id: int) -> None:
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(JobTimeoutError))
