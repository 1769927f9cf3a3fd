"""Turns: in which order a worker takes from the lines of its queues.

Three ways. *Fair*: the highest priority of all queues first, queues of equal priority taking turns. *Strict*: nothing
of a queue while one named before it has anything. *Weighted*: queues get shares of the jobs that are taken,
whatever waits in each; within a queue the highest priority first. Shares are kept by stride scheduling (Waldspurger
and Weihl, 1995): a queue's pass grows by jobs taken / weight, and the queue that is least far goes first, so that
none starves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .claim_cursors import Lane


class QueueOrder(Protocol):
    """A way to take turns; it may remember what was taken."""

    def order(self, lines: Sequence[Lane]) -> list[Lane]:
        """Return the lines in the order in which to claim from them now."""

    def record_claimed(self, line: Lane, number: int) -> None:
        """Take note that so many jobs of a line were claimed."""

    @property
    def may_skip_lanes(self) -> bool:
        """True where the lines after one may be claimed from though that one has more, for which there is no room."""


@dataclass(slots=True)
class FairOrder:
    """Priority over all queues; equal ones take turns."""

    _turn: int = 0

    def order(self, lines: Sequence[Lane]) -> list[Lane]:
        """Return the lines, highest priority first, each time beginning with another of the equal ones."""
        self._turn += 1
        shift = self._turn % len(lines) if lines else 0
        return sorted([*lines[shift:], *lines[:shift]], key=lambda line: -line.priority)

    def record_claimed(self, line: Lane, number: int) -> None:
        """Remember nothing."""

    @property
    def may_skip_lanes(self) -> bool:
        """Yes: an executor that is idle is not to wait for another that is not."""
        return True


@dataclass(frozen=True, slots=True)
class StrictOrder:
    """Queues in the order of ``queues``; those it does not name come last."""

    queues: Sequence[str]

    def order(self, lines: Sequence[Lane]) -> list[Lane]:
        """Return the lines by queue, within one by priority."""
        places = {name: place for place, name in enumerate(self.queues)}
        return sorted(lines, key=lambda line: (places.get(line.queue_name, len(places)), -line.priority))

    def record_claimed(self, line: Lane, number: int) -> None:
        """Remember nothing."""

    @property
    def may_skip_lanes(self) -> bool:
        """No: an executor rather stays idle."""
        return False


@dataclass(slots=True)
class WeightedOrder:
    """Shares of what is taken by ``weights``; a queue that had nothing for a while saves up no right to more."""

    weights: Mapping[str, int]
    _passes: dict[str, float] = field(default_factory=dict)
    _now: float = 0.0

    def order(self, lines: Sequence[Lane]) -> list[Lane]:
        """Return the lines by how far their queue is, within one by priority."""
        queues = {line.queue_name for line in lines}
        for name in queues:
            self._passes[name] = max(self._passes.get(name, self._now), self._now)
        self._forget_all_but(queues)
        self._now = min(self._passes.values(), default=self._now)
        return sorted(
            lines, key=lambda line: (self._passes[line.queue_name], line.queue_name, -line.priority)
        )

    def record_claimed(self, line: Lane, number: int) -> None:
        """Move the queue on by what was taken of it."""
        name = line.queue_name
        self._passes[name] = self._passes.get(name, self._now) + number / self.weights.get(name, 1)

    @property
    def may_skip_lanes(self) -> bool:
        """Yes: shares are kept over time, not within a round."""
        return True

    def _forget_all_but(self, queues: Iterable[str]) -> None:
        """Forget queues that have fallen behind; one that is ahead has still to be waited for."""
        kept = set(queues)
        for name in [one for one, at in self._passes.items() if one not in kept and at <= self._now]:
            del self._passes[name]
