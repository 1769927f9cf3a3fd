"""The fork server itself: a process of one thread that waits for requests, and forks.

It ends when the supervisor and all processes that it forked have ended. Signals that are sent to whole groups of
processes do not end it: it has exit codes to tell.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from errno import EMFILE
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from .fork_requests import Request, receive_request, send_answer, socket_pair

IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)

OnFork = Callable[[socket.socket], None]
"""Called in each new process with its own channel to the fork server."""


def run_fork_server(channel: socket.socket, supervisor: int, on_fork: OnFork) -> NoReturn:
    """Be the fork server of the process ``supervisor``, a copy of which this is; never returns."""
    code = 1
    try:
        _ForkServerLoop(channel, supervisor, on_fork).run()
        code = 0
    except BaseException:  # noqa: BLE001 - a copy must not go on as if it were the supervisor
        traceback.print_exc()
    finally:
        os._exit(code)


def flush_streams() -> None:
    """Flush standard output and error: what is left in them would be written by each copy."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()


@dataclass(slots=True, eq=False)
class _Member:
    """The supervisor, or a process that was forked. ``channel`` brings its requests; ``answers`` is about it."""

    pid: int
    pidfd: int
    channel: socket.socket
    answers: socket.socket | None = None
    parent: _Member | None = None
    dies_with_parent: bool = False

    def close(self) -> None:
        """Close its descriptors."""
        os.close(self.pidfd)
        self.channel.close()
        if self.answers is not None:
            self.answers.close()


class _ForkServerLoop:
    def __init__(self, channel: socket.socket, supervisor: int, on_fork: OnFork) -> None:
        self._on_fork = on_fork
        self._supervisor: _Member | None = _Member(supervisor, os.pidfd_open(supervisor), channel)
        if os.getppid() != supervisor:
            raise ProcessLookupError("the supervisor died before it could be watched")
        self._children: list[_Member] = []
        self._handlers = {number: signal.signal(number, _ignore) for number in IGNORED}
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, as may be inherited, no exit code is told
        signal.set_wakeup_fd(-1)

    def run(self) -> None:
        """Serve until the supervisor and all processes have ended."""
        while members := self._members():
            channels = [member.channel for member in members if member.channel.fileno() >= 0]
            ready = wait([*channels, *(member.pidfd for member in members)])
            for member in members:
                if member.pidfd in ready:
                    self._reap(member)
                elif member.channel in ready:
                    self._serve(member)

    def _members(self) -> list[_Member]:
        return [*self._children, *([self._supervisor] if self._supervisor is not None else [])]

    def _reap(self, member: _Member) -> None:
        """Tell the exit code of a dead process, and kill those that are to die with it."""
        for child in self._children:
            if child.parent is member and child.dies_with_parent:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)  # not reaped: the id is still its own
        if member is self._supervisor:
            self._supervisor = None
        else:
            self._children.remove(member)
            code = os.waitstatus_to_exitcode(os.waitpid(member.pid, 0)[1])
            if member.answers is not None:
                with suppress(OSError):  # nobody asks any more
                    send_answer(member.answers, code)
        member.close()

    def _serve(self, member: _Member) -> None:
        """Fork a process if a member asks for one; a supervisor that hangs up has no more to do with this."""
        try:
            request = receive_request(member.channel)
        except ConnectionError:
            request = None
        except OSError:
            return  # the asker finds that nobody answers
        if request is not None:
            self._answer(member, request)
        elif member is self._supervisor:
            self._supervisor = None
            member.close()
        else:
            member.channel.close()

    def _answer(self, member: _Member, request: Request) -> None:
        try:
            self._fork(member, request)
        except OSError as error:
            with suppress(OSError):
                send_answer(request.answers, -(error.errno or EMFILE))
            request.answers.close()
        finally:
            request.close()

    def _fork(self, parent: _Member, request: Request) -> None:
        if not request.is_complete:
            raise OSError(EMFILE, os.strerror(EMFILE))
        if wait([request.answers], 0):
            request.answers.close()  # the asker has given up
            return
        channel, far_end = socket_pair()
        # A signal to the new process waits until it has its own handlers: that of the fork server would swallow it.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, IGNORED)
        try:
            pid = os.fork()
            if pid == 0:
                channel.close()
                self._be_child(parent, request, far_end, mask)
        except OSError:
            channel.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            far_end.close()
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            channel.close()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        self._children.append(_Member(pid, pidfd, channel, request.answers, parent, request.dies_with_parent))
        try:
            send_answer(request.answers, pid, pidfd)
        except OSError:  # the asker has given up: nobody would look after the process
            os.kill(pid, signal.SIGKILL)

    def _be_child(self, parent: _Member, request: Request, channel: socket.socket, mask: Iterable[int]) -> NoReturn:
        """Do what was asked for, as a process that ``multiprocessing`` starts does; ``mask``: of the fork server."""
        code = 1
        try:
            sentinel = os.dup(parent.pidfd)
            for member in self._members():
                member.close()
            request.answers.close()
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            atexit._clear()  # noqa: SLF001 - those of the supervisor
            self._on_fork(channel)
            call = request.call()
            process: Any = _ForkedProcess(target=call.target, args=call.args, name=call.name)
            process._parent_pid = parent.pid  # noqa: SLF001 - who asked, not who forked
            code = process._bootstrap(parent_sentinel=sentinel)  # noqa: SLF001 - as multiprocessing's own servers
            atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does
            logging.shutdown()
        except BaseException:  # noqa: BLE001 - it must not go on as if it were the fork server
            traceback.print_exc()
        finally:
            flush_streams()
            os._exit(code)


class _ForkedProcess(BaseProcess):
    """Describes a forked process to ``multiprocessing``; its method ``start`` is not used."""

    _start_method = "spawn"
    """For processes that a job starts by multiprocessing: the worker has threads and is better not forked."""


def _ignore(*_: object) -> None:
    """Handle a signal by nothing. Not SIG_IGN, which programs would inherit."""
