"""Keep copies of a worker, which jobs make by ``os.fork()``, away from what belongs to the worker.

A fork, also that of multiprocessing and ProcessPoolExecutor, copies the whole process, but only the thread that called
it. The copy shares the pipes and the sockets of the database connections with the worker::

    before the fork        keep the driver's connections of all threads: those of threads that do not exist in the copy
                           would be destroyed there, and mysqlclient would sign off from the worker's own session
    in the copy            detach the connections from their sockets, give this thread new ones, close the pipes, drop
                           the signal handlers, and forget the claims
    when the job returns   end the copy: it has no business in the code of the worker

A copy that forks again, as a daemon does, is a program of its own: what was done to it is not done to its copies.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import thread as pool_threads
from contextlib import suppress
from queue import Empty
from typing import Any, NoReturn, Protocol
from weakref import WeakMethod, WeakSet

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

logger = logging.getLogger("django_jobs.worker")

STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGQUIT, signal.SIGINT})


class Closable(Protocol):
    """A pipe or a socket."""

    def close(self) -> None:
        """Close this process's end."""


class _State:
    """State of the hooks, one for each process."""

    def __init__(self) -> None:
        self.forks = 0
        self.lock = threading.Lock()
        self.wrappers: WeakSet[BaseDatabaseWrapper] = WeakSet()
        self.to_detach: WeakSet[Any] = WeakSet()
        self.to_close: WeakSet[Any] = WeakSet()
        self.in_copies: list[WeakMethod[Callable[[], None]]] = []
        self.driver_connections: list[Any] = []
        self.kept: list[Any] = []
        self.is_copy = False
        self.signal_mask: set[int] = set()


_state = _State()


def fork_count() -> int:
    """Return how many forks lie between the first process and this one; to be passed to ``end_copy_since``."""
    return _state.forks


def end_copy_since(forks: int) -> None:
    """End this process if it was forked since ``fork_count`` returned ``forks``; call it where a job's code returns."""
    if _state.forks != forks:
        end_copy()


def end_copy() -> NoReturn:
    """End this process, a copy of the worker, as a script would end: by the exception that is being handled, if any."""
    code = 1
    try:
        code = _exit_code(sys.exc_info()[1])
    finally:
        os._exit(code)


def close_in_copies(end: Closable) -> None:
    """Have the copy's duplicate of a pipe or socket closed."""
    with _state.lock:
        _state.to_close.add(end)


def detach_in_copies(connection: object) -> None:
    """Have a driver's connection that is not Django's detached from its socket in copies."""
    with _state.lock:
        _state.to_detach.add(connection)


def call_in_copies(method: Callable[[], None]) -> None:
    """Have a method called in each copy, though not in copies of that, as long as its object lives."""
    _state.in_copies.append(WeakMethod(method))


def isolate_copies() -> None:
    """Isolate all copies of this process from now on; call it before the first database connection."""
    connection_created.connect(_remember, dispatch_uid="django_jobs.worker.system.forked_copies")
    os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_copy)


def _exit_code(error: BaseException | None) -> int:
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    logger.warning(
        "process %s, a copy of this worker that a job made by os.fork(), came to the end of the job's code and ends"
        " here; end such a process by os._exit()",
        os.getpid(),
        exc_info=error,
    )
    return 0 if error is None else 1


def _remember(*, connection: BaseDatabaseWrapper, **_: object) -> None:
    with _state.lock:
        _state.wrappers.add(connection)


def _before() -> None:
    _state.lock.acquire()
    # A signal that arrived in the copy before its handlers are gone would stop the worker, through the pipe.
    _state.signal_mask = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    found = [*(wrapper.connection for wrapper in _state.wrappers), *_state.to_detach]
    _state.driver_connections = [connection for connection in found if connection is not None]


def _after_in_parent() -> None:
    mask, _state.driver_connections = _state.signal_mask, []
    _state.lock.release()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_copy() -> None:
    _state.lock.release()
    _end_after_call_of_pool()
    _detach_sockets(_state.driver_connections)
    # Their destruction would close their numbers, which may be those of other files by then.
    _state.kept += _state.driver_connections
    _state.wrappers.clear()
    _state.to_detach.clear()
    for end in list(_state.to_close):
        with suppress(OSError):
            end.close()
    _state.to_close.clear()
    for connection in connections.all(initialized_only=True):
        _forget_connection(connection)
    if not _state.is_copy:
        signal.set_wakeup_fd(-1)
    _state.is_copy = True
    in_copies, _state.in_copies = _state.in_copies, []
    for reference in in_copies:
        try:
            if (method := reference()) is not None:
                method()
        except Exception:
            logger.exception("a copy of this worker, made by os.fork(), could not be isolated from it")
    signal.pthread_sigmask(signal.SIG_SETMASK, _state.signal_mask)


def _end_after_call_of_pool() -> None:
    """If a thread of a pool made this copy, end it after its present call: later ones are the worker's."""
    calls = getattr(pool_threads, "_threads_queues", {}).get(threading.current_thread())
    if calls is not None:
        with suppress(Empty):
            while True:
                calls.get_nowait()
        calls.put(_EndCopy())


class _EndCopy:
    """A call for a pool's thread."""

    def run(self) -> None:
        """End this process."""
        end_copy()


def _detach_sockets(driver_connections: list[Any]) -> None:
    """Put /dev/null in the place of the sockets: closed numbers would be given to the next files of the job."""
    with suppress(OSError):
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        for connection in driver_connections:
            with suppress(Exception):  # a closed connection has no descriptor
                os.dup2(null, connection.fileno(), inheritable=False)
        os.close(null)


def _forget_connection(connection: BaseDatabaseWrapper) -> None:
    """Have a connection of this thread opened anew at its next use, outside of any transaction of the worker."""
    connection.connection = None
    connection.in_atomic_block = connection.needs_rollback = connection.closed_in_transaction = False
    connection.atomic_blocks = []
    connection.savepoint_ids = []
    connection.run_on_commit = []


def _count_fork() -> None:
    _state.forks += 1


os.register_at_fork(after_in_child=_count_fork)
