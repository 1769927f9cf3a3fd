"""Positions from which the claimer reads: one lane per (queue, priority), one cursor per lane.

The head of the ready index fills with entries of finished jobs that cannot be removed while any old
transaction snapshot is open; a claim from the head reads past all of them. So each lane remembers how
far it has been claimed. Jobs behind the cursor (a late commit with an older ``ready_at``) are found by a
queue snapshot, a read from the head, at a low rate: reading dead entries takes about a twentieth of the time.

The pause depends on what was read alone, as the database tells it, never on how long an answer took: a locked
table, a slow network or a busy processor is no reason to look less often. There is one pause for all lanes,
because a snapshot reads the heads of all of them, and it has a maximum.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .claim_spread import ClaimSpread

READING_SHARE = 20
"""Dead entries are read for at most about one part in this many of the time."""
READS_PER_SNAPSHOT = 2
"""The snapshot reads the dead entries once, the claims from the head of each lane read them once more."""
MAX_PAUSE_SECONDS = 1.5
"""The longest pause between two snapshots, whatever was read."""
LANE_SECONDS = 5e-6
"""Reading the first entry of a lane takes about this long without any dead ones."""
VOIDED_SHARE, IN_VAIN_SHARE = 1, 4
"""How many times the last reading a voided pause still lasts; more if known lanes were resumed in vain."""
MAX_RESTING_LANES = 10_000
BUSY_SNAPSHOT_SECONDS = 0.25
"""Interval of snapshots while claims come back full: the longest a new, higher priority waits to be noticed."""


class Lane(NamedTuple):
    """One queue at one priority; its jobs run in the order in which they became ready."""

    queue_name: str
    priority: int


@dataclass(slots=True)
class ClaimCursors:
    """Lanes known to have ready jobs, with the cursor of each, None for the head. ``now`` is monotonic seconds.

    ``capped``: the queues with a maximum of running jobs. ``spread``: where claims begin that have no cursor.
    A lane that is exhausted keeps its position, by queue and priority, so that a notification of new
    jobs can be followed without reading a single dead entry.
    """

    positions: dict[Lane, Any] = field(default_factory=dict)
    capped: frozenset[str] = frozenset()
    spread: ClaimSpread = field(default_factory=ClaimSpread)
    _resting: dict[str, dict[int, Any]] = field(default_factory=dict)
    _last_snapshot: float = 0.0
    _last_reading: float = 0.0
    _next_snapshot: float = 0.0

    @property
    def known(self) -> list[Lane]:
        """The lanes that may have ready jobs."""
        return list(self.positions)

    def snapshot_due(self, now: float) -> bool:
        """Tell whether a snapshot may be taken."""
        return now >= self._next_snapshot

    def update(self, found: Iterable[Lane], *, now: float, reading: float) -> None:
        """Record the lanes of a snapshot and the seconds it read; reset the cursors, so that claims start at the head.

        A slow reading counts if the one before was slow too: dead entries stay, a moment without a processor does not.
        """
        self.positions = dict.fromkeys(found)
        dead = max(reading - len(self.positions) * LANE_SECONDS, 0.0)
        counted = READS_PER_SNAPSHOT * min(dead, self._last_reading)
        self._last_reading = dead
        self._last_snapshot = now
        self._next_snapshot = now + min(READING_SHARE * counted, MAX_PAUSE_SECONDS)

    def exhausted(self, lane: Lane) -> None:
        """Remove a lane whose claim came back short, until a snapshot finds it or it is resumed."""
        position = self.positions.pop(lane, None)
        if position is None:
            return
        if len(self._resting) >= MAX_RESTING_LANES:
            self._resting.clear()
        before = self._resting.setdefault(lane.queue_name, {})
        before[lane.priority] = max(position, before.get(lane.priority, position))

    def resume(self, queue_names: Iterable[str]) -> None:
        """Make lanes of these queues known again, from where they were exhausted."""
        for name in queue_names:
            for priority, position in self._resting.get(name, {}).items():
                self.positions.setdefault(Lane(name, priority), position)

    def add_notified(self, lanes: Iterable[Lane], *, now: float) -> None:
        """Make lanes with new jobs known, from where they were exhausted; a new lane only if a snapshot may be taken.

        A claim from the head of a lane reads its dead entries, as a snapshot does.
        """
        for lane in lanes:
            position = self._resting.get(lane.queue_name, {}).get(lane.priority)
            if position is not None or self.snapshot_due(now):
                self.positions.setdefault(lane, position)

    def postpone_snapshot(self) -> None:
        """Take the next snapshot a moment after the last one: there is enough to claim without it."""
        self._next_snapshot = max(self._next_snapshot, self._last_snapshot + BUSY_SNAPSHOT_SECONDS)

    def void_pause(self, *, share: int = VOIDED_SHARE) -> None:
        """Allow a snapshot once the last reading is ``share`` times as long ago as it took: something has happened.

        Without any dead entries that is at once; with many, the other half of the time is left for others.
        """
        pause = min(share * READS_PER_SNAPSHOT * self._last_reading, MAX_PAUSE_SECONDS)
        self._next_snapshot = min(self._next_snapshot, self._last_snapshot + pause)
