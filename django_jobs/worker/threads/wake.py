"""End the pause of a loop: by another thread, or by a descriptor that becomes readable."""

from __future__ import annotations

import select
import socket
from contextlib import suppress
from typing import Protocol

from ..system.forked_copies import close_in_copies


class Wake(Protocol):
    """The part of ``threading.Event`` that a loop and those who wake it use."""

    def set(self) -> None:
        """End the pause, or the next one."""

    def clear(self) -> None:
        """Forget what came before a step."""

    def wait(self, timeout: float | None = None) -> bool:
        """Pause up to ``timeout`` seconds; the result is not used."""


class SocketWake:
    """An event whose waiting thread can wait for a descriptor as well, by ``poll``.

    ``set`` may be called from any thread, the others from the one that waits. ``is_set`` is written before the byte and
    read after the byte, so that a ``set`` is never missed; at worst a pause ends once too often.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._read, self._write = socket.socketpair()
        for end in (self._read, self._write):
            end.setblocking(False)
            close_in_copies(end)
        self._poll = select.poll()
        self._poll.register(self._read, select.POLLIN)
        self._other: int | None = None

    def set(self) -> None:
        """End the pause of the waiting thread, or its next one."""
        if not self.is_set:
            self.is_set = True
            with suppress(OSError):  # closed: nobody waits any more
                self._write.send(b"\0")

    def clear(self) -> None:
        """Forget what was set."""
        if self.is_set:
            self.is_set = False
            self._take_bytes()

    def wait_for(self, descriptor: int | None, seconds: float) -> bool:
        """Wait until set, until ``descriptor`` is readable, or for ``seconds``; tell whether it is readable."""
        if self.is_set:
            return False
        if descriptor != self._other:
            self._watch(descriptor)
        found = [number for number, _ in self._poll.poll(max(seconds, 0) * 1000)]
        if found and found != [descriptor]:
            self._take_bytes()
        return descriptor in found

    def close(self) -> None:
        """Close the socket; ``set`` does nothing from then on."""
        self._read.close()
        self._write.close()

    def _take_bytes(self) -> None:
        with suppress(OSError):  # there is none, or the socket is closed
            self._read.recv(64)

    def _watch(self, descriptor: int | None) -> None:
        if self._other is not None:
            self._poll.unregister(self._other)
        if descriptor is not None:
            self._poll.register(descriptor, select.POLLIN)
        self._other = descriptor
