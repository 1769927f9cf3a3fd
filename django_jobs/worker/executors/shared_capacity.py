"""Slots that the executors of several databases share: a run takes one, whichever database its job is in.

A slot that becomes free is handed to whoever asked first. Each executor asks for few at a time, so that those that have
work take turns, however much work one of them has. A database whose heartbeat is overdue takes none away from the
others: ``policy/shared_slots.py``.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ...policy.shared_slots import free_slots, next_request
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
    """``capacity`` grants, each of a slot, and more while runs wait for a database whose heartbeat is overdue.

    ``create`` makes a grant. ``retire`` ends one that is no longer needed; called without a lock, may take a while.
    """

    def __init__(self, capacity: int, create: Callable[[], S], retire: Callable[[S], object]) -> None:
        self.capacity = capacity
        """How many runs go on at once, of all databases together."""
        self.grants = [create() for _ in range(capacity)]
        self._create, self._retire = create, retire
        self._free = deque(self.grants)
        self._requests: deque[tuple[str, Callable[[S], object]]] = deque()
        self._members: dict[str, Member] = {}
        self._held: Counter[str] = Counter()
        self._overdue: set[str] = set()
        self._lock = threading.Lock()

    def join(self, database: str, member: Member) -> None:
        """Take part."""
        self._members[database] = member

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what runs in the slots that count, and since when (monotonic seconds)."""
        members = [member for database, member in self._members.items() if database not in self._overdue]
        return [run for member in members for run in member.running()]

    def request(self, database: str, grant: Callable[[S], object]) -> None:
        """Have ``grant`` called with a slot: at once if one is free, else by the thread that frees one."""
        with self._lock:
            self._requests.append((database, grant))
        self._hand_out()

    def withdraw(self, database: str, grant: Callable[[S], object]) -> bool:
        """Take a request back; False if a slot was granted, which the caller then has to release."""
        with self._lock:
            try:
                self._requests.remove((database, grant))
            except ValueError:
                return False
            return True

    def release(self, database: str, granted: S) -> None:
        """Hand a slot to the next that waits, or free it."""
        with self._lock:
            self._held[database] -= 1
            self._free.append(granted)
        self._hand_out()
        self._tell_members()
        for spare in self._take_spare():
            self._retire(spare)

    def set_overdue(self, database: str, *, is_overdue: bool) -> bool:
        """Count the slots of a database, or count them no longer; tell whether that is a change."""
        with self._lock:
            if (database in self._overdue) == is_overdue:
                return False
            self._overdue = self._overdue | {database} if is_overdue else self._overdue - {database}
        self._hand_out()
        self._tell_members()
        return True

    def _hand_out(self) -> None:
        while (granted := self._grant_next()) is not None:
            grant, given = granted
            grant(given)

    def _grant_next(self) -> tuple[Callable[[S], object], S] | None:
        with self._lock:
            position = next_request(
                (database for database, _ in self._requests),
                held=self._held,
                overdue=self._overdue,
                capacity=self.capacity,
            )
            if position is None:
                return None
            database, grant = self._requests[position]
            del self._requests[position]
            self._held[database] += 1
            if not self._free:
                self._free.append(self._create())
                self.grants.append(self._free[0])
            return grant, self._free.popleft()

    def _tell_members(self) -> None:
        with self._lock:
            is_free = free_slots(self._held, overdue=self._overdue, capacity=self.capacity) > 0
        if is_free:
            for member in self._members.values():
                member.capacity_freed()

    def _take_spare(self) -> list[S]:
        """Remove and return the free slots beyond ``capacity``."""
        spare = []
        with self._lock:
            while self._free and len(self.grants) > self.capacity:
                spare.append(self._free.pop())
                self.grants.remove(spare[-1])
        return spare
