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
from ..system.forked_copies import call_in_copies
from ..threads.watched_thread import WatchedThread
from .chunks import ChunkQueue, ClaimedChunk, claims_of
from .isolation import run_chunk_isolated, run_isolated
from .job_process import JobProcess, JobProcessClosed, JobProcessFailed
from .shared_capacity import SharedCapacity

logger = logging.getLogger("django_jobs.worker")


class _ThreadState:
    """The run of one thread, its start, and the thread's job process; ``granted``: shared slots that it asked for."""

    __slots__ = ("claim", "granted", "job_process", "since")

    def __init__(self, job_process: JobProcess) -> None:
        self.claim: Claim | ClaimedChunk | None = None
        self.since = 0.0
        self.job_process = job_process
        self.granted: SimpleQueue[JobProcess | None] = SimpleQueue()


class ThreadExecutor:
    """The executor of plain jobs, and of all jobs that are isolated: each thread has a job process for those.

    An idle thread blocks on ``_wakeups``; taking the next claim, done for every job, is one atomic ``popleft``.
    ``shared``: with the executors of other databases; each is a job process, the thread's own for one run.
    """

    def __init__(self, context: WorkerContext, shared: SharedCapacity[JobProcess] | None = None) -> None:
        self.waiting: deque[Claim | ClaimedChunk] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self._context = context
        self._events = context.events
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._stopping = False
        self._shared = shared
        processes = (
            [JobProcess(context) for _ in range(context.options.concurrency)] if shared is None else shared.grants
        )
        self._states = [_ThreadState(job_process) for job_process in processes]
        self._threads = [
            WatchedThread(partial(self._work, state), role="executor", on_death=self._on_death)
            for state in self._states
        ]
        self.chunks = ChunkQueue(self.submit, self._on_death)
        if shared is not None:
            shared.join(context.using, self)
        call_in_copies(self._leave_in_copy)

    @property
    def capacity(self) -> int:
        """How many jobs can run at once: a thread whose job process is still starting can run none."""
        if not self._context.isolates_all or self._shared is not None:
            return len(self._states)
        return sum(state.claim is not None or not state.job_process.is_starting for state in self._states)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def submit(self, claims: Iterable[Claim | ClaimedChunk]) -> None:
        """Queue claims to be run."""
        self.waiting.extend(claims)
        for _ in range(min(len(self.waiting), len(self._states) - self._wakeups.qsize())):
            self._wakeups.put(None)

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return the running jobs, or chunks of them, and their starts (monotonic seconds)."""
        return [(claim, state.since) for state in self._states if (claim := state.claim) is not None]

    def busy(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what runs in the same slots, of all databases."""
        return self.running() if self._shared is None else self._shared.running()

    def capacity_freed(self) -> None:
        """Have the claimer look whether there is more."""
        self._events.capacity_freed()

    def interrupt(self, claim: Claim) -> bool:
        """Interrupt a run in a job process; one in a thread checks for itself. False if it does not run here."""
        for state in self._states:
            if state.claim is claim:
                if self._context.isolates(claim):
                    state.job_process.interrupt(claim)
                return True
            if isinstance(chunk := state.claim, ClaimedChunk) and claim in chunk.claims:
                return True
        return False

    def stop(self) -> None:
        """Let each thread end after its current job."""
        self._stopping = True
        for state in self._states:
            self._wakeups.put(None)
            state.granted.put(None)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the threads to end; tell whether all have."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(deadline - time.monotonic(), 0))
        return not any(thread.is_alive() for thread in self._threads)

    def kill(self) -> None:
        """Kill the job processes; the caller has decided what becomes of their jobs."""
        for state in self._states:
            if self._shared is None or state.claim is not None:
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
                for claim in claims_of(state.claim):
                    self._events.claim_released(claim)
                state.claim = None
            self._events.failed(str(error))
        except BaseException:
            # Not released, which might repeat for ever: the job is rescued, and the run counts as lost.
            state.claim = None
            raise
        if self._shared is None:
            state.job_process.stop_idle()
        connections.close_all()

    def _serve(self, state: _ThreadState) -> None:
        self._prepare(state)
        while not self._stopping:
            claim = self._take() if self._shared is None else self._take_with_grant(state, self._shared)
            if claim is None:
                self._wakeups.get()
                continue
            state.since = time.monotonic()
            state.claim = claim
            if isinstance(claim, ClaimedChunk):
                self._serve_chunk(state, claim)
                continue
            self.started_count += 1
            self._events.job_started(claim.job_id)
            finished = self._run(state.job_process, claim)
            state.claim = None
            self._events.run_finished(finished)
            self._after_run(state)

    def _take(self) -> Claim | ClaimedChunk | None:
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def _take_with_grant(self, state: _ThreadState, shared: SharedCapacity[JobProcess]) -> Claim | ClaimedChunk | None:
        """Wait for a slot, and take a claim if there still is one; what waits for a slot can be released meanwhile."""
        if not self.waiting:
            return None
        database = self._context.using
        shared.request(database, state.granted.put)
        if (job_process := state.granted.get()) is None:  # the executor stops
            if not shared.withdraw(database, state.granted.put) and (late := state.granted.get()) is not None:
                shared.release(database, late)
            return None
        claim = None if self._stopping else self._take()
        if claim is None:
            shared.release(database, job_process)
        else:
            state.job_process = job_process
            job_process.serve(self._context)
        return claim

    def _after_run(self, state: _ThreadState) -> None:
        if state.job_process.is_due_to_end:
            state.job_process.stop_idle()
        if self._shared is not None:
            self._shared.release(self._context.using, state.job_process)
        if len(self.waiting) <= self.low_water_mark:
            self._events.capacity_freed()
        self._prepare(state)

    def _prepare(self, state: _ThreadState) -> None:
        """Wait until the job process of a pool of processes is ready."""
        if self._context.isolates_all and self._shared is None and state.job_process.start():
            self._events.capacity_freed()

    def _serve_chunk(self, state: _ThreadState, chunk: ClaimedChunk) -> None:
        """Run the claims of a chunk in one call, and report each end."""
        if claims := chunk.start():
            self.started_count += 1
            for claim in claims:
                self._events.job_started(claim.job_id)
            if self._context.isolates(claims[0]):
                ends = state.job_process.run_chunk(claims)
            else:
                ends = run_chunk_isolated(claims, self._context)
            state.claim = None
            self._events.runs_finished(ends)
        state.claim = None
        self._after_run(state)

    def _run(self, job_process: JobProcess, claim: Claim) -> FinishedRun | CommittedRun:
        if self._context.isolates(claim):
            return job_process.run(claim)
        return run_isolated(claim, self._context)
