"""Interrupt the job of a slot process by a signal: ``Cancel`` is raised in it, in the main thread, at once.

The worker writes which run is meant into memory that both share, and sends the signal. A signal cannot say for whom
it is, and may come late: so the handler raises only where that very run is inside its job's function, and one that
was asked before it began is interrupted as it begins. While the process tells its worker something, half of which
would be worse than nothing, the exception waits for the end of that.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from ctypes import Array, c_longlong
from types import TracebackType

from ...context import CANCEL_REQUESTED_MESSAGE
from ...exceptions import Cancel
from ...store.dialects.base.jobs import Claim
from ..execution.cancellation import InterruptibleTask, Interrupts, RunKey, run_key

INTERRUPT_SIGNAL = signal.SIGUSR1

SharedRunKey = Array[c_longlong]
"""The run that was asked to end last, in memory that worker and slot share: its job and its claim number."""


def create_shared_run_key() -> SharedRunKey:
    """Return the memory for it, to be passed to the slot process at its spawn."""
    return multiprocessing.get_context("spawn").RawArray(c_longlong, 2)


class JobInterrupted(Cancel, KeyboardInterrupt):
    """What is raised: ``Cancel``, and what a key at a terminal raises, at which drivers put things in order.

    psycopg has the server end the statement at hand on KeyboardInterrupt, and the connection is whole again. At any
    other exception it leaves the statement, with its locks, to run to its end.
    """


class _InterruptibleBlock:
    """The block in which a plain function can be interrupted."""

    __slots__ = ("_interrupts", "_run")

    def __init__(self, interrupts: JobProcessInterrupts, run: RunKey) -> None:
        self._interrupts = interrupts
        self._run = run

    def __enter__(self) -> None:
        self._interrupts.arm(self._run)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        try:
            self._interrupts.disarm()
        except Cancel:  # too late: the function has ended, and that counts
            self._interrupts.disarm()


class _UninterruptibleBlock:
    """The block in which the main thread is not interrupted; what came meanwhile is raised at its end."""

    __slots__ = ("_interrupts",)

    def __init__(self, interrupts: JobProcessInterrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts.defer()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._interrupts.raise_deferred()


class JobProcessInterrupts(Interrupts):
    """What ``Interrupts`` are in a slot process; made in its main thread, where it takes the signal.

    ``uninterruptible`` is a block that may be entered from any thread, and matters in the main one.
    """

    def __init__(self, asked: SharedRunKey) -> None:
        super().__init__()
        self._requested_run = asked
        self._armed: RunKey | None = None
        self._is_deferred = False
        self._main_thread = threading.get_ident()
        self.uninterruptible = _UninterruptibleBlock(self)
        signal.signal(INTERRUPT_SIGNAL, lambda *_: self._interrupt_if_requested())

    def interruptible_call(self, claim: Claim) -> _InterruptibleBlock:
        """Return the block in which a plain function runs; ``Cancel`` may be raised inside it."""
        return _InterruptibleBlock(self, run_key(claim))

    def interruptible_task(self, claim: Claim) -> InterruptibleTask:
        """Return the block in which the task at hand awaits a job's function; one asked before is cancelled in it."""
        asyncio.get_running_loop().call_soon(self._interrupt_if_requested)
        return super().interruptible_task(claim)

    def arm(self, run: RunKey) -> None:
        """Let the run be interrupted from now on. Raises ``Cancel`` where it was asked to end already."""
        self._is_deferred = False
        self._armed = run
        self._interrupt_if_requested()

    def disarm(self) -> None:
        """Let nothing be interrupted any more."""
        self._armed = None

    def defer(self) -> None:
        """Put off what comes."""
        if threading.get_ident() == self._main_thread:
            self._is_deferred = True

    def raise_deferred(self) -> None:
        """Raise what was put off."""
        if threading.get_ident() == self._main_thread:
            self._is_deferred = False
            self._interrupt_if_requested()

    def _interrupt_if_requested(self) -> None:
        asked = (self._requested_run[0], self._requested_run[1])
        task = self._tasks.get(asked)
        if task is not None:
            task.interrupt()
        elif self._armed == asked and not self._is_deferred:
            self._armed = None
            raise JobInterrupted(CANCEL_REQUESTED_MESSAGE)
