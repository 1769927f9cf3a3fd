"""Whether a queue keeps up, from its last minutes: each situation, its edges, and no flicker by one minute's noise."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_jobs.policy.forecast import (
    HISTORY_MINUTES,
    QueueLoad,
    QueueMinute,
    Trend,
    forecast_queue,
    spare_per_minute,
    time_for_more,
    turn_at,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def history(levels: Sequence[int], *, ended: int = 0, skip: Sequence[int] = ()) -> tuple[QueueMinute, ...]:
    """Return one sample a minute, the last at START."""
    first = START - timedelta(minutes=len(levels) - 1)
    return tuple(
        QueueMinute(starts_at=first + timedelta(minutes=at), waiting=level, ended=ended)
        for at, level in enumerate(levels)
        if at not in skip
    )


def load(levels: Sequence[int] = (), *, ended: int = 0, **fields: Any) -> QueueLoad:
    values = {"waiting": levels[-1] if levels else 0, "slots": 8, "minutes": history(levels, ended=ended), **fields}
    return QueueLoad(**values)


def trend(levels: Sequence[int], **fields: Any) -> Trend:
    return forecast_queue(load(levels, **fields), now=START + timedelta(seconds=20)).trend


DOWN = [10_000 - 400 * at for at in range(11)]
UP = [10_000 + 40 * at for at in range(11)]


@pytest.mark.parametrize(
    ("levels", "fields", "expected"),
    [
        (DOWN, {}, Trend.EMPTYING),
        (UP, {}, Trend.GROWING),
        ([500] * 11, {}, Trend.STEADY),
        ([500, 520] * 6, {}, Trend.STEADY),
        ([0] * 11, {}, Trend.EMPTY),
        ([0] * 11, {"waiting": 3}, Trend.KEEPS_UP),
        ([90, 40, 110, 0, 80], {"ended": 100}, Trend.KEEPS_UP),
        ([90, 95, 110, 98, 120], {"ended": 100}, Trend.KEEPS_UP),
        (DOWN, {"is_stopped": True}, Trend.PAUSED),
        (DOWN, {"slots": 0}, Trend.NO_WORKER),
        (DOWN, {"slots": 0, "is_stopped": True}, Trend.PAUSED),
        ((), {"waiting": 9}, Trend.UNKNOWN),
        ([500], {}, Trend.UNKNOWN),
        ([500, 400, 300], {}, Trend.UNKNOWN),
        ([500, 400, 300, 200], {}, Trend.EMPTYING),
        ([500, 400, 410, 200], {}, Trend.STEADY),
        ([0, 0, 0, 0, 50_000, 47_000, 44_000], {}, Trend.UNKNOWN),
        ([0, 0, 0, 0, 50_000, 47_000, 44_000, 41_000], {}, Trend.EMPTYING),
        (DOWN, {"waiting": 60_000}, Trend.UNKNOWN),
        ([20_000 - at for at in range(11)], {}, Trend.STEADY),
    ],
)
def test_each_situation_has_its_trend(levels: Sequence[int], fields: dict[str, Any], expected: Trend) -> None:
    """In turn: plain ones, none waits, bursts below a minute's work, no evidence, a new backlog, 14 days to empty."""
    assert trend(levels, **fields) is expected


def test_it_is_empty_when_the_last_one_is_taken_at_the_rate_of_the_last_ten_minutes() -> None:
    found = forecast_queue(load(DOWN), now=START + timedelta(seconds=50))
    assert found.empty_at == START + timedelta(minutes=15)
    assert (found.waiting, found.is_more, found.per_minute) == (6_000, False, None)


def test_it_grows_by_so_many_a_minute() -> None:
    found = forecast_queue(load(UP), now=START)
    assert (found.trend, found.per_minute, found.empty_at) == (Trend.GROWING, 40, None)


@pytest.mark.parametrize(
    ("minutes", "rounded"), [(59.2, 60), (61, 65), (359, 360), (361, 390), (1_000, 1_020), (0.1, 1)]
)
def test_the_farther_away_the_rounder(minutes: float, rounded: int) -> None:
    rate = 100
    last = round(minutes * rate)
    found = forecast_queue(load([last + rate * back for back in range(10, -1, -1)]), now=START)
    if last > rate:
        assert found.empty_at == START + timedelta(minutes=rounded)
    assert found.empty_at is None or found.empty_at >= START


@pytest.mark.parametrize("outlier", [4_000, 30_000])
@pytest.mark.parametrize("at", range(1, 11))
def test_one_minute_alone_changes_nothing(at: int, outlier: int) -> None:
    """A burst that stays, or a sample that was wrong once."""
    burst = [level + (outlier if minute >= at else 0) for minute, level in enumerate(DOWN)]
    wrong = [level + (outlier // 4 if minute == at else 0) for minute, level in enumerate(DOWN)]
    for levels in (burst, wrong):
        found = forecast_queue(load(levels), now=START)
        assert found.trend in {Trend.EMPTYING, Trend.UNKNOWN}
        if found.trend is Trend.EMPTYING and levels is burst:
            assert found.empty_at is not None
            assert found.empty_at - START == pytest.approx(
                timedelta(minutes=levels[-1] / 400), abs=timedelta(minutes=5)
            )
    if outlier == 4_000:
        assert trend(burst) is trend(DOWN)


@pytest.mark.parametrize("seed", range(20))
def test_a_noisy_queue_has_one_trend_all_the_time_and_an_end_that_hardly_moves(seed: int) -> None:
    noise = random.Random(seed)
    levels = [20_000]
    while levels[-1] > 4_000:
        levels.append(levels[-1] - round(noise.gauss(400, 200)))
    ends = []
    for last in range(12, len(levels)):
        now = START + timedelta(minutes=last)
        minutes = tuple(
            QueueMinute(starts_at=START + timedelta(minutes=at), waiting=level)
            for at, level in enumerate(levels[: last + 1])
        )
        found = forecast_queue(QueueLoad(waiting=levels[last], slots=8, minutes=minutes), now=now)
        assert found.trend is Trend.EMPTYING
        assert found.empty_at is not None
        ends.append((found.empty_at - START).total_seconds() / 60 - last - levels[last] / 400)
    assert all(abs(error) < 0.6 * 20_000 / 400 for error in ends)
    assert abs(sum(ends) / len(ends)) < 8


@pytest.mark.parametrize("seed", range(10))
def test_a_queue_without_a_trend_is_steady_but_for_few_minutes(seed: int) -> None:
    noise = random.Random(seed)
    levels = [round(noise.gauss(5_000, 300)) for _ in range(200)]
    found = [trend(levels[: last + 1][-HISTORY_MINUTES:]) for last in range(30, 200)]
    assert found.count(Trend.STEADY) >= 0.95 * len(found)


def test_a_trend_goes_on_while_half_of_the_changes_agree() -> None:
    clear = [5_000 + 100 * at for at in range(12)]
    assert trend(clear) is Trend.GROWING
    shaken = clear + [clear[-1] - 20, clear[-1] + 300, clear[-1] + 280, clear[-1] + 500]
    assert trend(shaken) is Trend.GROWING
    assert trend([5_000, 4_980, 5_300, 5_280, 5_500, 5_480, 5_700]) is Trend.STEADY, "nothing to go on with"


def test_growth_by_bursts_shows_in_twenty_minutes() -> None:
    levels, level = [], 5_000
    for minute in range(26):
        level += 4_000 if minute % 5 == 0 else -250
        levels.append(level)
    found = forecast_queue(load(levels), now=START)
    assert found.trend is Trend.GROWING
    assert found.per_minute == pytest.approx(600, rel=0.3)


def test_missing_samples_make_no_change_steeper() -> None:
    levels = [10_000 - 100 * at for at in range(15)]
    given = load(levels, minutes=history(levels, skip=(3, 4, 9, 10, 11)))
    assert forecast_queue(given, now=START).empty_at == forecast_queue(load(levels), now=START).empty_at


def test_old_samples_tell_nothing() -> None:
    assert forecast_queue(load(DOWN), now=START + timedelta(minutes=3)).trend is Trend.EMPTYING
    assert forecast_queue(load(DOWN), now=START + timedelta(minutes=3, seconds=1)).trend is Trend.UNKNOWN
    assert forecast_queue(load(UP), now=START - timedelta(hours=1)).trend is Trend.UNKNOWN, "a clock that was set back"


def test_beyond_the_pages_count_the_sample_has_the_number() -> None:
    levels = [60_000 - 1_000 * at for at in range(11)]
    found = forecast_queue(load(levels, waiting=10_000, is_more=True), now=START)
    assert (found.trend, found.waiting, found.is_more) == (Trend.EMPTYING, 50_000, False)
    found = forecast_queue(load([9_000] * 5, waiting=10_000, is_more=True), now=START)
    assert (found.waiting, found.is_more) == (10_000, True)


def test_beyond_the_samples_bound_it_is_not_empty_before() -> None:
    minutes = tuple(
        QueueMinute(starts_at=START - timedelta(minutes=back), waiting=100_000, is_more=True, ended=2_000)
        for back in range(12, -1, -1)
    )
    given = load(minutes=minutes, waiting=10_000, is_more=True)
    found = forecast_queue(given, now=START)
    assert (found.trend, found.waiting, found.is_more) == (Trend.TOO_MANY, 100_000, True)
    assert found.empty_at == START + timedelta(minutes=50)
    idle = tuple(QueueMinute(starts_at=minute.starts_at, waiting=100_000, is_more=True) for minute in minutes)
    assert forecast_queue(load(minutes=idle, waiting=10_000, is_more=True), now=START).empty_at is None
    assert time_for_more(5, given, now=START) is None


class TestMore:
    def test_behind_a_backlog_that_empties_they_take_as_long_as_it_does(self) -> None:
        assert time_for_more(2_000, load(DOWN), now=START) == timedelta(minutes=20)

    def test_where_nothing_waits_the_free_slots_take_them(self) -> None:
        given = load(waiting=0, busy_slots=4.0, run_seconds=2.0)
        assert time_for_more(100, given, now=START) == timedelta(seconds=50)
        assert time_for_more(100, load(waiting=100, busy_slots=4.0, run_seconds=2.0), now=START) == timedelta(
            seconds=100
        )
        assert time_for_more(100, load(waiting=0, busy_slots=0.0, run_seconds=2.0), now=START) == timedelta(seconds=25)

    @pytest.mark.parametrize(
        "fields",
        [{"slots": 0}, {"run_seconds": None}, {"busy_slots": 7.9}, {"busy_slots": 12.0}, {"is_stopped": True}],
    )
    def test_without_workers_runs_or_free_slots_nobody_can_tell(self, fields: dict[str, Any]) -> None:
        given = load(**{"waiting": 0, "busy_slots": 4.0, "run_seconds": 2.0, **fields})
        assert time_for_more(100, given, now=START) is None
        assert spare_per_minute(given) is None
        assert load(busy_slots=12.0).busy_share == 1.0

    @pytest.mark.parametrize("levels", [UP, [500] * 11])
    def test_behind_a_backlog_that_does_not_shrink_nobody_can_tell(self, levels: Sequence[int]) -> None:
        given = load(levels, busy_slots=0.0, run_seconds=1.0)
        assert time_for_more(5, given, now=START) is None


class TestTurn:
    def test_it_comes_when_those_ahead_have_ended_whatever_arrives_behind(self) -> None:
        given = load(UP, ended=200)
        assert turn_at(2_000, given, now=START) == START + timedelta(minutes=10)

    def test_idle_minutes_say_nothing_about_the_pace(self) -> None:
        minutes = (*history([0, 0, 0, 0, 0, 0, 0]), *history([900, 800, 700, 600, 500], ended=100))
        assert turn_at(500, load(waiting=500, minutes=minutes), now=START) == START + timedelta(minutes=5)

    def test_before_there_is_a_pace_the_free_slots_tell(self) -> None:
        given = load([0, 0, 600], run_seconds=2.0, busy_slots=0.0)
        assert turn_at(600, given, now=START) == START + timedelta(minutes=3)

    @pytest.mark.parametrize("fields", [{"is_stopped": True}, {"slots": 0}, {"minutes": ()}])
    def test_without_workers_or_figures_nobody_can_tell(self, fields: dict[str, Any]) -> None:
        assert (
            turn_at(10, load(UP, ended=200, **fields) if "minutes" not in fields else load(waiting=10), now=START)
            is None
        )

    def test_in_many_days_nobody_can_tell(self) -> None:
        assert turn_at(10_000, load(UP, ended=1), now=START) is None
