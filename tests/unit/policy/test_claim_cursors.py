import pytest

from django_jobs.policy.claim_cursors import (
    BUSY_SNAPSHOT_SECONDS,
    LANE_SECONDS,
    MAX_PAUSE_SECONDS,
    READING_SHARE,
    READS_PER_SNAPSHOT,
    ClaimCursors,
    Lane,
)

MAIL = Lane("mail", 0)
DOCUMENTS = Lane("documents", 0)
READING = 0.01
PAUSE = (READING - LANE_SECONDS) * READS_PER_SNAPSHOT * READING_SHARE


def found(*lanes, now=0.0, readings=(0.0,)):
    cursors = ClaimCursors()
    for reading in readings:
        cursors.update(lanes, now=now, reading=reading)
    return cursors


def test_a_new_worker_takes_a_snapshot_at_once():
    assert ClaimCursors().snapshot_due(0.0)


def test_after_reading_dead_entries_a_snapshot_waits_twenty_times_as_long_as_it_and_the_claims_read():
    cursors = found(MAIL, now=100.0, readings=[READING, READING])

    assert not cursors.snapshot_due(100.0 + PAUSE - 0.01)
    assert cursors.snapshot_due(100.0 + PAUSE)


def test_one_slow_reading_between_quick_ones_is_no_reason_to_wait():
    assert found(MAIL, now=100.0, readings=[0.0, 5.0]).snapshot_due(100.0)
    assert found(MAIL, now=100.0, readings=[0.0, 5.0, 0.0]).snapshot_due(100.0)


@pytest.mark.parametrize("reading", [1.0, 10.0, 1e6])
def test_the_pause_has_a_maximum(reading):
    assert found(MAIL, now=100.0, readings=[reading, reading]).snapshot_due(100.0 + MAX_PAUSE_SECONDS)
    assert MAX_PAUSE_SECONDS <= 2


def test_very_many_lanes_add_no_pause_and_are_all_known():
    lanes = [Lane(f"customer {number}", number % 3) for number in range(5000)]
    reading = len(lanes) * LANE_SECONDS
    cursors = found(*lanes, now=100.0, readings=[reading, reading])

    assert cursors.snapshot_due(100.0)
    assert cursors.known == lanes
    for lane in lanes:
        cursors.exhausted(lane)
    assert cursors.snapshot_due(100.0)


def test_while_claims_come_back_full_a_snapshot_is_taken_a_moment_after_the_last_one_however_often_it_is_postponed():
    cursors = found(MAIL, now=10.0)
    for _ in range(3):
        cursors.postpone_snapshot()

    assert not cursors.snapshot_due(10.0 + BUSY_SNAPSHOT_SECONDS - 0.01)
    assert cursors.snapshot_due(10.0 + BUSY_SNAPSHOT_SECONDS)


def test_a_postponed_snapshot_is_never_moved_earlier():
    cursors = found(MAIL, now=0.0, readings=[1.0, 1.0])
    cursors.postpone_snapshot()

    assert not cursors.snapshot_due(MAX_PAUSE_SECONDS - 0.01)


def test_a_voided_pause_leaves_no_more_than_the_time_of_the_reading_itself():
    cursors = found(MAIL, now=100.0, readings=[READING, READING])
    cursors.void_pause()

    assert not cursors.snapshot_due(100.0 + READING)
    assert cursors.snapshot_due(100.0 + READING * READS_PER_SNAPSHOT)


def test_a_voided_pause_is_over_at_once_if_nothing_dead_was_read():
    cursors = found(MAIL, now=100.0)
    cursors.postpone_snapshot()
    cursors.void_pause()

    assert cursors.snapshot_due(100.0)


def test_a_lane_that_came_back_short_is_removed_until_a_snapshot_finds_it():
    cursors = found(MAIL, DOCUMENTS)
    cursors.positions[MAIL] = "somewhere"

    cursors.exhausted(MAIL)

    assert cursors.known == [DOCUMENTS]

    cursors.update([MAIL], now=1.0, reading=0.0)
    assert cursors.known == [MAIL]


def test_a_snapshot_makes_claims_start_at_the_head_again():
    cursors = found(MAIL)
    cursors.positions[MAIL] = "somewhere"

    cursors.update([MAIL], now=1.0, reading=0.0)

    assert cursors.positions == {MAIL: None}


def test_a_voided_pause_is_longer_if_known_lanes_were_resumed_in_vain():
    cursors = found(MAIL, now=100.0, readings=[READING, READING])
    cursors.void_pause(share=4)

    assert not cursors.snapshot_due(100.0 + 3 * READING * READS_PER_SNAPSHOT)
    assert cursors.snapshot_due(100.0 + 4 * READING * READS_PER_SNAPSHOT)


def test_a_queue_is_resumed_from_where_its_lanes_were_exhausted():
    urgent = Lane("mail", 9)
    cursors = found(MAIL, urgent, DOCUMENTS)
    cursors.positions = {MAIL: (3, 30), urgent: (4, 40), DOCUMENTS: (5, 50)}
    for lane in cursors.known:
        cursors.exhausted(lane)

    cursors.resume(["mail", "unknown"])

    assert cursors.positions == {MAIL: (3, 30), urgent: (4, 40)}


def test_a_job_that_was_found_behind_the_position_does_not_move_it_back():
    cursors = found(MAIL)
    for position in [(3, 30), (1, 10), None]:
        cursors.positions[MAIL] = position
        cursors.exhausted(MAIL)

    cursors.resume(["mail"])

    assert cursors.positions == {MAIL: (3, 30)}


def test_a_lane_that_is_known_is_not_resumed():
    cursors = found(MAIL)
    cursors.positions[MAIL] = (3, 30)
    cursors.exhausted(MAIL)
    cursors.update([MAIL], now=1.0, reading=0.0)

    cursors.resume(["mail"])

    assert cursors.positions == {MAIL: None}
