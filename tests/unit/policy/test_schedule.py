"""When a schedule is due, how it takes missed ticks, and which options no schedule can have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_jobs.policy.cron import CronError
from django_jobs.policy.overlap import Overlap
from django_jobs.policy.schedule import MAX_MISSED_RECORDED, CatchUp, TickPolicy, Timing, plan_ticks

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOURLY = Timing(name="hourly", cron="@hourly")


def hours(*numbers: float) -> list[datetime]:
    return [NOON + timedelta(hours=number) for number in numbers]


def test_a_tick_that_is_not_due_yet_stays_next() -> None:
    planned = plan_ticks(HOURLY, TickPolicy(), next_due_at=NOON, now=NOON - timedelta(milliseconds=1))
    assert planned == ([], [], NOON, NOON)


def test_a_due_tick_fires_and_the_next_one_follows() -> None:
    assert plan_ticks(HOURLY, TickPolicy(), next_due_at=NOON, now=NOON) == (hours(0), [], *hours(1, 1))


@pytest.mark.parametrize(
    ("catch_up", "fire", "missed"),
    [
        (CatchUp.LATEST, hours(5), hours(0, 1, 2, 3, 4)),
        (CatchUp.ALL, hours(3, 4, 5), hours(0, 1, 2)),
        (CatchUp.NONE, [], hours(0, 1, 2, 3, 4, 5)),
    ],
)
def test_after_an_outage(catch_up: CatchUp, fire: list[datetime], missed: list[datetime]) -> None:
    tick_policy = TickPolicy(catch_up=catch_up, catch_up_limit=3, overlap=Overlap.ALLOW)
    now = NOON + timedelta(hours=5, minutes=30)
    assert plan_ticks(HOURLY, tick_policy, next_due_at=NOON, now=now) == (fire, missed, *hours(6, 6))


def test_without_catching_up_a_tick_still_fires_within_a_minute() -> None:
    tick_policy = TickPolicy(catch_up=CatchUp.NONE)
    planned = plan_ticks(HOURLY, tick_policy, next_due_at=NOON, now=NOON + timedelta(hours=1, seconds=59))
    assert (planned.fire, planned.missed) == (hours(1), hours(0))


def test_the_newest_missed_ticks_of_a_long_outage_are_recorded() -> None:
    timing = Timing(name="often", every=timedelta(seconds=1))
    planned = plan_ticks(timing, TickPolicy(), next_due_at=NOON, now=NOON + timedelta(days=400))
    assert planned.fire == [NOON + timedelta(days=400)]
    assert len(planned.missed) == MAX_MISSED_RECORDED
    assert planned.missed[-1] == planned.fire[0] - timedelta(seconds=1)


def test_a_schedule_after_its_last_year_has_no_next_tick() -> None:
    timing = Timing(name="once", cron="0 0 29 2 *")
    due = datetime(8996, 2, 29, tzinfo=UTC)
    assert plan_ticks(timing, TickPolicy(), next_due_at=due, now=due).next_due_at is None


@given(
    offset=st.integers(0, 10**9),
    seconds=st.integers(1, 100_000),
    jitter=st.floats(0, 0.99),
    outage=st.integers(0, 50),
    catch_up=st.sampled_from(CatchUp),
)
def test_no_tick_is_lost_or_doubled(offset: int, seconds: int, jitter: float, outage: int, catch_up: CatchUp) -> None:
    """Look at any moment, then again: each tick is decided exactly once, and never before its time."""
    every = timedelta(seconds=seconds)
    timing = Timing(name="any", every=every, jitter=every * jitter)
    tick_policy = TickPolicy(catch_up=catch_up, overlap=Overlap.ALLOW, catch_up_limit=5)
    first = timing.next(NOON)
    assert first is not None
    decided: list[datetime] = []
    due: datetime | None = first
    for look in (first + every * outage, first + every * (outage + 0.5), first + every * (outage + 3)):
        now = look + every * (offset % 1000 / 1000)
        assert due is not None
        planned = plan_ticks(timing, tick_policy, next_due_at=due, now=now)
        assert all(timing.check_at(tick) <= now for tick in (*planned.fire, *planned.missed))
        decided += sorted((*planned.missed, *planned.fire))
        due = planned.next_due_at
        assert planned.next_check_at is not None
        assert planned.next_check_at > now
    expected = list(islice(timing.upcoming(NOON), len(decided)))
    assert decided == expected


def test_a_period_is_counted_from_1970_so_that_all_servers_agree() -> None:
    timing = Timing(name="poll", every=timedelta(seconds=10))
    assert timing.next(NOON + timedelta(seconds=3)) == NOON + timedelta(seconds=10)
    assert timing.next(NOON) == NOON + timedelta(seconds=10)
    ticks = list(islice(timing.upcoming(NOON), 3))
    assert ticks == [NOON + timedelta(seconds=number) for number in (10, 20, 30)]


def test_jitter_is_the_schedules_own_and_always_the_same() -> None:
    late = {
        name: Timing(name=name, cron="@hourly", jitter=timedelta(minutes=10)).check_at(NOON) - NOON
        for name in map(str, range(200))
    }
    assert late["7"] == Timing(name="7", cron="@hourly", jitter=timedelta(minutes=10)).check_at(NOON) - NOON
    assert min(late.values()) >= timedelta(0)
    assert timedelta(minutes=9) < max(late.values()) < timedelta(minutes=10)
    assert len(set(late.values())) > 190


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, "cron or every"),
        ({"cron": "@daily", "every": timedelta(days=1)}, "both"),
        ({"every": timedelta(seconds=0.999)}, "every: expected a period from 1 second"),
        ({"every": timedelta(days=-1)}, "every"),
        ({"every": timedelta(days=4_000)}, "every"),
        ({"cron": "61 * * * *"}, "cron: expected"),
        ({"cron": "0 0 30 2 *"}, "fires some day"),
        ({"cron": "@daily", "timezone": "Europe/Berln"}, "timezone: .*Europe/Berln"),
        ({"every": timedelta(hours=1), "timezone": "nowhere"}, "timezone"),
        ({"cron": "*/5 * * * *", "jitter": timedelta(minutes=5)}, "jitter: .*0:05:00"),
        ({"cron": "@daily", "jitter": timedelta(seconds=-1)}, "jitter"),
        ({"every": timedelta(seconds=10), "jitter": timedelta(seconds=10)}, "jitter"),
    ],
)
def test_an_impossible_timing_is_refused(options: dict[str, object], names: str) -> None:
    with pytest.raises(CronError, match=names):
        Timing(name="bad", **options).check()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("tick_policy", "names"),
    [
        (TickPolicy(catch_up_limit=0), "catch_up_limit"),
        (TickPolicy(catch_up_limit=1_001), "catch_up_limit"),
        (TickPolicy(catch_up=CatchUp.ALL, overlap=Overlap.SKIP), "overlap: .*'skip'"),
        (TickPolicy(catch_up=CatchUp.ALL, overlap=Overlap.REPLACE), "overlap: .*'replace'"),
    ],
)
def test_a_contradictory_policy_is_refused(tick_policy: TickPolicy, names: str) -> None:
    with pytest.raises(CronError, match=names):
        tick_policy.check()


def test_a_valid_timing_and_policy_pass() -> None:
    Timing(name="a", cron="0 9 * * 1", timezone="Europe/Berlin", jitter=timedelta(hours=1)).check()
    Timing(name="b", every=timedelta(seconds=1)).check()
    TickPolicy(catch_up=CatchUp.ALL, overlap=Overlap.QUEUE, catch_up_limit=1_000).check()
