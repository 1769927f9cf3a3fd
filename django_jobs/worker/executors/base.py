"""The contract of an executor with the claimer and the worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from ...store.dialects.base.jobs import Claim


class Executor(Protocol):
    """Runs claims in order, ``capacity`` at once, and reports the end of each run.

    ``waiting`` are claimed and not started, ``started_count`` all that were ever started. A run that ends while at
    most ``low_water_mark`` claims are waiting reports free capacity.
    """

    waiting: deque[Claim]
    started_count: int
    low_water_mark: int

    @property
    def capacity(self) -> int:
        """How many jobs can run at once."""

    def submit(self, claims: Iterable[Claim]) -> None:
        """Queue claims to be run."""

    def running(self) -> list[tuple[Claim, float]]:
        """Return the running jobs and their starts (monotonic seconds)."""

    def interrupt(self, claim: Claim) -> bool:
        """Interrupt a run if it can be reached; False if it does not run here."""

    def stop(self) -> None:
        """Start no more jobs."""

    def join(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic seconds) for running jobs; tell whether all have ended."""


def take_unstarted(executor: Executor) -> list[Claim]:
    """Remove and return the claims that the executor has not started."""
    claims: list[Claim] = []
    while executor.waiting:
        try:
            claims.append(executor.waiting.pop())
        except IndexError:
            break
    return claims
