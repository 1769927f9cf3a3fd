"""Cron expressions against cronsim (Debian's rules), a minute-by-minute oracle, and the table of clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import example, given, settings
from hypothesis import strategies as st

from django_jobs.policy.cron import (
    CronError,
    check_expression,
    depends_on_seed,
    newest_occurrences,
    next_occurrence,
    occurrences,
)

# Apia skipped 30 December 2011, Istanbul and Kathmandu changed their rules, Casablanca goes back for Ramadan.
ZONES = {
    "UTC": 2024,
    "Europe/Berlin": 2024,
    "America/New_York": 2024,
    "Asia/Kathmandu": 1986,
    "Europe/Istanbul": 2016,
    "Africa/Casablanca": 2019,
    "Pacific/Apia": 2011,
    "Australia/Lord_Howe": 2024,
}
FIXED = [
    "30 2 * * *",
    "0 9 * * 1",
    "15,45 1-3 * * *",
    "0 0 1 * *",
    "0 0 * * 5#3",
    "59 23 L * *",
    "5 0 29 2 *",
    "0 12 1,15 * MON",
    "10 2 * 3,10 SUN",
    "0 2,3 * * *",
]
BY_THE_CLOCK = ["*/15 * * * *", "0 */2 * * *", "* 2 * * 0", "30 * * * *", "*/7 */5 * * *", "0 */6 */2 * 1"]
PARTS_OF_AN_HOUR = {"Australia/Lord_Howe", "Asia/Kathmandu"}


def ticks(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    return list(takewhile(lambda tick: tick <= until, occurrences(expression, zone=zone, after=after)))


def days_of_change(zone: str) -> list[datetime]:
    """Return the days of the zone's year at whose end its clock differs from UTC otherwise than at their beginning."""
    days = [datetime(ZONES[zone], 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(366)]
    offsets = [day.astimezone(ZoneInfo(zone)).utcoffset() for day in days]
    return [day for day, here, there in zip(days, offsets, offsets[1:], strict=False) if here != there]


def by_cronsim(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    instants = (tick.astimezone(UTC) for tick in CronSim(expression, after.astimezone(ZoneInfo(zone))))
    return list(takewhile(lambda tick: tick <= until, instants))


def minute_by_minute(expression: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    """Walk along every minute and ask cronsim, in wall-clock time, whether it fires at what the clock shows."""
    found, instant = [], after.replace(second=0, microsecond=0)
    while (instant := instant + timedelta(minutes=1)) <= until:
        wall = instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        if next(CronSim(expression, wall - timedelta(minutes=1))) == wall:
            found.append(instant)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", FIXED)
def test_fixed_times_fire_as_debians_cron_fires_them(expression: str, zone: str) -> None:
    after = datetime(ZONES[zone] - 1, 12, 30, 11, 7, 30, tzinfo=UTC)
    until = after + timedelta(days=1_500)
    ours = ticks(expression, zone, after, until)
    assert ours == by_cronsim(expression, zone, after, until)
    assert ours == sorted(set(ours))


@pytest.mark.slow
@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone not in PARTS_OF_AN_HOUR])
@pytest.mark.parametrize("expression", BY_THE_CLOCK)
def test_intervals_fire_as_debians_cron_fires_them(expression: str, zone: str) -> None:
    for day in [datetime(ZONES[zone], 7, 1, tzinfo=UTC), *days_of_change(zone)]:
        after, until = day - timedelta(days=2, minutes=7), day + timedelta(days=3)
        assert ticks(expression, zone, after, until) == by_cronsim(expression, zone, after, until)


# Where the clock changes by less than an hour, cronsim, which steps by whole ones, passes times over.
@pytest.mark.parametrize("expression", BY_THE_CLOCK)
@pytest.mark.parametrize(
    ("zone", "change"),
    [
        ("Australia/Lord_Howe", datetime(2024, 4, 6, 15, tzinfo=UTC)),
        ("Australia/Lord_Howe", datetime(2024, 10, 5, 15, 30, tzinfo=UTC)),
        ("Asia/Kathmandu", datetime(1985, 12, 31, 18, 30, tzinfo=UTC)),
    ],
)
def test_intervals_follow_a_clock_that_changes_by_part_of_an_hour(expression: str, zone: str, change: datetime) -> None:
    after, until = change - timedelta(hours=20), change + timedelta(hours=20)
    assert ticks(expression, zone, after, until) == minute_by_minute(expression, zone, after, until)


def fields(lowest: int, highest: int) -> st.SearchStrategy[str]:
    numbers = st.integers(lowest, highest)
    pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])
    ranges = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(st.one_of(st.just("*"), ranges), st.integers(1, highest)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    lists = st.lists(numbers.map(str), min_size=1, max_size=4, unique=True).map(",".join)
    return st.one_of(st.just("*"), lists, ranges, steps)


EXPRESSIONS = st.tuples(
    fields(0, 59), fields(0, 23), st.one_of(st.just("*"), fields(1, 28)), fields(1, 12), fields(0, 6)
).map(" ".join)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@example(expression="0 * * * *", zone="Europe/Berlin", day=298, year=2025)
@example(expression="*/15 1-2 1-2 * *", zone="Africa/Casablanca", day=0, year=1976)
@given(
    expression=EXPRESSIONS,
    zone=st.sampled_from([zone for zone in ZONES if zone not in PARTS_OF_AN_HOUR]),
    day=st.integers(0, 364),
    year=st.integers(1975, 2035),
)
def test_generated_expressions_fire_as_debians_cron_fires_them(expression: str, zone: str, day: int, year: int) -> None:
    after = datetime(year, 1, 1, 11, 3, tzinfo=UTC) + timedelta(days=day)
    ours = list(islice(occurrences(expression, zone=zone, after=after), 60))
    theirs = [tick.astimezone(UTC) for tick in islice(CronSim(expression, after.astimezone(ZoneInfo(zone))), 60)]
    difference = next((pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]), None)
    if difference is None or not any(field.startswith("*") for field in expression.split()[:2]):
        assert ours == theirs
    else:
        # After a midnight that the clock jumps over cronsim passes over times: ask for each minute of that day.
        start, end = min(difference) - timedelta(hours=12), min(difference) + timedelta(hours=12)
        assert ticks(expression, zone, start, end) == minute_by_minute(expression, zone, start, end)


# The table of docs/how-to.md: what fires on the nights on which Berlin's clocks change.
@pytest.mark.parametrize(
    ("expression", "night", "fires"),
    [
        ("30 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("30 2 * * *", "2026-10-25", ["02:30+02:00"]),
        ("0 3 * * *", "2026-03-29", ["03:00+02:00"]),
        ("0,30 2 * * *", "2026-03-29", ["03:00+02:00"]),
        ("30 2,3 * * *", "2026-03-29", ["03:00+02:00", "03:30+02:00"]),
        ("*/30 1-3 * * *", "2026-03-29", ["01:00+01:00", "01:30+01:00", "03:00+02:00", "03:30+02:00"]),
        (
            "*/30 2 * * *",
            "2026-10-25",
            ["02:00+02:00", "02:30+02:00", "02:00+01:00", "02:30+01:00"],
        ),
        ("0 */2 * * *", "2026-03-29", ["00:00+01:00", "04:00+02:00", "06:00+02:00"]),
        (
            "0 */2 * * *",
            "2026-10-25",
            ["00:00+02:00", "02:00+02:00", "02:00+01:00", "04:00+01:00", "06:00+01:00"],
        ),
        ("30 2 * * * 15", "2026-10-25", ["02:30:15+02:00"]),
    ],
)
def test_the_night_on_which_the_clocks_change(expression: str, night: str, fires: list[str]) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    midnight = datetime.fromisoformat(night).replace(tzinfo=berlin)
    found = ticks(expression, "Europe/Berlin", midnight - timedelta(seconds=1), midnight.replace(hour=6))
    assert found == [datetime.fromisoformat(f"{night}T{time}").astimezone(UTC) for time in fires]


def test_a_time_exactly_at_after_is_excluded() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert next(occurrences("0 12 * * *", zone="UTC", after=noon)) == noon + timedelta(days=1)
    assert next(occurrences("0 12 * * *", zone="UTC", after=noon - timedelta(microseconds=1))) == noon


def test_instants_are_utc_and_a_sixth_field_is_seconds() -> None:
    after = datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
    first = list(islice(occurrences("* * * * * */20", zone="Asia/Tokyo", after=after), 3))
    assert [tick - after for tick in first] == [timedelta(seconds=seconds) for seconds in (20, 40, 60)]
    assert all(tick.tzinfo is UTC for tick in first)


@pytest.mark.parametrize(
    ("alias", "expression"), [("@daily", "0 0 * * *"), ("@HOURLY", "0 * * * *"), ("@weekly", "0 0 * * 7")]
)
def test_aliases_such_as_daily(alias: str, expression: str) -> None:
    after = datetime(2026, 5, 6, 7, 8, tzinfo=UTC)
    expected = list(islice(occurrences(expression, zone="Europe/Berlin", after=after), 5))
    assert list(islice(occurrences(alias, zone="Europe/Berlin", after=after, seed="any"), 5)) == expected


def test_hashed_fields_are_determined_by_the_seed() -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    at = {seed: next_occurrence("H H * * *", zone="UTC", after=after, seed=seed) for seed in "abcdefgh"}
    assert len(set(at.values())) > 5
    assert at["a"] == next(occurrences("H H * * *", zone="UTC", after=after, seed="a"))
    assert depends_on_seed("H H * * *")
    assert not depends_on_seed("0 9 * MAR THU")


def test_a_day_and_a_weekday_are_either_unless_one_begins_with_a_star() -> None:
    after = datetime(2026, 6, 1, tzinfo=UTC)
    either = list(islice(occurrences("0 0 13 * 5", zone="UTC", after=after), 3))
    both = list(islice(occurrences("0 0 */13 * 5", zone="UTC", after=after), 3))
    assert [tick.day for tick in either] == [5, 12, 13]
    assert all(tick.weekday() == 4 and tick.day in {1, 14, 27} for tick in both)


# croniter alone wants both of a day and an nth weekday, and refuses, or drops, a weekday beside an nth one.
@pytest.mark.parametrize(
    ("expression", "debians"),
    [
        ("0 0 1 * 1#2", None),
        ("30 2 13 * 5#3", None),
        ("0 0 L * 5#1", None),
        ("0 0 L * L5", "0 0 L * 5L"),
        ("0 0 1,15 3-10 5#3", None),
        ("0 0 * * 3,1#2", None),
        ("0 0 * * MON,1#2", None),
        ("0 0 13 * 3,1#2", None),
        ("*/30 2 */2 * 1#2,0", None),
        ("0 0 * * 1,L5", "0 0 * * 1,5L"),
        ("0 0 1-31 * 5", None),
        ("0 0 30 2 5", None),
    ],
)
def test_days_and_nth_weekdays_are_any_of_them(expression: str, debians: str | None) -> None:
    after = datetime(2026, 1, 1, 11, 7, tzinfo=UTC)
    until = after + timedelta(days=800)
    check_expression(expression)
    assert ticks(expression, "Europe/Berlin", after, until) == by_cronsim(
        debians or expression, "Europe/Berlin", after, until
    )


def test_the_weekday_nearest_to_a_day_is_as_good_as_a_weekday() -> None:
    after = datetime(2026, 8, 1, tzinfo=UTC)
    found = list(islice(occurrences("0 0 15W * 5", zone="UTC", after=after), 4))
    assert [tick.day for tick in found] == [7, 14, 21, 28]
    assert [tick.day for tick in islice(occurrences("0 0 16W * 5", zone="UTC", after=after), 4)] == [
        7,
        14,
        17,
        21,
    ]


# croniter alone takes a range of one value for every value.
@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("5-5 * * * *", "5 * * * *"),
        ("05-5/2 * * * *", "5 * * * *"),
        ("0 0-0 * * *", "0 0 * * *"),
        ("0 0 * dec-12 *", "0 0 * 12 *"),
        ("0 0 * * mon-MON,5", "0 0 * * 1,5"),
        ("0 0 * * 7-7", "0 0 * * 0"),
        ("0 0 * * 0-7", "0 0 * * *"),
        ("0 0 * * 6-7", "0 0 * * 0,6"),
    ],
)
def test_a_range_of_one_value_is_that_value(expression: str, same: str) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC)
    expected = list(islice(occurrences(same, zone="UTC", after=after), 20))
    assert list(islice(occurrences(expression, zone="UTC", after=after), 20)) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "61 * * * *",
        "0 0 30 2 *",
        "0 0 31 4,6,9,11 *",
        "R * * * *",
        "0 R(1-3) * * *",
        "@reboot",
        "every day",
        "0 0 * * MONDAYISH",
        "*/0 * * * *",
        "0 0 L-3 * *x",
        "1 " * 150,
    ],
)
def test_an_invalid_expression_is_refused(expression: str) -> None:
    with pytest.raises(CronError, match="expected"):
        check_expression(expression)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("75 * * * *", "minute: 75 is not 0-59"),
        ("1,2,75 * * * *", "minute: 75 is not 0-59"),
        ("0 9-25 * * *", "hour: 25 is not 0-23"),
        ("0 0 32 * *", "day of month: 32 is not 1-31"),
        ("0 0 1 jan-foo *", "month: 'jan-foo' is not 1-12"),
        ("0 0 * * 8", "day of week: 8 is not 0-7"),
        ("0 0 * * MON,1#9", "day of week: '1#9' is not 0-7"),
        ("0 0 * * * 60", "second: 60 is not 0-59"),
        ("*/0 24 * * *", "minute: '*/0' is not 0-59"),
        ("H(70-80) * * * *", "minute: 70 is not 0-59"),
    ],
)  # fmt: skip
def test_an_error_names_the_field_and_its_values(expression: str, said: str) -> None:
    with pytest.raises(CronError) as raised:
        check_expression(expression)
    assert str(raised.value) == f"expected a cron expression, got {expression!r}: {said}"


@pytest.mark.parametrize("zone", ["Europe/Berln", "", "../etc/passwd", None, 7, "a\0b"])
def test_an_unknown_time_zone_is_refused(zone: object) -> None:
    with pytest.raises(CronError, match="Europe/Berlin"):
        check_expression("@daily", zone=zone)  # type: ignore[arg-type]


def test_the_newest_are_found_without_computing_the_old_ones() -> None:
    after = datetime(1990, 1, 1, tzinfo=UTC)
    until = datetime(2026, 11, 24, 12, tzinfo=UTC)
    newest = newest_occurrences("* * * * * *", zone="UTC", after=after, until=until, limit=3)
    assert newest == [until - timedelta(seconds=2), until - timedelta(seconds=1), until]
    yearly = newest_occurrences("@yearly", zone="UTC", after=after, until=until, limit=100)
    assert [tick.year for tick in yearly] == list(range(1991, 2027))
    assert newest_occurrences("@daily", zone="UTC", after=until, until=until, limit=3) == []
