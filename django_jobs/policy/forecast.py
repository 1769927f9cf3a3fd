"""Forecast whether a queue keeps up: when it is empty, or by how much it grows, from what it did lately.

The change of a queue's backlog from each minute to the next tells. One minute proves nothing, so

- the *rate* is the mean of the last ten changes without the greatest rise and the greatest fall;
- a queue *empties* or *grows* if three of four changes agree with the rate, and goes on to do so while half of them do;
  otherwise it is *steady*. A slow change that is hidden by bursts shows in the medians of two times ten minutes;
- a minute in which the backlog more than doubles, as by a large enqueue, begins anew: what was before says nothing;
- a backlog that a minute's work was enough for, at any of these minutes, is none: the queue *keeps up*.

The same load tells how long more jobs take: at the rate by which the queue empties, or by the threads that live work
leaves free if nothing waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from statistics import median

MIN_CHANGES, MAX_CHANGES = 3, 10
HISTORY_MINUTES = 2 * MAX_CHANGES + 6
"""How many minutes of the past a forecast takes."""
AGREE_TO_BEGIN, AGREE_TO_GO_ON = 0.75, 0.5
SLOW_CHANGE = 0.25
"""The part by which the median of ten minutes differs from that of the ten before, if bursts hide a slow change."""
REPEATED = 5
"""The verdicts of the last minutes are repeated in turn, since each depends on the one before."""
MIN_RISE = 10
"""A smaller rise does not begin anew, whatever it doubles."""
ROLLED_UP_AFTER = timedelta(seconds=90)
"""By then all that ended in a minute is rolled up, counted from its start."""
MAX_SAMPLE_AGE = timedelta(minutes=3)
MAX_FORECAST = timedelta(days=2)
MIN_FREE = 0.05
"""Below this share of free slots nobody can tell: an hour with a little more live work has none."""


class Trend(StrEnum):
    """Direction of a queue's backlog."""

    EMPTY = "empty"
    KEEPS_UP = "keeps_up"
    EMPTYING = "emptying"
    STEADY = "steady"
    GROWING = "growing"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    TOO_MANY = "too_many"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueMinute:
    """A queue when a minute began, and the attempts that ended in that minute.

    ``is_more``: at least ``waiting`` jobs were ready.
    """

    starts_at: datetime
    waiting: int
    ended: int = 0
    is_more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLoad:
    """A queue now and lately.

    ``waiting`` jobs are ready, or at least so many if ``is_more``. ``slots``: threads of the living workers that serve
    it. ``busy_slots``: how many of them the work of the last hour took on average. ``run_seconds``: how long a run of
    this queue took on average, None if none has ended. ``minutes``: the last full ones and the present one, oldest
    first, without those that were not sampled. ``is_stopped``: paused, or none of its jobs may run.
    """

    waiting: int
    is_more: bool = False
    slots: int = 0
    busy_slots: float = 0.0
    run_seconds: float | None = None
    minutes: tuple[QueueMinute, ...] = ()
    is_stopped: bool = False

    @property
    def busy_share(self) -> float:
        """The part of the slots that live work takes, 0 to 1."""
        return min(self.busy_slots / self.slots, 1.0) if self.slots else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Future of the ``waiting`` jobs of a queue, or of at least so many if ``is_more``.

    ``empty_at``: when none of them will wait any more, in whole minutes; if ``is_more``, it is not before then.
    ``per_minute``: by how many the queue grows.
    """

    trend: Trend
    waiting: int = 0
    is_more: bool = False
    empty_at: datetime | None = None
    per_minute: float | None = None


def forecast_queue(load: QueueLoad, *, now: datetime) -> Forecast:
    """Return what becomes of the jobs that are ready. Scheduled jobs count once they are."""
    if not load.waiting:
        return Forecast(trend=Trend.EMPTY)
    trend, rate = _trend(load, now)
    waiting, is_more = _count_waiting(load)
    empty_at = None
    if trend in {Trend.EMPTYING, Trend.TOO_MANY} and rate:
        newest = load.minutes[-1]
        empty_at = _round_up(newest.starts_at + timedelta(minutes=newest.waiting / abs(rate)), now)
    per_minute = rate if trend is Trend.GROWING else None
    return Forecast(trend=trend, waiting=waiting, is_more=is_more, empty_at=empty_at, per_minute=per_minute)


def time_for_more(number: int, load: QueueLoad, *, now: datetime) -> timedelta | None:
    """Return how long it takes until ``number`` more jobs have run behind those that wait; None: nobody can tell."""
    trend, rate = _trend(load, now)
    if trend in {Trend.GROWING, Trend.STEADY, Trend.TOO_MANY}:
        return None
    waiting, is_more = _count_waiting(load)
    per_minute = abs(rate) if trend is Trend.EMPTYING and rate else spare_per_minute(load)
    return timedelta(minutes=(number + waiting) / per_minute) if per_minute and not is_more else None


def turn_at(ahead: int, load: QueueLoad, *, now: datetime) -> datetime | None:
    """Return about when a job's turn comes that has ``ahead`` jobs before it; None: nobody can tell.

    Later jobs of its priority are behind it, so the number that ends in a minute counts, not the rate by which the
    queue empties. Jobs of a higher priority that come later do delay it.
    """
    if load.is_stopped or not load.slots:
        return None
    busy = [minute.ended for minute in _full_minutes(load.minutes, now) if minute.waiting][-MAX_CHANGES:]
    per_minute = sum(busy) / len(busy) if len(busy) >= MIN_CHANGES else spare_per_minute(load)
    if not per_minute or ahead / per_minute > MAX_FORECAST.total_seconds() / 60:
        return None
    return _round_up(now + timedelta(minutes=ahead / per_minute), now)


def spare_per_minute(load: QueueLoad) -> float | None:
    """Return how many jobs of the queue the free slots can run in a minute beside live work; None: nobody can tell."""
    free = load.slots * (1 - load.busy_share)
    if load.is_stopped or not load.slots or load.run_seconds is None or free < load.slots * MIN_FREE:
        return None
    return 60 * free / max(load.run_seconds, 0.001)


def _count_waiting(load: QueueLoad) -> tuple[int, bool]:
    """Return the number of waiting jobs; beyond the count's bound that of the last sample, which counts further."""
    if load.is_more and load.minutes and load.minutes[-1].waiting > load.waiting:
        return load.minutes[-1].waiting, load.minutes[-1].is_more
    return load.waiting, load.is_more


def _trend(load: QueueLoad, now: datetime) -> tuple[Trend, float]:
    """Return the trend, and the change a minute; of TOO_MANY how many end in a minute."""
    if load.is_stopped:
        return Trend.PAUSED, 0.0
    if not load.slots:
        return Trend.NO_WORKER, 0.0
    minutes = [minute for minute in load.minutes if minute.starts_at <= now][-HISTORY_MINUTES:]
    if not minutes or now - minutes[-1].starts_at > MAX_SAMPLE_AGE:
        return Trend.UNKNOWN, 0.0
    newest = minutes[-1]
    if newest.is_more:
        return Trend.TOO_MANY, _ended_per_minute(minutes, now)
    if _begins_anew(newest.waiting, load.waiting):
        return Trend.UNKNOWN, 0.0
    trend, rate = Trend.STEADY, 0.0
    for left_out in range(min(REPEATED, len(minutes) - 1), -1, -1):
        trend, rate = _next_trend(minutes[: len(minutes) - left_out], trend, _ended_per_minute(minutes, now))
    if trend is Trend.EMPTYING and newest.waiting > abs(rate) * MAX_FORECAST.total_seconds() / 60:
        return Trend.STEADY, 0.0
    return trend, rate


def _next_trend(minutes: Sequence[QueueMinute], before: Trend, work: float) -> tuple[Trend, float]:
    """Return the trend at the last of these minutes, and the rate; ``work``: what ends in a minute."""
    episode = _episode(minutes)
    if min(minute.waiting for minute in episode[-MIN_CHANGES - 1 :]) <= work:
        return Trend.KEEPS_UP, 0.0
    changes = _changes(episode)[-MAX_CHANGES:]
    if len(changes) < MIN_CHANGES:
        return Trend.UNKNOWN, 0.0
    kept = sorted(changes)[1:-1]
    rate = sum(kept) / len(kept)
    trend = Trend.GROWING if rate > 0 else Trend.EMPTYING
    agreeing = sum(change * rate > 0 for change in changes) / len(changes)
    if rate and agreeing >= (AGREE_TO_GO_ON if before is trend else AGREE_TO_BEGIN):
        return trend, rate
    return _slow_trend(minutes)


def _slow_trend(minutes: Sequence[QueueMinute]) -> tuple[Trend, float]:
    """Compare two times ten minutes, whose medians no burst hides."""
    later, earlier = minutes[-MAX_CHANGES:], minutes[-2 * MAX_CHANGES : -MAX_CHANGES]
    if len(earlier) < MAX_CHANGES or any(minute.is_more for minute in earlier):
        return Trend.STEADY, 0.0
    after, first = (median(minute.waiting for minute in part) for part in (later, earlier))
    rate = (after - first) / MAX_CHANGES
    if abs(after - first) < SLOW_CHANGE * first or not rate:
        return Trend.STEADY, 0.0
    return Trend.GROWING if rate > 0 else Trend.EMPTYING, rate


def _episode(minutes: Sequence[QueueMinute]) -> Sequence[QueueMinute]:
    """Return the minutes since the backlog last began anew."""
    for at in range(len(minutes) - 1, 0, -1):
        if minutes[at - 1].is_more or _begins_anew(minutes[at - 1].waiting, minutes[at].waiting):
            return minutes[at:]
    return minutes


def _begins_anew(before: int, after: int) -> bool:
    return after > 2 * before and after - before >= MIN_RISE


def _changes(minutes: Sequence[QueueMinute]) -> list[float]:
    """Return the changes a minute between samples, which are not always a minute apart."""
    return [
        (after.waiting - before.waiting) / ((after.starts_at - before.starts_at).total_seconds() / 60)
        for before, after in pairwise(minutes)
    ]


def _ended_per_minute(minutes: Sequence[QueueMinute], now: datetime) -> float:
    numbers = [minute.ended for minute in _full_minutes(minutes, now)][-MAX_CHANGES:]
    return sum(numbers) / len(numbers) if numbers else 0.0


def _full_minutes(minutes: Sequence[QueueMinute], now: datetime) -> list[QueueMinute]:
    """Return the minutes whose ends are all rolled up."""
    return [minute for minute in minutes if now - minute.starts_at >= ROLLED_UP_AFTER]


def _round_up(instant: datetime, now: datetime) -> datetime:
    """Return an instant not before now, in whole minutes; farther away in 5 or 30."""
    instant = max(instant, now)
    away = instant - now
    minutes = 1 if away < timedelta(hours=1) else 5 if away < timedelta(hours=6) else 30
    seconds = 60 * minutes
    return datetime.fromtimestamp(-(-instant.timestamp() // seconds) * seconds, instant.tzinfo)
