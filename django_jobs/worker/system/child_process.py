"""A child process, forked or spawned, whose death is told by the kernel, not by the end of a pipe.

It is forked if this process has a fork server; else it is spawned, a fresh interpreter. The sentinel that
``multiprocessing`` has of a spawned process is a pipe: programs and processes that a job starts inherit its other end,
and it stays open as long as one of them lives. A pidfd (Linux 5.3) becomes readable when the process itself dies. Where
there is none, and in case of doubt, ``waitpid`` is asked every second.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import Any

from .exit_codes import describe_exit
from .fork_server import (
    ForkedProcess,
    ForkServerLost,
    current_fork_server,
    forget_fork_server,
    is_forked,
    reap_lost_server,
)

logger = logging.getLogger("django_jobs.worker")

CHECK_SECONDS = 1.0
"""The longest wait for a descriptor before the process is asked for."""


class ChildProcess(ABC):
    """A process that this one has started. ``is_alive`` and ``send_signal`` may be used from any thread.

    ``death`` is a descriptor that becomes readable when it has died; wait no longer than ``CHECK_SECONDS`` for it.
    """

    pid: int
    death: int

    @abstractmethod
    def is_alive(self) -> bool:
        """Tell whether it has not died yet."""

    @property
    @abstractmethod
    def exit_code(self) -> int | None:
        """Its exit code, negative for a signal; None if it lives, or if nobody can tell any more."""

    @abstractmethod
    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has died."""

    @abstractmethod
    def close(self) -> None:
        """Free its descriptors; only once it has died."""

    def wait(self, seconds: float) -> bool:
        """Wait for its death; tell whether it has died."""
        deadline = time.monotonic() + seconds
        while self.is_alive():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            wait([self.death], min(left, CHECK_SECONDS))
        return True

    def describe_exit(self) -> str:
        """Return how it ended."""
        if self.exit_code is None and not self.is_alive():
            return "exit code unknown"
        return describe_exit(self.exit_code)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def start_process(
    target: Callable[..., object], args: tuple[Any, ...], *, name: str, dies_with_parent: bool = False
) -> ChildProcess:
    """Start a process that calls ``target``; forked and ``dies_with_parent``, it is killed when this one dies.

    Raises OSError if no process can be started at this moment.
    """
    forked = fork_process(target, args, name=name, dies_with_parent=dies_with_parent)
    return _Spawned(target, args, name=name) if forked is None else forked


def fork_process(
    target: Callable[..., object], args: tuple[Any, ...], *, name: str, dies_with_parent: bool = False
) -> ChildProcess | None:
    """Have a process forked, as ``start_process`` does; None if there is no fork server, or it is lost."""
    if (server := current_fork_server()) is not None:
        try:
            return _Forked(server.fork(target, args, name=name, dies_with_parent=dies_with_parent))
        except ForkServerLost as error:
            give_up_forking(str(error))
    return None


def check_fork_server() -> None:
    """Spawn processes from now on if the fork server, which this process has started, has died."""
    reap_lost_server()
    server = current_fork_server()
    if server is not None and server.has_died():
        give_up_forking("it has died")


def give_up_forking(reason: str) -> None:
    """Spawn processes from now on, and say so."""
    server = current_fork_server()
    if server is not None:
        forget_fork_server()
        logger.warning(
            "the fork server, process %s, is lost: %s; processes are spawned from now on", server.pid, reason
        )


class _Forked(ChildProcess):
    def __init__(self, process: ForkedProcess) -> None:
        self._process = process
        self.pid = process.pid
        self.death = process.pidfd

    def is_alive(self) -> bool:
        return not wait([self.death], 0)

    @property
    def exit_code(self) -> int | None:
        if self.is_alive():
            return None
        try:
            return self._process.exit_code()
        except ForkServerLost as error:
            give_up_forking(str(error))
            return None

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if sys.platform == "linux":
                signal.pidfd_send_signal(self.death, number)

    def close(self) -> None:
        self._process.close()


class _Spawned(ChildProcess):
    def __init__(self, target: Callable[..., object], args: tuple[Any, ...], *, name: str) -> None:
        self._process = multiprocessing.get_context("spawn").Process(target=target, args=args, name=name)
        self._process.start()
        self.pid = self._process.pid or 0
        self._pidfd = _open_pidfd(self.pid)
        self.death = self._process.sentinel if self._pidfd is None else self._pidfd

    def is_alive(self) -> bool:
        if self._pidfd is not None and wait([self._pidfd], 0):
            return False
        return self._process.is_alive()

    @property
    def exit_code(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if self._pidfd is not None and sys.platform == "linux":
                signal.pidfd_send_signal(self._pidfd, number)
            elif self._process.is_alive():
                os.kill(self.pid, number)

    def close(self) -> None:
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
        if not is_forked() and os.getppid() != parent.pid:
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
