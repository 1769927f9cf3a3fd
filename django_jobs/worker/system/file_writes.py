"""Learn of writes to files without looking at them again and again: inotify, on Linux.

A write is told when it is made, by this process too. Python's library has no inotify; libc has.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable

from .forked_copies import close_in_copies

_IN_MODIFY = 0x2
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, getattr(os, "O_CLOEXEC", 0)
_READ_BYTES = 4_096


class FileWrites:
    """Readable, on its ``fileno()``, once a watched file was written. Raises OSError where the system has none left."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        if sys.platform != "linux" or not hasattr(self._libc, "inotify_init1"):
            raise OSError("no inotify")
        self._descriptor = self._libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        close_in_copies(self)

    def fileno(self) -> int:
        """Return the descriptor to wait on, -1 once closed."""
        return self._descriptor

    def watch(self, paths: Iterable[str]) -> int:
        """Watch the files that are at these paths now, and return how many; again and again costs next to nothing."""
        add = self._libc.inotify_add_watch
        return sum(add(self._descriptor, os.fsencode(path), _IN_MODIFY) >= 0 for path in paths)

    def take(self) -> bool:
        """Tell, without waiting, whether any was written since the last call."""
        found = False
        try:
            while os.read(self._descriptor, _READ_BYTES):
                found = True
        except BlockingIOError:
            pass
        return found

    def close(self) -> None:
        """Watch no more."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
