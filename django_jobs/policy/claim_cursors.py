"""Positions from which the claimer reads: one lane per (queue, priority), one cursor per lane.

The head of the ready index fills with entries of finished jobs that cannot be removed while any old
transaction snapshot is open; a claim from the head reads past all of them. So each lane remembers how
far it has been claimed. Jobs behind the cursor (a late commit with an older ``ready_at``) are found by a
queue snapshot, a read from the head, at a low rate: slow snapshots take at most a twentieth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SNAPSHOT_SHARE = 20
"""After a snapshot of t seconds none is taken for at least this many times t."""
QUICK_SNAPSHOT_SECONDS, QUICK_SNAPSHOT_SHARE = 0.005, 4
"""A snapshot this quick meets few dead entries; an idle worker may take the next one sooner."""
BUSY_SNAPSHOT_SECONDS = 0.25
"""Interval of snapshots while claims come back full: the longest a new, higher priority waits to be noticed."""
MAX_LANES = 1000


class Lane(NamedTuple):
    """One queue at one priority; its jobs run in the order in which they became ready."""

    queue_name: str
    priority: int


@dataclass(slots=True)
class ClaimCursors:
    """Lanes known to have ready jobs, and the cursor of each. ``now`` is monotonic seconds.

    ``capped``: the queues with a maximum of running jobs.
    """

    positions: dict[Lane, Any] = field(default_factory=dict)
    known: list[Lane] = field(default_factory=list)
    capped: frozenset[str] = frozenset()
    _next_snapshot: float = 0.0

    def snapshot_due(self, now: float) -> bool:
        """Tell whether a snapshot may be taken."""
        return now >= self._next_snapshot

    def update(self, found: Iterable[Lane], *, now: float, seconds: float) -> None:
        """Record the lanes of a snapshot and its duration; reset the cursors, so that claims start at the head."""
        self.known = list(found)[:MAX_LANES]
        self.positions.clear()
        self._next_snapshot = now + _pause_after(seconds)

    def exhausted(self, lane: Lane) -> None:
        """Remove a lane whose claim came back short, until a snapshot finds it again."""
        self.known.remove(lane)
        self.positions.pop(lane, None)

    def count_head_claim(self, *, now: float, seconds: float) -> None:
        """Count a claim from the head like a snapshot: it reads the same dead entries."""
        self._next_snapshot = max(self._next_snapshot, now) + _pause_after(seconds)

    def postpone_snapshot(self, now: float) -> None:
        """Delay the next snapshot while there is enough to claim without it."""
        self._next_snapshot = max(self._next_snapshot, now + BUSY_SNAPSHOT_SECONDS)


def _pause_after(seconds: float) -> float:
    """Return the pause after a snapshot that took ``seconds``."""
    return seconds * (QUICK_SNAPSHOT_SHARE if seconds <= QUICK_SNAPSHOT_SECONDS else SNAPSHOT_SHARE)
