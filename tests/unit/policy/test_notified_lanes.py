from __future__ import annotations

from django_jobs.policy.claim_cursors import BUSY_SNAPSHOT_SECONDS, Lane
from django_jobs.policy.notified_lanes import MAX_NAMES, NotifiedLanes


def _notify(notified: NotifiedLanes, name: str, priority: int | None, *, now: float = 0.0, first: bool = False) -> None:
    notified.add(name, priority, now=now, quiet_seconds=0.1, is_first=first)


def test_lanes_are_taken_once():
    notified = NotifiedLanes()
    _notify(notified, "a", 1)
    _notify(notified, "b", 9)
    assert notified.take(0.0) == [Lane("a", 1), Lane("b", 9)]
    assert notified.take(0.0) == ()


def test_none_are_taken_with_a_notification_that_names_no_priority():
    notified = NotifiedLanes()
    _notify(notified, "a", 1)
    _notify(notified, "a", None)
    assert notified.take(0.0) == ()
    _notify(notified, "a", 1)
    assert notified.take(0.0) == [Lane("a", 1)]


def test_none_are_taken_below_a_lane_that_was_notified_a_moment_ago():
    notified = NotifiedLanes()
    _notify(notified, "a", 9)
    notified.take(0.0)
    _notify(notified, "a", 1)
    assert notified.take(0.0) == ()
    _notify(notified, "a", 1, now=0.2)
    assert notified.take(0.2) == [Lane("a", 1)]
    _notify(notified, "a", 9, now=0.2)
    assert notified.take(0.2) == [Lane("a", 9)]


def test_none_are_taken_long_after_the_first_claim_without_a_look():
    notified = NotifiedLanes()
    notified.claimed(0.0)
    notified.claimed(BUSY_SNAPSHOT_SECONDS)
    _notify(notified, "a", 1)
    assert notified.take(BUSY_SNAPSHOT_SECONDS) == ()
    notified.snapshot_taken()
    _notify(notified, "a", 1)
    assert notified.take(BUSY_SNAPSHOT_SECONDS) == [Lane("a", 1)]


def test_of_many_lanes_none_are_taken_and_the_last_queues_are_kept():
    notified = NotifiedLanes()
    for number in range(MAX_NAMES + 5):
        _notify(notified, str(number), 0)
    assert notified.take(0.0) == ()
    assert notified.queues == tuple(str(number) for number in range(5, MAX_NAMES + 5))
    _notify(notified, "alone", 0, first=True)
    assert notified.queues == ("alone",)
