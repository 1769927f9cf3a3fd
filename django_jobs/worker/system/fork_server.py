"""Have processes forked by a small process that has the modules of this one already: the fork server.

A process with threads cannot be forked safely, and a supervisor has threads. So it forks itself once, before its first
thread; that copy never has one::

    supervisor ---- channel ----> fork server            waits; holds no connection, runs nothing of the project
        |                           |-- worker process       each has a channel of its own, for its job processes,
        |<-- pid, pidfd, exit ------|-- job process          which are forked from here as well

The memory of all is shared with the supervisor's until they write to it. Whoever asked for a process is its parent, as
``multiprocessing.parent_process()`` tells: its ``sentinel`` is a pidfd of it. If the fork server dies alone, the
processes live on, but their exit codes are not told, and others must be spawned.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EBADF, EMFILE
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from .fork_requests import Call, receive_answer, send_request, socket_pair
from .fork_server_main import flush_streams, run_fork_server
from .forked_copies import close_in_copies

ANSWER_SECONDS = 5.0
"""How long the fork server may take to fork; then it counts as lost."""
EXIT_CODE_SECONDS = 1.0
"""How long it may take to tell the exit code of a process that has died."""
END_SECONDS = 1.0


class ForkServerLost(Exception):
    """The fork server has died, or does not answer."""


class ForkedProcess:
    """A process that was forked for this one, and its pidfd."""

    def __init__(self, pid: int, pidfd: int, answers: socket.socket) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self._answers: socket.socket | None = answers
        self._exit_code: int | None = None

    def exit_code(self) -> int | None:
        """Return its exit code once it has died, negative for a signal; None if it is not told.

        Raises ForkServerLost, once, if the fork server does not answer.
        """
        if self._answers is not None:
            answers, self._answers = self._answers, None
            with _lost_if_gone(), answers:
                # One that is lost already is not waited for again: the code may have been told before.
                answers.settimeout(EXIT_CODE_SECONDS if _state.server is not None else 0)
                answer = receive_answer(answers)
                self._exit_code = None if answer is None else answer[0]
        return self._exit_code

    def close(self) -> None:
        """Close its descriptors."""
        os.close(self.pidfd)
        if self._answers is not None:
            self._answers.close()


class ForkServer:
    """The fork server as seen by a process that may ask it; from any thread."""

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self._channel = channel
        self._channel.settimeout(ANSWER_SECONDS)
        close_in_copies(channel)

    def fork(
        self, target: Callable[..., object], args: tuple[Any, ...], *, name: str, dies_with_parent: bool
    ) -> ForkedProcess:
        """Have a process forked that calls ``target``; it is killed when this one dies, if so wished.

        Raises ForkServerLost, or OSError if the system has no process or descriptor to give.
        """
        answers, far_end = socket_pair()
        try:
            answers.settimeout(ANSWER_SECONDS)
            with _lost_if_gone(), far_end:
                call = Call(target, args, name)
                send_request(self._channel, call, answers=far_end, dies_with_parent=dies_with_parent)
            with _lost_if_gone():
                answer = _receive_in_time(answers)
            if answer is None:
                raise ForkServerLost("it has ended")
            return ForkedProcess(*_read_answer(*answer), answers)
        except BaseException:
            answers.close()
            raise

    def has_died(self) -> bool:
        """Tell whether the fork server has died; only to the process that started it."""
        with suppress(ChildProcessError):
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        return True

    def close(self) -> None:
        """Ask no more."""
        self._channel.close()


class _State:
    """The fork server of this process."""

    server: ForkServer | None = None
    is_forked = False
    lost: ForkServer | None = None
    """One that this process has started and given up; frozen, it may die later."""


_state = _State()


def current_fork_server() -> ForkServer | None:
    """Return the fork server that this process may ask; None: there is none."""
    return _state.server


def is_forked() -> bool:
    """Tell whether this process was forked by a fork server."""
    return _state.is_forked


def why_not_fork() -> str:
    """Return why this process cannot have a fork server; empty if it can."""
    if sys.platform != "linux":
        return "only Linux has what it takes to fork safely"
    count = sum(1 for _ in Path("/proc/self/task").iterdir())
    if count > 1:
        names = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        return f"this process has other threads already ({names or 'of C code'}), which a fork would not copy"
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError as error:
        return f"the system opens no pidfd: {error}"
    return ""


def start_fork_server() -> None:
    """Fork the fork server of this process, which must have one thread and no open connection.

    Raises OSError if the system has no process or descriptor to give.
    """
    channel, far_end = socket_pair()
    supervisor = os.getpid()
    # What is frozen the collector does not touch: its pages remain shared.
    gc.collect()
    gc.freeze()
    flush_streams()
    with far_end:
        pid = os.fork()
        if pid == 0:
            channel.close()
            run_fork_server(far_end, supervisor, _join)
    _state.server = ForkServer(pid, channel)


def stop_fork_server() -> None:
    """Leave the fork server to end, which it does once all its processes have ended; wait shortly for that."""
    server, _state.server = _state.server, None
    if server is None:
        return
    server.close()
    with suppress(ProcessLookupError, ChildProcessError):
        pidfd = os.pidfd_open(server.pid)
        wait([pidfd], END_SECONDS)
        os.close(pidfd)
        server.has_died()


def forget_fork_server() -> None:
    """Ask it no more."""
    if _state.server is not None:
        _state.server.close()
        _state.lost, _state.server = _state.server, None


def reap_lost_server() -> None:
    """Let a fork server that was given up disappear from the list of processes once it has died."""
    if _state.lost is not None and _state.lost.has_died():
        _state.lost = None


def _join(channel: socket.socket) -> None:
    _state.is_forked = True
    _state.server = ForkServer(os.getppid(), channel)


def _read_answer(number: int, descriptors: list[int]) -> tuple[int, int]:
    """Return the id and the pidfd of a new process."""
    if number < 0:
        raise OSError(-number, os.strerror(-number))
    if not descriptors:  # this process has no number left for it
        os.kill(number, signal.SIGKILL)
        raise OSError(EMFILE, os.strerror(EMFILE))
    return number, descriptors[0]


def _receive_in_time(answers: socket.socket) -> tuple[int, list[int]] | None:
    """Return the answer; after a timeout nothing can be answered any more, or a process would run unknown."""
    try:
        return receive_answer(answers)
    except TimeoutError:
        answers.shutdown(socket.SHUT_RD)
        if (answer := receive_answer(answers)) is not None:
            return answer
        raise


@contextmanager
def _lost_if_gone() -> Iterator[None]:
    try:
        yield
    except (ConnectionError, TimeoutError, BlockingIOError) as error:
        raise ForkServerLost(str(error)) from error
    except OSError as error:
        if error.errno == EBADF:  # another thread has found that it is lost
            raise ForkServerLost("it was given up") from error
        raise
