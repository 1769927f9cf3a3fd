"""One thread a process, and database of jobs, that polls for all the clients that wait for jobs there.

However many wait: one statement every STATUS["POLL_INTERVAL"] for all their jobs, on the thread's own connection.
It starts with the first waiting client and ends, with its connection, after the last.
::

    request's event loop                              poller's thread
    StatusWaiter(status) -- poller.join() ----------> reads the jobs of all waiters
    await waiter.next() <-- call_soon_threadsafe ---- statuses that have changed
    leaves at the end of its block                    ends when no waiter is left
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
from types import TracebackType
from typing import Self

from django.db import Error as DatabaseError
from django.db import connections

from ..conf import get_settings
from ..policy.plurals import counted
from ..store.status import JobStatus, read_statuses

logger = logging.getLogger("django_jobs.web")


class StatusWaiter:
    """One client that waits in a coroutine for changes of one job; leaves the poller at the end of its block."""

    def __init__(self, status: JobStatus, *, holds_thread: bool) -> None:
        self.job_id, self.database = status.job_id, status.database
        self.holds_thread = holds_thread
        self._last: JobStatus | None = status
        self._changes: asyncio.Queue[JobStatus | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        poller.leave(self)

    async def next(self, seconds: float) -> JobStatus | None:
        """Return the newest status after a change, or None if the job was deleted. Raises TimeoutError."""
        change = await asyncio.wait_for(self._changes.get(), max(seconds, 0))
        while not self._changes.empty():
            change = self._changes.get_nowait()
        return change

    def offer(self, status: JobStatus | None) -> None:
        """Take a status from the poller's thread. Thread-safe; does nothing if the loop is closed."""
        if status == self._last:
            return
        self._last = status
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._changes.put_nowait, status)


class StatusPoller:
    """The waiters of this process, and the threads that poll for them; ``poll_count`` counts the statements."""

    def __init__(self) -> None:
        self.poll_count = 0
        self.reset()

    def reset(self) -> None:
        """Start empty: a forked process has its parent's waiters and none of its threads."""
        self._lock = threading.Lock()
        self._waiters: set[StatusWaiter] = set()
        self._threads: dict[str, threading.Thread] = {}

    def has_capacity(self, *, holds_thread: bool) -> bool:
        """Tell whether one more client may wait: MAX_WAITERS, or MAX_WAITERS_WSGI if it holds a thread."""
        settings = get_settings()
        max_waiters = settings.status.max_waiters_wsgi if holds_thread else settings.status.max_waiters
        return sum(waiter.holds_thread == holds_thread for waiter in self._waiters) < max_waiters

    def join(self, waiter: StatusWaiter) -> bool:
        """Poll for ``waiter`` from now on; return False if no more clients may wait."""
        with self._lock:
            if not self.has_capacity(holds_thread=waiter.holds_thread):
                return False
            self._waiters.add(waiter)
            alias = waiter.database
            if alias not in self._threads:
                name = "django_jobs-status-poller"
                self._threads[alias] = threading.Thread(target=self._run, args=(alias,), name=name, daemon=True)
                self._threads[alias].start()
        return True

    def leave(self, waiter: StatusWaiter) -> None:
        """Stop polling for it."""
        with self._lock:
            self._waiters.discard(waiter)

    def _run(self, alias: str) -> None:
        pause = threading.Event()
        try:
            while not pause.wait(get_settings().status.poll_interval.total_seconds()):
                with self._lock:
                    waiters = [waiter for waiter in self._waiters if waiter.database == alias]
                    if not waiters:
                        del self._threads[alias]
                        return
                self._poll(waiters, alias)
        finally:
            with self._lock:
                if self._threads.get(alias) is threading.current_thread():
                    del self._threads[alias]
            connections[alias].close()

    def _poll(self, waiters: list[StatusWaiter], alias: str) -> None:
        self.poll_count += 1
        try:
            statuses = read_statuses({waiter.job_id for waiter in waiters}, using=alias)
        except DatabaseError as error:
            # Clients are answered when their time is over; a broken connection is opened again.
            logger.warning("cannot poll jobs for %s: %s", counted(len(waiters), "waiting client"), error)
            connections[alias].close()
            return
        connections[alias].queries_log.clear()  # DEBUG logs each statement, and no request ends here
        for waiter in waiters:
            waiter.offer(statuses.get(waiter.job_id))


poller = StatusPoller()
os.register_at_fork(after_in_child=poller.reset)
