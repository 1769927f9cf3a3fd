"""Run ``async def`` jobs, many at once, on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import cast

from asgiref.sync import SyncToAsync, ThreadSensitiveContext, sync_to_async

from ...conf.database import set_database
from ...log_records import job_fields
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.chunk import Ends, aexecute_chunk
from ..execution.events import CommittedRun
from ..execution.run import aexecute
from ..execution.runtime import WorkerContext
from ..system.forked_copies import call_in_copies, end_copy
from ..threads.connections import (
    check_shared_connections,
    close_shared_connections,
    has_unclean_connections,
    reset_async_connections,
)
from ..threads.sessions import JobKey, shared_observers
from ..threads.watched_thread import WatchedThread
from .chunks import ChunkQueue, ClaimedChunk, claims_of
from .isolation import has_failed
from .keep_running import keep_running
from .shared_capacity import SharedCapacity

logger = logging.getLogger("django_jobs.worker")

ROLE = "event loop"
LOOP_DIED = f"its {ROLE} died"


class EventLoopExecutor:
    """The executor of ``async def`` jobs: each is a task, at most WORKER["ASYNC_CONCURRENCY"] at once.

    An engine error in the loop fails the worker: the loop cannot be trusted with jobs any more.
    ``shared``: with the executors of other databases. Its jobs then use the ORM in a thread of their own.
    """

    def __init__(self, context: WorkerContext, shared: SharedCapacity[None] | None = None) -> None:
        self.waiting: deque[Claim | ClaimedChunk] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self.capacity = context.settings.worker.async_concurrency if shared is None else shared.capacity
        self._shared = shared
        self._sync_thread = None if shared is None else ThreadSensitiveContext()
        self._grants = 0
        self._has_requested = False
        self._context = context
        self._events = context.events
        self._running: dict[asyncio.Task[None], tuple[Claim | ClaimedChunk, float]] = {}
        self._stopping = False
        self._is_over = False
        self._ended: dict[JobKey, bool] = {}
        self._resets = 0
        self._is_reset_due = self._holds_back = False
        self._loop = asyncio.new_event_loop()
        self._thread = WatchedThread(self._serve, role=ROLE, on_death=self._on_death)
        self.chunks = ChunkQueue(self.submit, self._on_death)
        if shared is not None:
            shared.join(context.using, self)
        call_in_copies(self._leave_in_copy)

    def start(self) -> None:
        """Start the event loop's thread; it ends at once if ``stop`` came first."""
        self._thread.start()
        if self._stopping:
            self._loop.call_soon_threadsafe(self._end_if_idle)

    def submit(self, claims: Iterable[Claim | ClaimedChunk]) -> None:
        """Queue claims to be run."""
        self.waiting.extend(claims)
        self._loop.call_soon_threadsafe(self._call_or_fail, self._start_waiting)

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return the running jobs, or chunks of them, and their starts (monotonic seconds)."""
        return list(self._running.values())

    def busy(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what runs in the same slots, of all databases."""
        return self.running() if self._shared is None else self._shared.running()

    def capacity_freed(self) -> None:
        """Have the claimer look whether there is more."""
        self._events.capacity_freed()

    def interrupt(self, claim: Claim) -> bool:
        """Cancel the task of a run while it is inside its function."""
        if any(isinstance(chunk, ClaimedChunk) and claim in chunk.claims for chunk, _ in self.running()):
            return True  # the others of its chunk go on; it checks for itself
        return self._context.interrupts.interrupt_task(claim)

    def stop(self) -> None:
        """Start no more jobs, and end the loop once none runs."""
        self._stopping = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end_if_idle)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the loop to end; tell whether it has."""
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            keep_running(self._loop, lambda: self._is_over)
        finally:
            self._running.clear()  # if the loop died, they are rescued and count as lost
            close_shared_connections()
            self._loop.close()

    def _leave_in_copy(self) -> None:
        """In a copy of this process that a task has made, end at its next ``await``: the loop has other jobs' tasks."""
        self._stopping = True
        self.waiting.clear()
        if threading.get_ident() == self._thread.ident:
            getattr(self._loop, "_ready", self.waiting).clear()
            self._loop.call_soon(end_copy)

    def _on_death(self, role: str) -> None:
        self._events.failed(f"its {role} died")

    def _call_or_fail(self, step: Callable[..., None], *arguments: object) -> None:
        """Call ``step``. asyncio would only log its error, and a job would be neither run nor released."""
        try:
            step(*arguments)
        except Exception:
            logger.critical("the %s of this worker died; the worker stops", ROLE, exc_info=True)
            self._events.failed(LOOP_DIED)

    def _start_waiting(self) -> None:
        while self.waiting and not self._stopping and not self._holds_back and self._has_capacity():
            try:
                claim = self.waiting.popleft()
            except IndexError:
                break
            if isinstance(claim, ClaimedChunk) and not claim.start():
                continue
            self.started_count += 1
            if self._shared is not None:
                self._grants -= 1
            claims = claims_of(claim)
            for each in claims:
                self._events.job_started(each.job_id)
            # In an empty context: what another job or this thread has set does not reach it.
            run = self._run_chunk(claims) if isinstance(claim, ClaimedChunk) else self._run(claim)
            task = self._loop.create_task(run, name=f"job {claims[0].job_id}", context=self._new_context())
            self._running[task] = (claim, time.monotonic())
            task.add_done_callback(partial(self._call_or_fail, self._on_task_done))

        self._release_unused_grants()

    def _new_context(self) -> Context:
        context = Context()
        context.run(set_database, self._context.using)
        if self._sync_thread is not None:
            context.run(SyncToAsync.thread_sensitive_context.set, self._sync_thread)
        return context

    def _has_capacity(self) -> bool:
        """Tell whether another run may start; if not, one of the shared slots is asked for."""
        if self._shared is None:
            return len(self._running) < self.capacity
        if self._grants < 1 and not self._has_requested:
            self._has_requested = True
            self._shared.request(self._context.using, self._on_grant)
        return self._grants > 0

    def _on_grant(self, granted: None) -> None:
        """Take a slot, in this loop's thread or from that of another executor."""
        if threading.get_ident() == self._thread.ident:
            self._take_grant()
            return
        try:
            self._loop.call_soon_threadsafe(self._call_or_fail, self._start_granted)
        except RuntimeError:  # the loop has ended
            self._release_grant()

    def _take_grant(self) -> None:
        self._has_requested = False
        self._grants += 1

    def _start_granted(self) -> None:
        self._take_grant()
        self._start_waiting()

    def _release_unused_grants(self) -> None:
        """Give back what no job is left for; one that waits for a reset of connections keeps its slot."""
        while self._shared is not None and self._grants > 0 and (self._stopping or not self.waiting):
            self._grants -= 1
            self._release_grant()

    def _release_grant(self) -> None:
        if self._shared is not None:
            self._shared.release(self._context.using, None)

    async def _run(self, claim: Claim) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())

        def report(finished: FinishedRun | CommittedRun) -> None:
            self._running.pop(task, None)
            self._schedule_reset(claim, failed=has_failed(finished))
            self._events.run_finished(finished)

        check_shared_connections()
        with suppress(GeneratorExit):  # the job's, which is reported
            await aexecute(claim, self._context, report)

    async def _run_chunk(self, claims: list[Claim]) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())

        def report(ends: Ends) -> None:
            self._running.pop(task, None)
            self._schedule_reset(claims[0], failed=any(map(has_failed, ends)))
            self._events.runs_finished(ends)

        check_shared_connections()
        with suppress(GeneratorExit):  # the function's, which is reported
            await aexecute_chunk(claims, self._context, report)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        unreported = self._running.pop(task, None)
        if unreported is not None and task.cancelled():  # by another job, before its first step
            for claim in claims_of(unreported[0]):
                self._events.claim_released(claim)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical(
                "an async run failed in the engine",
                exc_info=error,
                extra=job_fields(claims_of(unreported[0])[0]) if unreported is not None else None,
            )
            self._events.failed(LOOP_DIED)
        self._release_grant()
        self._start_waiting()
        if len(self.waiting) <= self.low_water_mark:
            self._events.capacity_freed()
        self._end_if_idle()

    def _schedule_reset(self, claim: Claim, *, failed: bool) -> None:
        """Have connections reset before a job that starts after this moment can use them."""
        if not shared_observers():
            return
        self._ended[self._context.using, claim.job_id] = failed
        # sync_to_async runs its calls in their order; in other threads a job that starts could be faster.
        self._holds_back = self._holds_back or has_unclean_connections(self._ended)
        if not self._is_reset_due:
            self._is_reset_due = True
            self._loop.create_task(self._reset_connections(), context=self._new_context())

    async def _reset_connections(self) -> None:
        self._is_reset_due = False
        ended, self._ended = self._ended, {}
        self._resets += 1
        try:
            await sync_to_async(reset_async_connections)(ended, self._running_jobs)
        finally:
            self._resets -= 1
            if not self._resets and not self._is_reset_due:
                self._holds_back = False
            self._end_if_idle()
        self._call_or_fail(self._start_waiting)

    def _running_jobs(self) -> list[JobKey]:
        return [(self._context.using, claim.job_id) for work, _ in self.running() for claim in claims_of(work)]

    def _end_if_idle(self) -> None:
        """End the loop once nothing runs and no connection waits to be reset: it may have a transaction open."""
        if self._stopping and not self._running and not self._resets and not self._is_reset_due:
            self._is_over = True
            self._loop.stop()
