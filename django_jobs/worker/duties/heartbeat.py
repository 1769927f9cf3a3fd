"""A worker's right to its claims: a row with a heartbeat, renewed by this process, watched by all others."""

from __future__ import annotations

import logging
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from ... import __version__
from ...models import Worker
from ...store.workers import (
    HeartbeatStatus,
    is_stop_requested,
    record_heartbeat,
    register_worker,
    set_worker_state,
)
from ..options import WorkerOptions

logger = logging.getLogger("django_jobs.worker")


class Heartbeat:
    """The worker's row. ``step`` is one heartbeat.

    A worker that hears that it was declared lost (it was frozen, or cut off) goes on under a new row:
    its old claims are rescued by then and their ends will be refused. ``on_change`` hears of each
    new id, ``on_memory`` of each measurement, ``on_stop_request`` that staff asked this process to stop.
    """

    def __init__(
        self,
        *,
        using: str,
        options: WorkerOptions,
        interval_seconds: float,
        on_change: Callable[[int], None],
        on_memory: Callable[[int], None],
        on_stop_request: Callable[[], None],
    ) -> None:
        self.worker_id = 0
        self._using = using
        self._options = options
        self._interval_seconds = interval_seconds
        self._on_change = on_change
        self._on_memory = on_memory
        self._on_stop_request = on_stop_request

    def current(self) -> int:
        """Return the id under which this process claims and finishes."""
        return self.worker_id

    def acquire(self) -> None:
        """Insert a row for this process."""
        self.worker_id = register_worker(
            hostname=socket.gethostname(),
            pid=os.getpid(),
            queues=self._options.queues,
            concurrency=self._options.concurrency if self._options.works else 0,
            version=__version__,
            using=self._using,
        )
        self._on_change(self.worker_id)

    def step(self) -> float:
        """Renew the heartbeat, or go on as a new worker where this one was declared lost."""
        memory = resident_bytes()
        heard = record_heartbeat(self.worker_id, memory_bytes=memory, using=self._using)
        if heard is HeartbeatStatus.STOP_REQUESTED:
            self._on_stop_request()
        elif heard is HeartbeatStatus.LOST:
            old = self.worker_id
            asked = is_stop_requested(old, using=self._using)
            self.acquire()
            logger.error(
                "worker %s was declared lost: no heartbeat came through in time. Its claims are others' now; it"
                " goes on as worker %s",
                old,
                self.worker_id,
            )
            if asked:
                self._on_stop_request()
        self._on_memory(memory)
        return self._interval_seconds

    def save_state(self, state: Worker.State) -> bool:
        """Write that this worker is stopping, or has stopped; tell whether staff asked it to before that."""
        set_worker_state(self.worker_id, state, using=self._using)
        return is_stop_requested(self.worker_id, using=self._using)


def resident_bytes() -> int:
    """Return how much memory this process has in use now; its highest use where only that is known."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
