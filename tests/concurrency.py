"""Real concurrency for tests: threads and connections of their own, met at barriers, every wait with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction

DEADLINE_SECONDS = 60


class Background:
    """A function that runs in a thread with connections of its own, which are closed when it ends."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001 - handed to the test by result()
            self._error = error
        finally:
            connections.close_all()

    @property
    def has_ended(self) -> bool:
        """True once the function has returned or raised."""
        return not self._thread.is_alive()

    def result(self, seconds: float = DEADLINE_SECONDS) -> Any:
        """Wait for the end and return what the function did, or raise what it raised."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise AssertionError(f"{self._function} has not ended after {seconds} s")
        if self._error is not None:
            raise self._error
        return self._value


def run_together(*functions: Callable[[], Any]) -> list[Any]:
    """Run each function in a thread, all let go at one barrier; return what they returned, in order."""
    barrier = threading.Barrier(len(functions))

    def at_barrier(function: Callable[[], Any]) -> Any:
        for connection in connections.all(initialized_only=False):
            connection.ensure_connection()
        barrier.wait(DEADLINE_SECONDS)
        return function()

    running = [Background(lambda function=function: at_barrier(function)) for function in functions]
    return [one.result() for one in running]


@contextmanager
def elsewhere(function: Callable[[], Any], *, using: str = "default") -> Iterator[Any]:
    """Call ``function`` in another connection's transaction, which stays open within the block and is rolled back.

    Gives what ``function`` returned. Locks that it took are held all the while.
    """
    reached, leave = threading.Event(), threading.Event()
    returned: list[Any] = []

    def hold() -> None:
        try:
            with transaction.atomic(using=using):
                returned.append(function())
                reached.set()
                if not leave.wait(DEADLINE_SECONDS):
                    raise AssertionError("the other transaction was never let go")
                transaction.set_rollback(True, using=using)
        finally:
            reached.set()

    holder = Background(hold)
    if not reached.wait(DEADLINE_SECONDS):
        raise AssertionError("the other transaction did not begin")
    if not returned:
        holder.result()
    try:
        yield returned[0]
    finally:
        leave.set()
        holder.result()


def wait_until(holds: Callable[[], Any], what: str = "", *, seconds: float = DEADLINE_SECONDS) -> Any:
    """Wait until ``holds()`` is true and return what it returned."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (value := holds()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what or holds}")
        pause.wait(0.01)
    return value
