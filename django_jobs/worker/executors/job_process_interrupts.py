"""Interrupt the job of a slot process by a signal: ``Cancelled`` is raised in it, in the main thread, at once.

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

from ...context import ASKED_TO_END
from ...exceptions import Cancelled
from ...store.dialects.base.jobs import Claim
from ..execution.cancellation import InterruptibleTask, Interrupts, Run, run_of

SIGNAL = signal.SIGUSR1

AskedRun = Array[c_longlong]
"""The run that was asked to end last, in memory that worker and slot share: its job and its claim number."""


def shared_run() -> AskedRun:
    """Return the memory for it, to be passed to the slot process at its spawn."""
    return multiprocessing.get_context("spawn").RawArray(c_longlong, 2)


class Interrupted(Cancelled, KeyboardInterrupt):
    """What is raised: ``Cancelled``, and what a key at a terminal raises, at which drivers put things in order.

    psycopg has the server end the statement at hand on KeyboardInterrupt, and the connection is whole again. At any
    other exception it leaves the statement, with its locks, to run to its end.
    """


class _Within:
    """The block in which a plain function can be interrupted."""

    __slots__ = ("_interrupts", "_run")

    def __init__(self, interrupts: SlotInterrupts, run: Run) -> None:
        self._interrupts = interrupts
        self._run = run

    def __enter__(self) -> None:
        self._interrupts.arm(self._run)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        try:
            self._interrupts.disarm()
        except Cancelled:  # too late: the function has ended, and that counts
            self._interrupts.disarm()


class _Undisturbed:
    """The block in which the main thread is not interrupted; what came meanwhile is raised at its end."""

    __slots__ = ("_interrupts",)

    def __init__(self, interrupts: SlotInterrupts) -> None:
        self._interrupts = interrupts

    def __enter__(self) -> None:
        self._interrupts.hold()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, frames: TracebackType | None
    ) -> None:
        self._interrupts.let_go()


class SlotInterrupts(Interrupts):
    """What ``Interrupts`` are in a slot process; made in its main thread, where it takes the signal.

    ``undisturbed`` is a block that may be entered from any thread, and matters in the main one.
    """

    def __init__(self, asked: AskedRun) -> None:
        super().__init__()
        self._asked = asked
        self._armed: Run | None = None
        self._is_held = False
        self._main_thread = threading.get_ident()
        self.undisturbed = _Undisturbed(self)
        signal.signal(SIGNAL, lambda *_: self._heed())

    def around(self, claim: Claim) -> _Within:
        """Return the block in which a plain function runs; ``Cancelled`` may be raised inside it."""
        return _Within(self, run_of(claim))

    def around_task(self, claim: Claim) -> InterruptibleTask:
        """Return the block in which the task at hand awaits a job's function; one asked before is cancelled in it."""
        asyncio.get_running_loop().call_soon(self._heed)
        return super().around_task(claim)

    def arm(self, run: Run) -> None:
        """Let the run be interrupted from now on. Raises ``Cancelled`` where it was asked to end already."""
        self._is_held = False
        self._armed = run
        self._heed()

    def disarm(self) -> None:
        """Let nothing be interrupted any more."""
        self._armed = None

    def hold(self) -> None:
        """Put off what comes."""
        if threading.get_ident() == self._main_thread:
            self._is_held = True

    def let_go(self) -> None:
        """Raise what was put off."""
        if threading.get_ident() == self._main_thread:
            self._is_held = False
            self._heed()

    def _heed(self) -> None:
        asked = (self._asked[0], self._asked[1])
        task = self._tasks.get(asked)
        if task is not None:
            task.interrupt()
        elif self._armed == asked and not self._is_held:
            self._armed = None
            raise Interrupted(ASKED_TO_END)
