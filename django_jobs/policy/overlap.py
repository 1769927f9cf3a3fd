"""Decide about a tick while a job of its schedule has not ended."""

from __future__ import annotations

from enum import StrEnum
from typing import assert_never


class Overlap(StrEnum):
    """The option ``overlap`` of a schedule, as stored in the database."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    REPLACE = "replace"


class OverlapDecision(StrEnum):
    """The decision for one tick."""

    FIRE = "fire"
    REPLACE = "replace"
    """Fire, and cancel the jobs that have not ended."""
    WAIT = "wait"
    SKIP = "skip"


def decide_overlap(overlap: Overlap, *, unfinished: int, waiting: int, room: int) -> OverlapDecision:
    """Return the decision for a tick that is due while ``unfinished`` jobs of its schedule have not ended.

    ``waiting``: how many ticks wait already; ``room``: how many may.
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
