"""How far down a lane a claim begins once claims of other servers were faster: on a cluster with several writers.

On Galera locks hold on one node only. Two nodes that claim from the head of one lane take the same rows, and the later
commit is undone. So after a conflict a claimer begins at a random place among the first ready jobs, twice as many after
each further conflict. Once there has been none for a while it is back at the head.
"""

from __future__ import annotations

from dataclasses import dataclass

FIRST_CLAIMS = 8
"""The first conflict spreads claims over as many jobs as so many claims take."""
MAX_JOBS = 2_000
"""Entries of an index that one look reads at most: about a millisecond."""
CALM_SECONDS = 10.0


@dataclass(slots=True)
class ClaimSpread:
    """The number of ready jobs among which a claim begins; 0: at the head. ``now`` is monotonic seconds."""

    _jobs: int = 0
    _ends_at: float = 0.0

    def conflicted(self, *, limit: int, now: float) -> None:
        """Record a claim of ``limit`` jobs that was undone: spread the next ones further."""
        self._jobs = min(max(2 * self.jobs(now), FIRST_CLAIMS * limit), MAX_JOBS)
        self._ends_at = now + CALM_SECONDS

    def jobs(self, now: float) -> int:
        """Return among how many jobs a claim from the head of a lane is to begin."""
        return self._jobs if now < self._ends_at else 0


def first_place(found: int, *, limit: int, dice: float) -> int:
    """Return how many of ``found`` jobs to pass over, so that ``limit`` are left; ``dice`` is at least 0, below 1."""
    return int(dice * max(found - limit + 1, 1))
