"""Signals as something to wait for: handlers that do nothing, and a pipe that says which came."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable

POKE = 0
"""What ``poke`` puts into the pipe; no signal has this number."""


class SignalPipe:
    """Readable when a signal has come or somebody poked; wait on its ``fileno()``.

    Python's ``set_wakeup_fd`` writes each signal's number. A handler proper could run while the main
    thread holds any lock; this one cannot deadlock.
    """

    def __init__(self, *, catch: Iterable[signal.Signals], ignore: Iterable[signal.Signals] = ()) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before = {one: signal.signal(one, lambda *_: None) for one in catch}
        self._before |= {one: signal.signal(one, signal.SIG_IGN) for one in ignore}
        self._wakeup_before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._read

    def poke(self) -> None:
        """Make the pipe readable, from any thread."""
        os.write(self._write, bytes([POKE]))

    def take(self) -> list[int]:
        """Return the numbers that have come since the last call; empty where none has."""
        try:
            return list(os.read(self._read, 4096))
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Put the former handlers back."""
        signal.set_wakeup_fd(self._wakeup_before)
        for one, handler in self._before.items():
            signal.signal(one, handler)
        os.close(self._read)
        os.close(self._write)
