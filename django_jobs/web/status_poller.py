"""One thread a process that looks at the database for all clients that wait in it.

However many wait: one statement every STATUS_POLL_INTERVAL for all jobs that are watched, on one connection of
the thread's own. It starts with the first that waits and ends, with its connection, when none is left.
::

    request's event loop                    watcher thread
    Watch(seen) -- watcher.join() --------> reads all watched jobs
    await watch.next() <-- call_soon_threadsafe -- what is not as it was
    leaves, whatever happens                ends where nobody is left
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
from ..store.status import JobStatus, read_statuses

logger = logging.getLogger("django_jobs.web")


class StatusWaiter:
    """One client that waits for changes of one job, in a coroutine; leaves the watcher at the end of its block."""

    def __init__(self, seen: JobStatus, *, holds_thread: bool) -> None:
        self.job_id = seen.job_id
        self.holds_thread = holds_thread
        self._last: JobStatus | None = seen
        self._changes: asyncio.Queue[JobStatus | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        poller.leave(self)

    async def next(self, seconds: float) -> JobStatus | None:
        """Return the newest change, or None where the job is gone. Raises TimeoutError after ``seconds``."""
        change = await asyncio.wait_for(self._changes.get(), max(seconds, 0))
        while not self._changes.empty():
            change = self._changes.get_nowait()
        return change

    def offer(self, seen: JobStatus | None) -> None:
        """Take what the watcher thread saw. Thread-safe; a loop that is closed waits for nothing."""
        if seen == self._last:
            return
        self._last = seen
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._changes.put_nowait, seen)


class StatusPoller:
    """Keeps the watches of this process and the thread that looks for them. ``poll_count`` counts its statements."""

    def __init__(self) -> None:
        self.poll_count = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew: a forked process has its parent's watches and none of its threads."""
        self._lock = threading.Lock()
        self._watches: set[StatusWaiter] = set()
        self._thread: threading.Thread | None = None

    def has_capacity(self, *, holds_thread: bool) -> bool:
        """Tell whether one more client may wait: STATUS_WAITING, STATUS_WAITING_WSGI for those that hold a thread."""
        settings = get_settings()
        max_waiters = settings.status_waiting_wsgi if holds_thread else settings.status_waiting
        return sum(one.holds_thread == holds_thread for one in self._watches) < max_waiters

    def join(self, watch: StatusWaiter) -> bool:
        """Look for ``watch`` from now on; False, and nothing done, where there is no room."""
        with self._lock:
            if not self.has_capacity(holds_thread=watch.holds_thread):
                return False
            self._watches.add(watch)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="django_jobs-watcher", daemon=True)
                self._thread.start()
        return True

    def leave(self, watch: StatusWaiter) -> None:
        """Look for it no more."""
        with self._lock:
            self._watches.discard(watch)

    def _run(self) -> None:
        pause = threading.Event()
        alias = get_settings().database
        try:
            while not pause.wait(get_settings().status_poll_interval.total_seconds()):
                with self._lock:
                    watches = list(self._watches)
                    if not watches:
                        self._thread = None
                        return
                self._poll(watches, alias)
        finally:
            with self._lock:
                if self._thread is threading.current_thread():
                    self._thread = None
            connections[alias].close()

    def _poll(self, watches: list[StatusWaiter], alias: str) -> None:
        self.poll_count += 1
        try:
            seen = read_statuses({one.job_id for one in watches}, using=alias)
        except DatabaseError as error:
            # Those that wait are answered when their time is over; a broken connection is made anew.
            logger.warning("cannot look at jobs for %s clients that wait: %s", len(watches), error)
            connections[alias].close()
            return
        for one in watches:
            one.offer(seen.get(one.job_id))


poller = StatusPoller()
os.register_at_fork(after_in_child=poller.reset)
