from django_jobs.policy.claim_cursors import (
    BUSY_SNAPSHOT_SECONDS,
    MAX_LANES,
    QUICK_SNAPSHOT_SHARE,
    SNAPSHOT_SHARE,
    ClaimCursors,
    Lane,
)

MAIL = Lane("mail", 0)
DOCUMENTS = Lane("documents", 0)


def found(*lanes, now=0.0, seconds=0.0):
    ready = ClaimCursors()
    ready.update(lanes, now=now, seconds=seconds)
    return ready


def test_a_new_worker_takes_a_snapshot_at_once():
    assert ClaimCursors().snapshot_due(0.0)


def test_a_snapshot_is_followed_by_a_pause_of_twenty_times_its_duration():
    ready = found(MAIL, now=100.0, seconds=0.5)

    assert not ready.snapshot_due(100.0 + 0.5 * SNAPSHOT_SHARE - 0.01)
    assert ready.snapshot_due(100.0 + 0.5 * SNAPSHOT_SHARE)


def test_a_claim_from_the_head_counts_like_a_snapshot():
    ready = found(MAIL, now=100.0, seconds=0.5)
    ready.count_head_claim(now=101.0, seconds=1.0)

    assert not ready.snapshot_due(100.0 + 1.5 * SNAPSHOT_SHARE - 0.01)
    assert ready.snapshot_due(100.0 + 1.5 * SNAPSHOT_SHARE)


def test_a_claim_from_the_head_long_after_the_last_snapshot_counts_from_now():
    ready = found(MAIL, now=0.0)
    ready.count_head_claim(now=1_000.0, seconds=0.1)

    assert not ready.snapshot_due(1_001.9)
    assert ready.snapshot_due(1_002.0)


def test_a_snapshot_is_postponed_while_claims_come_back_full_and_never_moved_earlier():
    ready = found(MAIL, now=0.0, seconds=0.0)
    ready.postpone_snapshot(10.0)
    assert not ready.snapshot_due(10.0 + BUSY_SNAPSHOT_SECONDS - 0.01)
    assert ready.snapshot_due(10.0 + BUSY_SNAPSHOT_SECONDS)

    late = found(MAIL, now=0.0, seconds=10.0)
    late.postpone_snapshot(1.0)
    assert not late.snapshot_due(10.0 * SNAPSHOT_SHARE - 0.01)


def test_a_lane_that_came_back_short_is_removed_until_a_snapshot_finds_it():
    ready = found(MAIL, DOCUMENTS)
    ready.positions[MAIL] = "somewhere"

    ready.exhausted(MAIL)

    assert ready.known == [DOCUMENTS]
    assert MAIL not in ready.positions

    ready.update([MAIL], now=1.0, seconds=0.0)
    assert ready.known == [MAIL]


def test_a_snapshot_makes_claims_start_at_the_head_again():
    ready = found(MAIL)
    ready.positions[MAIL] = "somewhere"

    ready.update([MAIL], now=1.0, seconds=0.0)

    assert ready.positions == {}


def test_very_many_lanes_are_worked_through_in_bounded_parts():
    ready = found(*(Lane(f"q{number}", 0) for number in range(MAX_LANES + 5)))

    assert len(ready.known) == MAX_LANES


def test_a_quick_snapshot_may_soon_be_taken_again():
    ready = found(MAIL, now=100.0, seconds=0.002)

    assert not ready.snapshot_due(100.0 + 0.002 * QUICK_SNAPSHOT_SHARE - 0.001)
    assert ready.snapshot_due(100.0 + 0.002 * QUICK_SNAPSHOT_SHARE)
