"""Run jobs in N threads: each there, with its own database connections, or in a process that the thread watches."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from queue import SimpleQueue

from django.db import connections

from ...policy.outcomes import Released
from ...store.dialects.base.jobs import Claim, Ended
from ..execution.run import conclude, run
from ..execution.runtime import Bench, Settled
from ..threads.connections import check_idle_connections, tidy_connections
from ..threads.watched_thread import WatchedThread
from .isolation import Isolation
from .job_process import Slot, SlotClosed, SlotFailed

logger = logging.getLogger("django_jobs.worker")


class _Seat:
    """One thread's place: what it runs, since when, and the process it has for jobs that must not run here."""

    __slots__ = ("claim", "since", "slot")

    def __init__(self, slot: Slot) -> None:
        self.claim: Claim | None = None
        self.since = 0.0
        self.slot = slot


class ThreadExecutor:
    """The executor of plain jobs, and of all that ``isolation`` sends to a process of its own: one a thread.

    ``fail`` hears why no such process can be had, or that a thread died; it has ended then. An idle thread blocks on a
    bell, so that taking the next claim, done for every job, is one atomic ``popleft``.
    """

    def __init__(
        self,
        *,
        slots: int,
        bench: Bench,
        isolation: Isolation,
        begin: Callable[[int], None],
        report: Callable[[Ended | Settled], None],
        freed: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        self.waiting: deque[Claim] = deque()
        self.begun = 0
        self.low = 0
        self._seats = [_Seat(isolation.slot(bench)) for _ in range(slots)]
        self._bench = bench
        self._isolation = isolation
        self._begin_job = begin
        self._report = report
        self._freed = freed
        self._fail = fail
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._threads = [
            WatchedThread(
                partial(self._work, seat), role="executor", on_death=lambda role: fail(f"its {role} died")
            )
            for seat in self._seats
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claims: Iterable[Claim]) -> None:
        """Hand over claims to run."""
        self.waiting.extend(claims)
        for _ in range(min(len(self.waiting), len(self._seats) - self._bell.qsize())):
            self._bell.put(None)

    def running(self) -> list[tuple[Claim, float]]:
        """Return what runs at this moment and since when (monotonic seconds)."""
        return [(claim, seat.since) for seat in self._seats if (claim := seat.claim) is not None]

    def interrupt(self, claim: Claim) -> bool:
        """Interrupt a run in a process of its own; one in a thread will look for itself."""
        for seat in self._seats:
            if seat.claim is claim:
                if self._isolation.isolates(claim):
                    seat.slot.interrupt(claim)
                return True
        return False

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""
        return len(self._seats)

    def stop(self) -> None:
        """Let each thread end after the job it has in hand."""
        self._stopping = True
        for _ in self._seats:
            self._bell.put(None)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the threads to end and tell whether all have."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def kill(self) -> None:
        """Kill the processes of what runs; what becomes of those jobs was said before."""
        for seat in self._seats:
            seat.slot.close()

    def _work(self, seat: _Seat) -> None:
        try:
            self._serve(seat)
        except SlotClosed:
            return
        except SlotFailed as error:
            if seat.claim is not None:
                self._report(conclude(seat.claim, Released(started=False), started=None, bench=self._bench))
                seat.claim = None
            self._fail(str(error))
        except BaseException:
            seat.claim = (
                None  # not to be given back, or it might do so for ever: it is rescued, and counts as lost
            )
            raise
        seat.slot.dismiss()
        connections.close_all()

    def _serve(self, seat: _Seat) -> None:
        keeps = self._isolation.isolates_all
        if keeps:
            seat.slot.start()
        while not self._stopping:
            try:
                claim = self.waiting.popleft()
            except IndexError:
                self._bell.get()
                continue
            seat.since = time.monotonic()
            seat.claim = claim
            self.begun += 1
            self._begin_job(claim.job_id)
            ended = self._run(seat.slot, claim)
            seat.claim = None
            self._report(ended)
            if len(self.waiting) <= self.low:
                self._freed()
            if keeps:
                seat.slot.start()

    def _run(self, slot: Slot, claim: Claim) -> Ended | Settled:
        if self._isolation.isolates(claim):
            return slot.run(claim)
        check_idle_connections()
        ended = run(claim, self._bench)
        tidy_connections()
        return ended
