"""Run plain jobs in N threads, each with its own database connections."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from queue import SimpleQueue

from django.db import connections

from ...store.dialects.base import Claim, Ended
from ..bench import Bench, Settled
from ..connections import check_idle_connections, tidy_connections
from ..run import run

logger = logging.getLogger("django_jobs.worker")


class _Slot:
    __slots__ = ("claim", "since")

    def __init__(self) -> None:
        self.claim: Claim | None = None
        self.since = 0.0


class ThreadExecutor:
    """The executor of plain jobs: one a thread.

    An idle thread blocks on a bell, so that taking the next claim, done for every job, is one atomic
    ``popleft``.
    """

    def __init__(
        self,
        *,
        slots: int,
        bench: Bench,
        begin: Callable[[int], None],
        report: Callable[[Ended | Settled], None],
        freed: Callable[[], None],
    ) -> None:
        self.waiting: deque[Claim] = deque()
        self.begun = 0
        self.low = 0
        self._slots = [_Slot() for _ in range(slots)]
        self._bench = bench
        self._begin_job = begin
        self._report = report
        self._freed = freed
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._work, args=(slot,), name=f"jobs-executor-{at}", daemon=True)
            for at, slot in enumerate(self._slots)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claims: Iterable[Claim]) -> None:
        """Hand over claims to run."""
        self.waiting.extend(claims)
        for _ in range(min(len(self.waiting), len(self._slots) - self._bell.qsize())):
            self._bell.put(None)

    def running(self) -> list[tuple[Claim, float]]:
        """Return what runs at this moment and since when (monotonic seconds)."""
        return [(claim, slot.since) for slot in self._slots if (claim := slot.claim) is not None]

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""
        return len(self._slots)

    def stop(self) -> None:
        """Let each thread end after the job it has in hand."""
        self._stopping = True
        for _ in self._slots:
            self._bell.put(None)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the threads to end and tell whether all have."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def _work(self, slot: _Slot) -> None:
        while not self._stopping:
            try:
                claim = self.waiting.popleft()
            except IndexError:
                self._bell.get()
                continue
            slot.since = time.monotonic()
            slot.claim = claim
            self.begun += 1
            self._begin_job(claim.job_id)
            check_idle_connections()
            ended = run(claim, self._bench)
            tidy_connections()
            slot.claim = None
            self._report(ended)
            if len(self.waiting) <= self.low:
                self._freed()
        connections.close_all()
