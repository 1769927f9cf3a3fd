"""Notifications of a claimer, and whether it may claim from their lanes before it looks at the queues.

A claim from a notified lane saves a look. It is right only while nothing that comes first may wait unseen: not if a
notification named no priority, not below a lane notified a moment ago, whose later jobs were enqueued without a
notification, and not for long without a look in between, which finds what nothing tells of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .claim_cursors import BUSY_SNAPSHOT_SECONDS, Lane

MAX_NAMES = 20


@dataclass(slots=True)
class NotifiedLanes:
    """The notifications of one claimer; ``now`` is monotonic seconds. ``queues``: those named lately."""

    queues: tuple[str, ...] = ()
    _lanes: dict[Lane, None] = field(default_factory=dict)
    _is_complete: bool = True
    _quiet_until: dict[Lane, float] = field(default_factory=dict)
    _snapshot_due_at: float | None = None

    def add(
        self, queue_name: str | None, priority: int | None, *, now: float, quiet_seconds: float, is_first: bool
    ) -> None:
        """Record a notification; None: of any queue, of any priority.

        ``quiet_seconds``: more jobs of the lane may come without one. ``is_first``: after a while without any.
        """
        others = () if is_first else self.queues
        if queue_name is not None and queue_name not in others:
            self.queues = (*others[1 - MAX_NAMES :], queue_name)
        if queue_name is None or priority is None or len(self._quiet_until) >= MAX_NAMES:
            self._is_complete = False
        else:
            lane = Lane(queue_name, priority)
            self._lanes[lane] = None
            self._quiet_until[lane] = now + quiet_seconds

    def take(self, now: float) -> Sequence[Lane]:
        """Return the lanes notified since the last call; none if the queues must be looked at first."""
        lanes, self._lanes = self._lanes, {}
        is_complete, self._is_complete = self._is_complete, True
        self._quiet_until = {lane: until for lane, until in self._quiet_until.items() if until > now}
        is_snapshot_due = self._snapshot_due_at is not None and now >= self._snapshot_due_at
        if not lanes or not is_complete or is_snapshot_due:
            return ()
        lowest = min(lane.priority for lane in lanes)
        if any(lane.priority > lowest and lane not in lanes for lane in self._quiet_until):
            return ()
        return list(lanes)

    def claimed(self, now: float) -> None:
        """Record a claim without a look."""
        if self._snapshot_due_at is None:
            self._snapshot_due_at = now + BUSY_SNAPSHOT_SECONDS

    def snapshot_taken(self) -> None:
        """Record a look at the queues."""
        self._snapshot_due_at = None
