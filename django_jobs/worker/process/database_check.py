"""Check the database in a forked process, so that what the check touches is not copied into the supervisor's memory.

A connection, its driver and Django's migrations cost more memory than all else that a supervisor does. It needs them
for a moment, and lives for months.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import signal
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from django.db import DatabaseError

from ...store.readiness import check_readiness, explain
from ..system.child_process import CHECK_SECONDS, ChildProcess, fork_process
from ..threads.connections import set_network_timeouts

logger = logging.getLogger("django_jobs.worker")

END_SECONDS = 1.0


class DatabaseUnusableError(DatabaseError):
    """The database cannot be used; the message is the sentence that says why."""


class DatabaseCheck:
    """One check in a process of its own. ``kill`` may be called from any thread."""

    def __init__(self, process: ChildProcess, reader: Connection) -> None:
        self._process = process
        self._reader = reader
        self._lock = threading.Lock()
        self._is_closed = False

    def result(self) -> None:
        """Wait for the result; if the database can be used, the process goes on with ``on_ready``.

        Raises DatabaseUnusableError; OSError if the process was killed; RuntimeError if it died of a bug.
        """
        while not self._reader.poll() and self._process.is_alive():
            wait([self._reader, self._process.death], CHECK_SECONDS)
        try:
            reason = self._reader.recv()
        except EOFError:
            raise self._error_of_death() from None
        if reason:
            raise DatabaseUnusableError(reason)

    def join(self) -> None:
        """Wait for the end of the process."""
        self._process.wait(math.inf)
        with self._lock:
            self._is_closed = True
            self._process.close()
        self._reader.close()

    def kill(self) -> None:
        """End it at once."""
        with self._lock:
            if not self._is_closed:
                self._process.kill()

    def _error_of_death(self) -> Exception:
        self._process.wait(END_SECONDS)
        code = self._process.exit_code
        text = f"the process that checks it, {self._process.pid}, died: {self._process.describe_exit()}"
        return OSError(text) if code is None or code < 0 else RuntimeError(text)


def start_database_check(on_ready: Callable[[], None], *, using: str) -> DatabaseCheck | None:
    """Have a process forked that checks the database and calls ``on_ready`` if it can be used.

    None if nothing can be forked. Raises OSError if the system has no process or descriptor to give.
    """
    reader, writer = multiprocessing.Pipe(duplex=False)
    arguments = (on_ready, using, writer)
    try:
        process = fork_process(_check_database, arguments, name="django_jobs check", dies_with_parent=True)
    except BaseException:
        reader.close()
        raise
    finally:
        writer.close()
    if process is None:
        reader.close()
        return None
    return DatabaseCheck(process, reader)


def call_on_ready(on_ready: Callable[[], None]) -> None:
    """Call it; whatever it finds, the workers run."""
    try:
        on_ready()
    except Exception:
        logger.exception("the migrations of the project could not be checked")


def _check_database(on_ready: Callable[[], None], using: str, writer: Connection) -> None:
    """Be the process that checks: send why the database cannot be used, nothing but "" if it can."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the supervisor ends this process
    set_network_timeouts(using)
    try:
        check_readiness(using=using)
    except (DatabaseError, OSError) as error:
        writer.send(explain(error, using=using))
    else:
        writer.send("")
        call_on_ready(on_ready)
