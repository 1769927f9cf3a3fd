"""The order in which a worker claims from the lanes of its queues.

*Fair*: the highest priority of all queues first; lanes of equal priority take turns. *Strict*: no job of a queue
while a queue listed before it has ready jobs. *Weighted*: each queue gets its share of the claimed jobs, however
many wait in it; within a queue the highest priority first. Weighted uses stride scheduling (Waldspurger and Weihl,
1995): a queue's pass grows by jobs claimed / weight and the lowest pass goes first, so that no queue starves.

In all of them the lanes of ``BACKGROUND_PRIORITY`` come last, behind every other queue, and count for no share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .claim_cursors import Lane
from .priorities import BACKGROUND_PRIORITY


class QueueOrder(Protocol):
    """An order of lanes; it may depend on what was claimed."""

    def order(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Return the lanes in the order in which to claim from them now."""

    def record_claimed(self, lane: Lane, number: int) -> None:
        """Record that ``number`` jobs of a lane were claimed."""

    @property
    def may_skip_lanes(self) -> bool:
        """True if later lanes may be claimed from while an earlier one has jobs for which there is no room."""


@dataclass(slots=True)
class FairOrder:
    """Priority over all queues; lanes of equal priority take turns, however many they are."""

    _last: dict[int, str] = field(default_factory=dict)

    def order(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Return the lanes, highest priority first, those of equal priority from behind the last that was claimed."""
        last = self._last
        return sorted(
            lanes,
            key=lambda lane: (-lane.priority, lane.queue_name <= last.get(lane.priority, ""), lane.queue_name),
        )

    def record_claimed(self, lane: Lane, number: int) -> None:
        """Remember whose turn it was."""
        self._last[lane.priority] = lane.queue_name

    @property
    def may_skip_lanes(self) -> bool:
        """True: an idle executor does not wait for a busy one."""
        return True


@dataclass(frozen=True, slots=True)
class StrictOrder:
    """Queues in the order of ``queues``; others come last, and behind them the background."""

    queues: Sequence[str]

    def order(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Return the lanes by queue, within a queue by priority."""
        places = {name: place for place, name in enumerate(self.queues)}
        return sorted(
            lanes,
            key=lambda lane: (_is_background(lane), places.get(lane.queue_name, len(places)), -lane.priority),
        )

    def record_claimed(self, lane: Lane, number: int) -> None:
        """Do nothing: the order does not depend on it."""

    @property
    def may_skip_lanes(self) -> bool:
        """False: an executor stays idle instead."""
        return False


@dataclass(slots=True)
class WeightedOrder:
    """Shares of the claimed jobs by ``weights``; a queue that was empty for a while earns no extra share."""

    weights: Mapping[str, int]
    _passes: dict[str, float] = field(default_factory=dict)
    _now: float = 0.0

    def order(self, lanes: Sequence[Lane]) -> list[Lane]:
        """Return the lanes by their queue's pass, within a queue by priority."""
        queues = {lane.queue_name for lane in lanes if not _is_background(lane)}
        for name in queues:
            self._passes[name] = max(self._passes.get(name, self._now), self._now)
        self._forget_all_but(queues)
        self._now = min(self._passes.values(), default=self._now)
        return sorted(
            lanes,
            key=lambda lane: (
                _is_background(lane),
                self._passes.get(lane.queue_name, self._now),
                lane.queue_name,
                -lane.priority,
            ),
        )

    def record_claimed(self, lane: Lane, number: int) -> None:
        """Advance the queue's pass."""
        if _is_background(lane):
            return
        name = lane.queue_name
        self._passes[name] = self._passes.get(name, self._now) + number / self.weights.get(name, 1)

    @property
    def may_skip_lanes(self) -> bool:
        """True: shares hold over time, not within a round."""
        return True

    def _forget_all_but(self, queues: Iterable[str]) -> None:
        """Forget passes that are behind; a queue that is ahead still has to wait."""
        kept = set(queues)
        for name in [queue for queue, at in self._passes.items() if queue not in kept and at <= self._now]:
            del self._passes[name]


def _is_background(lane: Lane) -> bool:
    return lane.priority == BACKGROUND_PRIORITY
