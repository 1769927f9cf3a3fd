"""Where the claimer reads next: one line a (queue, priority), a remembered position in each.

The head of the ready index fills with entries of jobs that are gone but, while an old snapshot is
open somewhere, may not be removed; a claim that starts at the head reads past all of them. So
each line remembers how far it has been claimed, and what lies behind (a late commit with an
older ``ready_at``) is found by a look from the head, made at a small rate: at most a twentieth
of the time goes into looks that have become slow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SNAPSHOT_SHARE = 20
"""A look that took t seconds is followed by at least this many times t without one."""
QUICK_SNAPSHOT_SECONDS, QUICK_SNAPSHOT_SHARE = 0.005, 4
"""A look this quick meets no dead entries to speak of; an idle worker that was rung may look more often."""
BUSY_SNAPSHOT_SECONDS = 0.25
"""While claims come back full, look this seldom: the longest a new, higher priority waits for notice."""
MAX_LANES = 1000


class Lane(NamedTuple):
    """One queue at one priority: within it jobs run in the order in which they became ready."""

    queue_name: str
    priority: int


@dataclass(slots=True)
class ClaimCursors:
    """The lines known to hold ready jobs, and the position in each. ``now`` is monotonic seconds.

    ``capped`` are the queues of which only so many jobs may run at once.
    """

    positions: dict[Lane, Any] = field(default_factory=dict)
    known: list[Lane] = field(default_factory=list)
    capped: frozenset[str] = frozenset()
    _next_snapshot: float = 0.0

    def snapshot_due(self, now: float) -> bool:
        """Tell whether a look from the head may be made."""
        return now >= self._next_snapshot

    def update(self, found: Iterable[Lane], *, now: float, seconds: float) -> None:
        """Take in what a look found and how long it took; forget the positions, so that claims start at the head."""
        self.known = list(found)[:MAX_LANES]
        self.positions.clear()
        self._next_snapshot = now + _pause_after(seconds)

    def exhausted(self, line: Lane) -> None:
        """Forget a line whose claim came back short, until a look finds it again."""
        self.known.remove(line)
        self.positions.pop(line, None)

    def count_head_claim(self, *, now: float, seconds: float) -> None:
        """Count a claim from the head, which reads the same dead entries, like a look."""
        self._next_snapshot = max(self._next_snapshot, now) + _pause_after(seconds)

    def postpone_snapshot(self, now: float) -> None:
        """Put the next look off because there is enough to claim without it."""
        self._next_snapshot = max(self._next_snapshot, now + BUSY_SNAPSHOT_SECONDS)


def _pause_after(seconds: float) -> float:
    """Return for how long no look is made after one that took ``seconds``."""
    return seconds * (QUICK_SNAPSHOT_SHARE if seconds <= QUICK_SNAPSHOT_SECONDS else SNAPSHOT_SHARE)
