"""Signals to wait for: handlers that do nothing, and a pipe that carries the signals' numbers."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

from ..system.forked_copies import call_in_copies

POKE = 0
"""The byte that ``poke`` writes; no signal has this number."""


class SignalPipe:
    """Readable after a signal or a ``poke``; wait on its ``fileno()``.

    Python's ``set_wakeup_fd`` writes each signal's number. A real handler could run while the main
    thread holds any lock; this cannot deadlock.
    """

    def __init__(self, *, catch: Iterable[signal.Signals], ignore: Iterable[signal.Signals] = ()) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._caught = tuple(catch)
        # First the pipe, or a signal between the two would be heard by a handler that does nothing.
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, lambda *_: None) for number in self._caught}
        self._before |= {number: signal.signal(number, signal.SIG_IGN) for number in ignore}
        call_in_copies(self._leave_in_copy)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._read

    def poke(self, number: int = POKE) -> None:
        """Make the pipe readable, from any thread; with the number of a signal, as if that had come."""
        os.write(self._write, bytes([number]))

    def take(self) -> list[int]:
        """Return the signals received since the last call."""
        try:
            return list(os.read(self._read, 4096))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Restore the former handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._close_pipe()

    def _leave_in_copy(self) -> None:
        """Let signals end a copy of this process: it would write them into the pipe of this one."""
        for number in self._caught:
            signal.signal(number, self._before[number])
        self._close_pipe()

    def _close_pipe(self) -> None:
        os.close(self._read)
        os.close(self._write)
        self._read = self._write = -1
