"""What becomes of a tick whose schedule's last job has not ended yet."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class Overlap(StrEnum):
    """What a schedule wants where one of its jobs is still waiting or running. The values are stored."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    REPLACE = "replace"


class OverlapDecision(StrEnum):
    """What to do with one tick."""

    FIRE = "fire"
    REPLACE = "replace"
    """Fire, and ask the jobs that have not ended to cancel."""
    WAIT = "wait"
    SKIP = "skip"


def decide_overlap(overlap: Overlap, *, unfinished: int, waiting: int, room: int) -> OverlapDecision:
    """Return what to do with a tick that is due while ``unfinished`` jobs of its schedule have not ended.

    ``waiting`` ticks are waiting already; ``room`` is how many may.
    """
    if not unfinished and not waiting:
        return OverlapDecision.FIRE
    match overlap:
        case Overlap.ALLOW:
            return OverlapDecision.FIRE
        case Overlap.REPLACE:
            return OverlapDecision.REPLACE
        case Overlap.QUEUE:
            return OverlapDecision.WAIT if waiting < room else OverlapDecision.SKIP
        case Overlap.SKIP:
            return OverlapDecision.SKIP
        case _:
            assert_never(overlap)
