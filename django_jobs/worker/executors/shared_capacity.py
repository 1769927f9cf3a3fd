"""Slots that the executors of several databases share: a run takes one, whichever database its job is in.

A slot that becomes free is handed to whoever asked first. Each executor asks for few at a time, so that those that have
work take turns, however much work one of them has.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from ...store.dialects.base.jobs import Claim
from .chunks import ClaimedChunk

S = TypeVar("S")


class Member(Protocol):
    """An executor that shares slots."""

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what it runs, and since when (monotonic seconds)."""

    def capacity_freed(self) -> None:
        """Handle that a slot is free which nobody waits for; from any thread."""


class SharedCapacity(Generic[S]):
    """``grants``: one for each run that goes on at once."""

    def __init__(self, grants: Iterable[S]) -> None:
        self.grants = tuple(grants)
        self._free = deque(self.grants)
        self._requests: deque[Callable[[S], object]] = deque()
        self._members: list[Member] = []
        self._lock = threading.Lock()

    @property
    def capacity(self) -> int:
        """How many runs go on at once, of all databases together."""
        return len(self.grants)

    def join(self, member: Member) -> None:
        """Take part."""
        self._members.append(member)

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what all members run, and since when (monotonic seconds)."""
        return [run for member in self._members for run in member.running()]

    def request(self, grant: Callable[[S], object]) -> None:
        """Have ``grant`` called with a slot: at once if one is free, else by the thread that frees one."""
        with self._lock:
            if not self._free:
                self._requests.append(grant)
                return
            granted = self._free.popleft()
        grant(granted)

    def withdraw(self, grant: Callable[[S], object]) -> bool:
        """Take a request back; False if a slot was granted, which the caller then has to release."""
        with self._lock:
            try:
                self._requests.remove(grant)
            except ValueError:
                return False
            return True

    def release(self, granted: S) -> None:
        """Hand a slot to the next that waits, or free it."""
        with self._lock:
            grant = self._requests.popleft() if self._requests else None
            if grant is None:
                self._free.append(granted)
        if grant is not None:
            grant(granted)
            return
        for member in self._members:
            member.capacity_freed()
