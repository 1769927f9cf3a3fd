"""Interrupt the job of a job process by a signal: ``Cancel`` is raised in it, in the main thread, at once.

The worker writes the key of the run into memory that both processes share, and sends the signal. A signal carries no
data and may arrive late, so the handler raises only while that very run is inside its job's function; a run that
is requested before it begins is interrupted as it begins. While the process sends a message, half of which would
be worse than none, the exception is deferred to the end of the message.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from ctypes import Array, c_longlong

from ...context import CANCEL_REQUESTED_MESSAGE
from ...exceptions import Cancel
from ...store.dialects.base.jobs import Claim
from ..execution.cancellation import InterruptibleTask, Interrupts, RunKey, run_key

INTERRUPT_SIGNAL = signal.SIGUSR1

SharedRunKey = Array[c_longlong]
"""Key of the run whose cancellation was requested last, in memory shared by worker and job process."""


def create_shared_run_key() -> SharedRunKey:
    """Return the shared memory, to be passed to the job process at its spawn."""
    return multiprocessing.get_context("spawn").RawArray(c_longlong, 2)


class JobInterrupted(Cancel, KeyboardInterrupt):
    """The exception raised in the job: ``Cancel``, and a KeyboardInterrupt, which drivers clean up after.

    On KeyboardInterrupt psycopg has the server cancel the current statement, and the connection stays usable. On
    any other exception it leaves the statement, with its locks, to run to its end.
    """


class _InterruptibleBlock:
    """Block in which a plain function can be interrupted."""

    __slots__ = ("_interrupts", "_run")

    def __init__(self, interrupts: JobProcessInterrupts, run: RunKey) -> None:
        self._interrupts = interrupts
        self._run = run

    def __enter__(self) -> None:
        self._interrupts.arm(self._run)

    def __exit__(self, *_: object) -> None:
        try:
            self._interrupts.disarm()
        except Cancel:  # too late: the function has ended, and its result counts
            self._interrupts.disarm()


class _UninterruptibleBlock:
    """Block in which the main thread is not interrupted; a request that comes meanwhile is raised at its end."""

    __slots__ = ("_interrupts",)

    def __init__(self, interrupts: JobProcessInterrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts.defer()

    def __exit__(self, *_: object) -> None:
        self._interrupts.raise_deferred()


class JobProcessInterrupts(Interrupts):
    """``Interrupts`` of a job process; created in its main thread, where it handles the signal.

    The block ``uninterruptible`` may be entered from any thread and has an effect in the main one.
    """

    reach_calls = True

    def __init__(self, requested_run: SharedRunKey) -> None:
        super().__init__()
        self._requested_run = requested_run
        self._armed: RunKey | None = None
        self._is_deferred = False
        self._main_thread = threading.get_ident()
        self.uninterruptible = _UninterruptibleBlock(self)
        signal.signal(INTERRUPT_SIGNAL, lambda *_: self._interrupt_if_requested())

    def interruptible_call(self, claim: Claim) -> _InterruptibleBlock:
        """Return the block in which a plain function runs; ``Cancel`` may be raised inside it."""
        return _InterruptibleBlock(self, run_key(claim))

    def interruptible_task(self, claim: Claim) -> InterruptibleTask:
        """Return the block in which the current task awaits a job's function; an earlier request cancels it."""
        asyncio.get_running_loop().call_soon(self._interrupt_if_requested)
        return super().interruptible_task(claim)

    def arm(self, run: RunKey) -> None:
        """Let the run be interrupted from now on. Raises ``Cancel`` if that was requested already."""
        self._is_deferred = False
        self._armed = run
        self._interrupt_if_requested()

    def disarm(self) -> None:
        """Interrupt no run any more."""
        self._armed = None

    def defer(self) -> None:
        """Defer interrupts of the main thread."""
        if threading.get_ident() == self._main_thread:
            self._is_deferred = True

    def raise_deferred(self) -> None:
        """End the deferral and raise a deferred interrupt."""
        if threading.get_ident() == self._main_thread:
            self._is_deferred = False
            self._interrupt_if_requested()

    def _interrupt_if_requested(self) -> None:
        requested = (self._requested_run[0], self._requested_run[1])
        task = self._tasks.get(requested)
        if task is not None:
            task.interrupt()
        elif self._armed == requested and not self._is_deferred:
            self._armed = None
            raise JobInterrupted(CANCEL_REQUESTED_MESSAGE)
