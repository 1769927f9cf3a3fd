"""Interrupt a run whose cancellation was requested, while it is inside its job's function.

An ``async def`` job is a task, which its own loop cancels. A plain function in a job process is interrupted
by a signal (``job_process_interrupts``). One in a thread cannot be interrupted without harm to resources that it
may hold: it learns of the request when it checks.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext, suppress

from ...context import CANCEL_REQUESTED_MESSAGE
from ...store.dialects.base.jobs import Claim

RunKey = tuple[int, int]
"""Identifies a run: job id and claim number."""

_NOT_INTERRUPTIBLE = nullcontext()


def run_key(claim: Claim) -> RunKey:
    """Return the key of a claim's run."""
    return claim.job_id, claim.claim_number


class InterruptibleTask:
    """Block in which the current task can be cancelled; ``was_interrupted`` tells whether it was."""

    __slots__ = ("_loop", "_run", "_task", "_tasks", "was_interrupted")

    def __init__(self, run: RunKey, tasks: dict[RunKey, InterruptibleTask]) -> None:
        self._run = run
        self._tasks = tasks
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self.was_interrupted = False

    def __enter__(self) -> None:
        self._tasks[self._run] = self

    def __exit__(self, *_: object) -> None:
        self._tasks.pop(self._run, None)

    def interrupt(self) -> None:
        """Have the loop cancel the task if it is still inside the block. From any thread or signal handler."""
        with suppress(RuntimeError):  # the loop has ended, and the task with it
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        if self._tasks.get(self._run) is self and self._task is not None and not self.was_interrupted:
            self.was_interrupted = True
            self._task.cancel(CANCEL_REQUESTED_MESSAGE)


class Interrupts:
    """The runs of this process that can be interrupted at this moment.

    ``reach_calls``: also those of plain functions.
    """

    reach_calls = False

    def __init__(self) -> None:
        self._tasks: dict[RunKey, InterruptibleTask] = {}

    def interruptible_call(self, claim: Claim) -> AbstractContextManager[None]:
        """Return the block in which a plain function runs; only a job process can interrupt it."""
        return _NOT_INTERRUPTIBLE

    def interruptible_task(self, claim: Claim) -> InterruptibleTask:
        """Return the block in which the current task awaits a job's function."""
        return InterruptibleTask(run_key(claim), self._tasks)

    def interrupt_task(self, claim: Claim) -> bool:
        """Have the task of a run cancelled; tell whether it was inside its function."""
        block = self._tasks.get(run_key(claim))
        if block is None:
            return False
        block.interrupt()
        return True
