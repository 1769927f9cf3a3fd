"""Run plain jobs in N threads: in the thread itself, or in a job process that the thread supervises."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable
from functools import partial
from queue import SimpleQueue

from django.db import connections

from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.events import CommittedRun
from ..execution.runtime import WorkerContext
from ..forked_copies import call_in_copies
from ..threads.watched_thread import WatchedThread
from .isolation import run_isolated
from .job_process import JobProcess, JobProcessClosed, JobProcessFailed

logger = logging.getLogger("django_jobs.worker")


class _ThreadState:
    """The run of one thread, its start, and the thread's job process."""

    __slots__ = ("claim", "job_process", "since")

    def __init__(self, job_process: JobProcess) -> None:
        self.claim: Claim | None = None
        self.since = 0.0
        self.job_process = job_process


class ThreadExecutor:
    """The executor of plain jobs, and of all jobs that are isolated: each thread has a job process for those.

    An idle thread blocks on ``_wakeups``; taking the next claim, done for every job, is one atomic ``popleft``.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.waiting: deque[Claim] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self.capacity = context.options.concurrency
        self._context = context
        self._events = context.events
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._states = [_ThreadState(JobProcess(context)) for _ in range(self.capacity)]
        self._threads = [
            WatchedThread(partial(self._work, state), role="executor", on_death=self._on_death)
            for state in self._states
        ]
        call_in_copies(self._leave_in_copy)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claims: Iterable[Claim]) -> None:
        """Queue claims to be run."""
        self.waiting.extend(claims)
        for _ in range(min(len(self.waiting), self.capacity - self._wakeups.qsize())):
            self._wakeups.put(None)

    def running(self) -> list[tuple[Claim, float]]:
        """Return the running jobs and their starts (monotonic seconds)."""
        return [(claim, state.since) for state in self._states if (claim := state.claim) is not None]

    def interrupt(self, claim: Claim) -> bool:
        """Interrupt a run in a job process; one in a thread checks for itself. False if it does not run here."""
        for state in self._states:
            if state.claim is claim:
                if self._context.isolates(claim):
                    state.job_process.interrupt(claim)
                return True
        return False

    def stop(self) -> None:
        """Let each thread end after its current job."""
        self._stopping = True
        for _ in self._states:
            self._wakeups.put(None)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the threads to end; tell whether all have."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def kill(self) -> None:
        """Kill the job processes; the caller has decided what becomes of their jobs."""
        for state in self._states:
            state.job_process.close()

    def _leave_in_copy(self) -> None:
        """Start no claims in a copy of this process."""
        self._stopping = True
        self.waiting.clear()

    def _on_death(self, role: str) -> None:
        self._events.failed(f"its {role} died")

    def _work(self, state: _ThreadState) -> None:
        try:
            self._serve(state)
        except JobProcessClosed:
            return
        except JobProcessFailed as error:
            if state.claim is not None:
                self._events.claim_released(state.claim)
                state.claim = None
            self._events.failed(str(error))
        except BaseException:
            # Not released, which might repeat for ever: the job is rescued, and the run counts as lost.
            state.claim = None
            raise
        state.job_process.stop_idle()
        connections.close_all()

    def _serve(self, state: _ThreadState) -> None:
        keeps_process = self._context.isolates_all
        if keeps_process:
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
            self._events.job_started(claim.job_id)
            finished = self._run(state.job_process, claim)
            state.claim = None
            self._events.run_finished(finished)
            if len(self.waiting) <= self.low_water_mark:
                self._events.capacity_freed()
            if keeps_process:
                state.job_process.start()

    def _run(self, job_process: JobProcess, claim: Claim) -> FinishedRun | CommittedRun:
        if self._context.isolates(claim):
            return job_process.run(claim)
        return run_isolated(claim, self._context)
