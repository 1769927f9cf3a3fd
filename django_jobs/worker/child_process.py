"""A child process whose death is told by the kernel, not by the end of a pipe.

The sentinel of ``multiprocessing`` is a pipe: programs and processes that a job starts inherit its other end, and it
stays open as long as one of them lives. A pidfd (Linux 5.3) becomes readable when the process itself dies. Where there
is none, and in case of doubt, ``waitpid`` is asked every second.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from .exit_codes import describe_exit

CHECK_SECONDS = 1.0
"""The longest wait for a descriptor before the process is asked for."""


class ChildProcess:
    """A spawned process. ``is_alive`` and ``send_signal`` may be used from any thread.

    ``death`` is a descriptor that becomes readable when it has died; wait no longer than ``CHECK_SECONDS`` for it.
    Raises OSError if no process can be started at this moment.
    """

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], *, name: str) -> None:
        self._process = multiprocessing.get_context("spawn").Process(target=target, args=args, name=name)
        self._process.start()
        self.pid = self._process.pid or 0
        self._pidfd = _open_pidfd(self.pid)
        self.death: int = self._process.sentinel if self._pidfd is None else self._pidfd

    def is_alive(self) -> bool:
        """Tell whether it has not died yet."""
        if self._pidfd is not None and wait([self._pidfd], 0):
            return False
        return self._process.is_alive()

    def wait(self, seconds: float) -> bool:
        """Wait for its death; tell whether it has died."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wait([self.death], min(left, CHECK_SECONDS))
        return True

    @property
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None if it lives, or if somebody else has taken it by ``os.wait()``."""
        return self._process.exitcode

    def describe_exit(self) -> str:
        """Return how it ended."""
        if self.exit_code is None and not self.is_alive():
            return "exit code unknown"
        return describe_exit(self.exit_code)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has died."""
        with suppress(ProcessLookupError):
            if self._pidfd is not None and sys.platform == "linux":
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._process.is_alive():
                os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def close(self) -> None:
        """Free its descriptors; only once it has died."""
        if self._pidfd is not None:
            os.close(self._pidfd)
            self._pidfd = None
        with suppress(ValueError):  # its exit code was taken by another: multiprocessing believes that it lives
            self._process.close()


def wait_as_child(sources: Iterable[Connection | int] = ()) -> bool:
    """Wait until a source is readable or the parent process has died; tell whether the parent has died."""
    parent = parent_process()
    if parent is None:
        wait(list(sources))
        return False
    watched = [*sources, parent.sentinel]
    while True:
        # As long as another process holds the other end of the sentinel, it says nothing.
        if os.getppid() != parent.pid:
            return True
        if ready := wait(watched, CHECK_SECONDS):
            return parent.sentinel in ready


def _open_pidfd(pid: int) -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
