"""The contract of an executor with the claimer and the worker."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

from ...store.dialects.base.jobs import Claim
from .chunks import ChunkQueue, ClaimedChunk, claims_of


class Executor(Protocol):
    """Runs claims in order, ``capacity`` at once, and reports the end of each run.

    ``waiting`` are claimed and not started, ``started_count`` all that were ever started. A run that ends while at
    most ``low_water_mark`` claims are waiting reports free capacity.
    ``chunks`` submits claims that are called together.
    """

    waiting: deque[Claim | ClaimedChunk]
    chunks: ChunkQueue
    started_count: int
    low_water_mark: int

    @property
    def capacity(self) -> int:
        """How many jobs can run at once."""

    def submit(self, claims: Iterable[Claim | ClaimedChunk]) -> None:
        """Queue claims to be run."""

    def running(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return the running jobs, or chunks of them, and their starts (monotonic seconds)."""

    def busy(self) -> list[tuple[Claim | ClaimedChunk, float]]:
        """Return what runs in the same slots, of all databases that share them."""

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
            work = executor.waiting.pop()
        except IndexError:
            break
        claims += work.take() if isinstance(work, ClaimedChunk) else [work]
    return claims


def take_waiting(executor: Executor, claim: Claim) -> bool:
    """Remove a claim that the executor has not started, also from a chunk; tell whether it was there."""
    try:
        executor.waiting.remove(claim)
    except (ValueError, IndexError):  # it is not there, or another thread took some claims meanwhile
        chunks = [work for work in executor.waiting.copy() if isinstance(work, ClaimedChunk)]
        return executor.chunks.remove(claim) or any(chunk.remove(claim) for chunk in chunks)
    return True


def running_claims(executor: Executor) -> list[tuple[Claim, float]]:
    """Return the claims of all running jobs and their starts (monotonic seconds)."""
    return [(claim, since) for work, since in executor.running() for claim in claims_of(work)]
