"""What becomes of a tick while jobs of its schedule have not ended: the whole table."""

from __future__ import annotations

import pytest

from django_jobs.policy.overlap import Overlap, Verdict, decide_overlap


@pytest.mark.parametrize("overlap", Overlap)
def test_a_tick_fires_where_nothing_is_in_its_way(overlap: Overlap) -> None:
    assert decide_overlap(overlap, unfinished=0, waiting=0, room=1) is Verdict.FIRE


@pytest.mark.parametrize(
    ("overlap", "unfinished", "waiting", "room", "verdict"),
    [
        (Overlap.SKIP, 1, 0, 1, Verdict.SKIP),
        (Overlap.ALLOW, 7, 0, 1, Verdict.FIRE),
        (Overlap.REPLACE, 1, 0, 1, Verdict.REPLACE),
        (Overlap.QUEUE, 1, 0, 1, Verdict.WAIT),
        (Overlap.QUEUE, 1, 1, 1, Verdict.SKIP),
        (Overlap.QUEUE, 0, 1, 1, Verdict.SKIP),
        (Overlap.QUEUE, 1, 1, 3, Verdict.WAIT),
    ],
)
def test_a_tick_that_overlaps(
    overlap: Overlap, unfinished: int, waiting: int, room: int, verdict: Verdict
) -> None:
    assert decide_overlap(overlap, unfinished=unfinished, waiting=waiting, room=room) is verdict
