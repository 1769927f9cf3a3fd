"""The contract of an executor, as the claimer and the worker see it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from ...store.dialects.base.jobs import Claim


class Executor(Protocol):
    """Takes claims in order, ``slots`` at once, and reports each run's end.

    ``waiting`` holds what is claimed and not begun, ``started_count`` counts all that ever began. Once no more
    than ``low_water_mark`` are waiting, the end of a run is told to the claimer.
    """

    waiting: deque[Claim]
    started_count: int
    low_water_mark: int

    @property
    def slots(self) -> int:
        """How many jobs can run at once."""

    def submit(self, claims: Iterable[Claim]) -> None:
        """Hand over claims to run."""

    def running(self) -> list[tuple[Claim, float]]:
        """Return what runs at this moment and since when (monotonic seconds)."""

    def interrupt(self, claim: Claim) -> bool:
        """Pass on to a run that it was asked to end, as far as it can be reached; False where it does not run here."""

    def stop(self) -> None:
        """Begin no more."""

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for what runs and tell whether all has ended."""


def take_unstarted(executor: Executor) -> list[Claim]:
    """Return, and forget, what the executor has not begun."""
    claims: list[Claim] = []
    while executor.waiting:
        try:
            claims.append(executor.waiting.pop())
        except IndexError:
            break
    return claims
