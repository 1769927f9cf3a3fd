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


class Verdict(StrEnum):
    """What to do with one tick."""

    FIRE = "fire"
    REPLACE = "replace"
    """Fire, and ask the jobs that have not ended to cancel."""
    WAIT = "wait"
    SKIP = "skip"


def decide_overlap(overlap: Overlap, *, unfinished: int, waiting: int, room: int) -> Verdict:
    """Return what to do with a tick that is due while ``unfinished`` jobs of its schedule have not ended.

    ``waiting`` ticks are waiting already; ``room`` is how many may.
    """
    if not unfinished and not waiting:
        return Verdict.FIRE
    match overlap:
        case Overlap.ALLOW:
            return Verdict.FIRE
        case Overlap.REPLACE:
            return Verdict.REPLACE
        case Overlap.QUEUE:
            return Verdict.WAIT if waiting < room else Verdict.SKIP
        case Overlap.SKIP:
            return Verdict.SKIP
        case _:
            assert_never(overlap)
