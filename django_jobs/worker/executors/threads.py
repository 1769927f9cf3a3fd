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
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.run import finalize, run
from ..execution.runtime import CommittedRun, RunContext
from ..threads.connections import check_idle_connections, reset_connections
from ..threads.watched_thread import WatchedThread
from .isolation import Isolation
from .job_process import JobProcess, JobProcessClosed, JobProcessFailed

logger = logging.getLogger("django_jobs.worker")


class _ThreadState:
    """One thread's place: what it runs, since when, and the process it has for jobs that must not run here."""

    __slots__ = ("claim", "job_process", "since")

    def __init__(self, job_process: JobProcess) -> None:
        self.claim: Claim | None = None
        self.since = 0.0
        self.job_process = job_process


class ThreadExecutor:
    """The executor of plain jobs, and of all that ``isolation`` sends to a process of its own: one a thread.

    ``fail`` hears why no such process can be had, or that a thread died; it has ended then. An idle thread blocks on a
    bell, so that taking the next claim, done for every job, is one atomic ``popleft``.
    """

    def __init__(
        self,
        *,
        slots: int,
        run_context: RunContext,
        isolation: Isolation,
        begin: Callable[[int], None],
        report: Callable[[FinishedRun | CommittedRun], None],
        on_capacity: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        self.waiting: deque[Claim] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self._thread_states = [_ThreadState(isolation.job_process(run_context)) for _ in range(slots)]
        self._run_context = run_context
        self._isolation = isolation
        self._record_start = begin
        self._report = report
        self._on_capacity = on_capacity
        self._fail = fail
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._threads = [
            WatchedThread(
                partial(self._work, state), role="executor", on_death=lambda role: fail(f"its {role} died")
            )
            for state in self._thread_states
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claims: Iterable[Claim]) -> None:
        """Hand over claims to run."""
        self.waiting.extend(claims)
        for _ in range(min(len(self.waiting), len(self._thread_states) - self._wakeups.qsize())):
            self._wakeups.put(None)

    def running(self) -> list[tuple[Claim, float]]:
        """Return what runs at this moment and since when (monotonic seconds)."""
        return [(claim, state.since) for state in self._thread_states if (claim := state.claim) is not None]

    def interrupt(self, claim: Claim) -> bool:
        """Interrupt a run in a process of its own; one in a thread will look for itself."""
        for state in self._thread_states:
            if state.claim is claim:
                if self._isolation.isolates(claim):
                    state.job_process.interrupt(claim)
                return True
        return False

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""
        return len(self._thread_states)

    def stop(self) -> None:
        """Let each thread end after the job it has in hand."""
        self._stopping = True
        for _ in self._thread_states:
            self._wakeups.put(None)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the threads to end and tell whether all have."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def kill(self) -> None:
        """Kill the processes of what runs; what becomes of those jobs was said before."""
        for state in self._thread_states:
            state.job_process.close()

    def _work(self, state: _ThreadState) -> None:
        try:
            self._serve(state)
        except JobProcessClosed:
            return
        except JobProcessFailed as error:
            if state.claim is not None:
                self._report(
                    finalize(
                        state.claim, Released(started=False), started=None, run_context=self._run_context
                    )
                )
                state.claim = None
            self._fail(str(error))
        except BaseException:
            state.claim = (
                None  # not to be given back, or it might do so for ever: it is rescued, and counts as lost
            )
            raise
        state.job_process.stop_idle()
        connections.close_all()

    def _serve(self, state: _ThreadState) -> None:
        keeps = self._isolation.isolates_all
        if keeps:
            state.job_process.start()
        while not self._stopping:
            try:
                claim = self.waiting.popleft()
            except IndexError:
                self._wakeups.get()
                continue
            state.since = time.monotonic()
            state.claim = claim
            self.started_count += 1
            self._record_start(claim.job_id)
            ended = self._run(state.job_process, claim)
            state.claim = None
            self._report(ended)
            if len(self.waiting) <= self.low_water_mark:
                self._on_capacity()
            if keeps:
                state.job_process.start()

    def _run(self, job_process: JobProcess, claim: Claim) -> FinishedRun | CommittedRun:
        if self._isolation.isolates(claim):
            return job_process.run(claim)
        check_idle_connections()
        ended = run(claim, self._run_context)
        reset_connections()
        return ended
