"""Decisions about a tick while jobs of its schedule have not ended: the whole table."""

from __future__ import annotations

import pytest

from django_jobs.policy.overlap import Overlap, OverlapDecision, decide_overlap


@pytest.mark.parametrize("overlap", Overlap)
def test_a_tick_fires_without_unfinished_jobs(overlap: Overlap) -> None:
    assert decide_overlap(overlap, unfinished=0, waiting=0, room=1) is OverlapDecision.FIRE


@pytest.mark.parametrize(
    ("overlap", "unfinished", "waiting", "room", "verdict"),
    [
        (Overlap.SKIP, 1, 0, 1, OverlapDecision.SKIP),
        (Overlap.ALLOW, 7, 0, 1, OverlapDecision.FIRE),
        (Overlap.REPLACE, 1, 0, 1, OverlapDecision.REPLACE),
        (Overlap.QUEUE, 1, 0, 1, OverlapDecision.WAIT),
        (Overlap.QUEUE, 1, 1, 1, OverlapDecision.SKIP),
        (Overlap.QUEUE, 0, 1, 1, OverlapDecision.SKIP),
        (Overlap.QUEUE, 1, 1, 3, OverlapDecision.WAIT),
    ],
)
def test_a_tick_that_overlaps(
    overlap: Overlap, unfinished: int, waiting: int, room: int, verdict: OverlapDecision
) -> None:
    assert decide_overlap(overlap, unfinished=unfinished, waiting=waiting, room=room) is verdict
