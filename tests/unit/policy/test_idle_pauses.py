from __future__ import annotations

import pytest

from django_jobs.policy.idle_pauses import IdlePauses


def _looks(pauses: IdlePauses, *, until: float, is_listening: bool) -> list[float]:
    """Return when a claimer that finds nothing looks again."""
    now, looks = 0.0, []
    while now < until:
        now += pauses.next(now, interval=1.0, is_listening=is_listening)
        looks.append(round(now, 3))
    return looks


def test_after_a_notification_a_listening_claimer_looks_a_few_times_and_then_waits():
    pauses = IdlePauses()
    pauses.notified(0.0, poll_seconds=0.1)
    assert _looks(pauses, until=3, is_listening=True) == [0.01, 0.03, 0.07, 0.1, 1.1, 2.1, 3.1]


def test_without_notifications_pauses_grow_after_the_last_claim():
    pauses = IdlePauses()
    pauses.claimed()
    looks = _looks(pauses, until=2, is_listening=False)
    assert looks == pytest.approx([0.01, 0.03, 0.07, 0.15, 0.31, 0.63, 1.27, 2.27])


def test_no_pause_exceeds_the_interval():
    pauses = IdlePauses()
    pauses.notified(0.0, poll_seconds=5)
    assert all(pauses.next(0.0, interval=0.02, is_listening=True) <= 0.02 for _ in range(10))
