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

from asgiref.sync import sync_to_async

from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.events import CommittedRun
from ..execution.run import aexecute
from ..execution.runtime import WorkerContext
from ..forked_copies import call_in_copies, end_copy
from ..threads.connections import (
    check_shared_connections,
    close_shared_connections,
    has_unclean_connections,
    reset_async_connections,
)
from ..threads.sessions import shared_observers
from ..threads.watched_thread import WatchedThread
from .isolation import has_failed
from .keep_running import keep_running

logger = logging.getLogger("django_jobs.worker")

ROLE = "event loop"
LOOP_DIED = f"its {ROLE} died"


class EventLoopExecutor:
    """The executor of ``async def`` jobs: each is a task, at most WORKER["ASYNC_CONCURRENCY"] at once.

    An engine error in the loop fails the worker: the loop cannot be trusted with jobs any more.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.waiting: deque[Claim] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self.capacity = context.settings.worker.async_concurrency
        self._context = context
        self._events = context.events
        self._running: dict[asyncio.Task[None], tuple[Claim, float]] = {}
        self._stopping = False
        self._is_over = False
        self._ended: dict[int, bool] = {}
        self._resets = 0
        self._is_reset_due = self._holds_back = False
        self._loop = asyncio.new_event_loop()
        self._thread = WatchedThread(self._serve, role=ROLE, on_death=self._on_death)
        call_in_copies(self._leave_in_copy)

    def start(self) -> None:
        """Start the event loop's thread."""
        self._thread.start()

    def submit(self, claims: Iterable[Claim]) -> None:
        """Queue claims to be run."""
        self.waiting.extend(claims)
        self._loop.call_soon_threadsafe(self._call_or_fail, self._start_waiting)

    def running(self) -> list[tuple[Claim, float]]:
        """Return the running jobs and their starts (monotonic seconds)."""
        return list(self._running.values())

    def interrupt(self, claim: Claim) -> bool:
        """Cancel the task of a run while it is inside its function."""
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
        while self.waiting and len(self._running) < self.capacity and not self._stopping and not self._holds_back:
            try:
                claim = self.waiting.popleft()
            except IndexError:
                return
            self.started_count += 1
            self._events.job_started(claim.job_id)
            # In an empty context: what another job or this thread has set does not reach it.
            task = self._loop.create_task(self._run(claim), name=f"job {claim.job_id}", context=Context())
            self._running[task] = (claim, time.monotonic())
            task.add_done_callback(partial(self._call_or_fail, self._on_task_done))

    async def _run(self, claim: Claim) -> None:
        task = cast("asyncio.Task[None]", asyncio.current_task())

        def report(finished: FinishedRun | CommittedRun) -> None:
            self._running.pop(task, None)
            self._schedule_reset(claim, failed=has_failed(finished))
            self._events.run_finished(finished)

        check_shared_connections()
        with suppress(GeneratorExit):  # the job's, which is reported
            await aexecute(claim, self._context, report)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        unreported = self._running.pop(task, None)
        if unreported is not None and task.cancelled():  # by another job, before its first step
            self._events.claim_released(unreported[0])
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("an async run failed in the engine", exc_info=error)
            self._events.failed(LOOP_DIED)
        self._start_waiting()
        if len(self.waiting) <= self.low_water_mark:
            self._events.capacity_freed()
        self._end_if_idle()

    def _schedule_reset(self, claim: Claim, *, failed: bool) -> None:
        """Have connections reset before a job that starts after this moment can use them."""
        if not shared_observers():
            return
        self._ended[claim.job_id] = failed
        # sync_to_async runs its calls in their order; in other threads a job that starts could be faster.
        self._holds_back = self._holds_back or has_unclean_connections(self._ended)
        if not self._is_reset_due:
            self._is_reset_due = True
            self._loop.create_task(self._reset_connections(), context=Context())

    async def _reset_connections(self) -> None:
        self._is_reset_due = False
        ended, self._ended = self._ended, {}
        running = [claim.job_id for claim, _ in self._running.values()]
        self._resets += 1
        try:
            await sync_to_async(reset_async_connections)(ended, running)
        finally:
            self._resets -= 1
            if not self._resets and not self._is_reset_due:
                self._holds_back = False
        self._call_or_fail(self._start_waiting)

    def _end_if_idle(self) -> None:
        if self._stopping and not self._running:
            self._is_over = True
            self._loop.stop()
