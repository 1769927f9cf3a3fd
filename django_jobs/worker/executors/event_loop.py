"""Run ``async def`` jobs, many at once, on one event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial

from asgiref.sync import sync_to_async

from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.run import arun
from ..execution.runtime import CommittedRun, RunContext
from ..threads.connections import reset_connections
from ..threads.watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

ROLE = "event loop"
LOOP_DIED = f"its {ROLE} died"


class EventLoopExecutor:
    """The executor of ``async def`` jobs: each a task, at most ``slots`` at once.

    ``fail`` hears of an error of our own in the loop, which can't be trusted with a job any more.
    """

    def __init__(
        self,
        *,
        slots: int,
        run_context: RunContext,
        begin: Callable[[int], None],
        report: Callable[[FinishedRun | CommittedRun], None],
        on_capacity: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        self._slots = slots
        self.waiting: deque[Claim] = deque()
        self.started_count = 0
        self.low_water_mark = 0
        self._running: dict[asyncio.Task[None], tuple[Claim, float]] = {}
        self._run_context = run_context
        self._record_start = begin
        self._report = report
        self._on_capacity = on_capacity
        self._fail = fail
        self._stopping = False
        self._is_resetting = False
        self._loop = asyncio.new_event_loop()
        self._thread = WatchedThread(self._serve, role=ROLE, on_death=lambda _: fail(LOOP_DIED))

    def start(self) -> None:
        """Start the event loop's thread."""
        self._thread.start()

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""
        return self._slots

    def submit(self, claims: Iterable[Claim]) -> None:
        """Hand over claims to run."""
        self.waiting.extend(claims)
        self._loop.call_soon_threadsafe(self._call_or_fail, self._start_waiting)

    def running(self) -> list[tuple[Claim, float]]:
        """Return what runs at this moment and since when (monotonic seconds)."""
        return list(self._running.values())

    def interrupt(self, claim: Claim) -> bool:
        """Cancel the task of a run while it is inside its function."""
        return self._run_context.interrupts.interrupt_task(claim)

    def stop(self) -> None:
        """Begin no more, and end the loop once nothing runs."""
        self._stopping = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end_if_idle)

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for the loop to end and tell whether it has."""
        if self._thread.ident is not None:
            self._thread.join(max(deadline - time.monotonic(), 0))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._running.clear()  # where it died, they are rescued and count as lost
            self._loop.close()

    def _call_or_fail(self, step: Callable[..., None], *arguments: object) -> None:
        """Do what asyncio would log an error of, and go on without: a job would be neither run nor given back."""
        try:
            step(*arguments)
        except Exception:
            logger.critical("the %s of this worker died; the worker stops", ROLE, exc_info=True)
            self._fail(LOOP_DIED)

    def _start_waiting(self) -> None:
        while self.waiting and len(self._running) < self._slots and not self._stopping:
            try:
                claim = self.waiting.popleft()
            except IndexError:
                return
            self.started_count += 1
            self._record_start(claim.job_id)
            task = self._loop.create_task(self._run(claim), name=f"job {claim.job_id}")
            self._running[task] = (claim, time.monotonic())
            task.add_done_callback(partial(self._call_or_fail, self._on_task_done))

    async def _run(self, claim: Claim) -> None:
        self._report(await arun(claim, self._run_context))

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("an async run failed in the engine", exc_info=error)
            self._fail(LOOP_DIED)
        if not self._is_resetting:
            self._is_resetting = True
            self._loop.create_task(self._reset_connections())
        self._start_waiting()
        if len(self.waiting) <= self.low_water_mark:
            self._on_capacity()
        self._end_if_idle()

    async def _reset_connections(self) -> None:
        """Tidy the connections of the thread in which async jobs' ORM calls run."""
        try:
            await sync_to_async(reset_connections)()
        finally:
            self._is_resetting = False

    def _end_if_idle(self) -> None:
        if self._stopping and not self._running:
            self._loop.stop()
