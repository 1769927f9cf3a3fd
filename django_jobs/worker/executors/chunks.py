"""Claims that are called together: a chunk that fills, and the queue in which chunks form.

::

    claimer --add--> ChunkQueue: one open chunk for each job name and key
                        full, or its wait is over --submit--> Executor.waiting --take--> one call
    a submitted chunk takes more claims until an executor is free to take it

Other jobs do not wait for a chunk that fills: only a due one is in the executor's queue. A job during which a worker
died is a chunk of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

from ...policy.chunks import Chunk, chunk_key, runs_alone
from ...store.dialects.base.jobs import Claim
from ..threads.watched_thread import WatchedThread

ROLE = "chunk queue"


class ClaimedChunk:
    """Claims of one job name, to be called together once an executor takes them. All methods are thread-safe."""

    __slots__ = ("_lock", "claims", "due_at", "is_closed", "is_started", "is_submitted", "name", "size")

    def __init__(self, name: str, *, size: int, due_at: float) -> None:
        self.name = name
        self.size = size
        self.due_at = due_at
        self.claims: list[Claim] = []
        self.is_closed = self.is_started = self.is_submitted = False
        self._lock = threading.Lock()

    def add(self, claim: Claim) -> bool:
        """Add a claim; False if the chunk was taken, or is full."""
        with self._lock:
            if self.is_closed:
                return False
            self.claims.append(claim)
            self.is_closed = len(self.claims) >= self.size
            return True

    def remove(self, claim: Claim) -> bool:
        """Remove a claim that has not started; tell whether it was here."""
        with self._lock:
            if self.is_started or claim not in self.claims:
                return False
            self.claims.remove(claim)
            return True

    def start(self) -> list[Claim]:
        """Add no more claims and return them; none if the chunk was taken."""
        with self._lock:
            self.is_closed = self.is_started = True
            return list(self.claims)

    def take(self) -> list[Claim]:
        """Remove and return the claims, and add no more; none of a chunk that has started."""
        with self._lock:
            if self.is_started:
                return []
            self.is_closed = True
            claims, self.claims = self.claims, []
            return claims


class ChunkQueue:
    """The chunks of one executor that fill; ``submit`` gives a due one to it.

    A thread, which starts with the first chunk that waits, submits those whose wait is over.
    """

    def __init__(self, submit: Callable[[Iterable[ClaimedChunk]], None], on_death: Callable[[str], None]) -> None:
        self._submit = submit
        self._on_death = on_death
        self._open: dict[tuple[str, str | tuple[str, ...] | None], ClaimedChunk] = {}
        self._lock = threading.Lock()
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self._thread: WatchedThread | None = None
        self._is_closed = False

    def add(self, claims: Iterable[tuple[Claim, Chunk]]) -> None:
        """Put claims into chunks, and submit those that are due."""
        with self._lock:
            now = time.monotonic()
            due = [full for claim, chunk in claims if (full := self._put(claim, chunk, now)) is not None]
            due += self._take_due(now)
            waits = any(not chunk.is_submitted for chunk in self._open.values())
        if due:
            self._submit(due)
        if waits:
            self._wake()

    def filling(self) -> list[ClaimedChunk]:
        """Return the chunks that are not submitted."""
        with self._lock:
            return [chunk for chunk in self._open.values() if not chunk.is_submitted]

    def remove(self, claim: Claim) -> bool:
        """Remove a claim from a chunk that is not taken; tell whether it was there."""
        with self._lock:
            return any(chunk.remove(claim) for chunk in self._open.values())

    def take_all(self) -> list[Claim]:
        """Remove and return all claims that are not submitted."""
        with self._lock:
            chunks = [chunk for chunk in self._open.values() if not chunk.is_submitted]
            self._open.clear()
        return [claim for chunk in chunks for claim in chunk.take()]

    def close(self) -> None:
        """End the thread."""
        self._is_closed = True
        self._wakeups.put(None)

    def _put(self, claim: Claim, chunk: Chunk, now: float) -> ClaimedChunk | None:
        """Put a claim into a chunk; return that if it is full now, and not submitted."""
        if runs_alone(claim.worker_deaths):
            alone = ClaimedChunk(claim.name, size=1, due_at=now)
            alone.add(claim)
            alone.is_submitted = True
            return alone
        key = (claim.name, chunk_key(claim.arguments, chunk.by))
        filling = self._open.get(key)
        if filling is None or not filling.add(claim):
            filling = self._open[key] = ClaimedChunk(claim.name, size=chunk.size, due_at=now + chunk.wait_seconds)
            filling.add(claim)
        if not filling.is_closed:
            return None
        self._open.pop(key, None)
        was_submitted, filling.is_submitted = filling.is_submitted, True
        return None if was_submitted else filling

    def _take_due(self, now: float) -> list[ClaimedChunk]:
        """Return the chunks whose wait is over, and forget those that were taken."""
        due = []
        for key, chunk in list(self._open.items()):
            if chunk.is_closed:
                del self._open[key]
            elif not chunk.is_submitted and chunk.due_at <= now:
                chunk.is_submitted = True
                due.append(chunk)
        return due

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = WatchedThread(self._serve, role=ROLE, on_death=self._on_death)
            self._thread.start()
        self._wakeups.put(None)

    def _serve(self) -> None:
        seconds: float | None = None
        while not self._is_closed:
            with suppress(Empty):
                self._wakeups.get(timeout=seconds)
            with self._lock:
                now = time.monotonic()
                due = self._take_due(now)
                next_at = min((chunk.due_at for chunk in self._open.values() if not chunk.is_submitted), default=None)
            seconds = None if next_at is None else max(next_at - now, 0)
            if due:
                self._submit(due)


def claims_of(work: Claim | ClaimedChunk) -> list[Claim]:
    """Return the claims of what waits or runs in an executor."""
    return list(work.claims) if isinstance(work, ClaimedChunk) else [work]
