"""When a cron expression fires: croniter matches wall-clock times, this module converts them to UTC.

When clocks change, a wall-clock time may not exist or exist twice. The rules are those of Debian's cron:

- Fixed minute and hour (neither begins with ``*``): every wall-clock time fires once. One that does not exist
  fires when the clock jumps over it, one that exists twice fires the first time.
- Otherwise it fires whenever the wall clock matches, so that ``*/15 * * * *`` neither skips nor doubles.

croniter with aware datetimes differs: a daily 02:30 fires twice in the night the clocks go back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from heapq import merge
from itertools import groupby, takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from croniter import croniter

from .cron_fields import find_wrong_field

MAX_EXPRESSION_LENGTH = 200
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""Expanded here: croniter would spread them over the day if a schedule has a seed."""

_NUMBERS = {
    name: str(number)
    for names, start in (
        ("sun mon tue wed thu fri sat", 0),
        ("jan feb mar apr may jun jul aug sep oct nov dec", 1),
    )
    for number, name in enumerate(names.split(), start)
}
_RANDOM = re.compile(r"r(\(|/|$)", re.IGNORECASE)
_HASHED = re.compile(r"h(\(|/|$)", re.IGNORECASE)
_NTH = re.compile(r"l|.*#", re.IGNORECASE)
_MIN_TRANSITION_GAP = timedelta(hours=12)
"""No time zone has ever changed its offset and changed it back within half a day."""
_MAX_INSTANT = datetime(9000, 1, 1, tzinfo=UTC)
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError)
"""What croniter raises for an expression that it cannot read."""


class CronError(ValueError):
    """A wrong expression, time zone or option of a schedule; the message says what was expected and given."""


class _Pattern(NamedTuple):
    """A parsed expression: it fires when any of the croniters does; ``is_fixed``: each wall-clock time fires once."""

    matchers: tuple[croniter, ...]
    is_fixed: bool

    def after(self, wall: datetime) -> Iterator[datetime]:
        """Yield the matching wall-clock times after ``wall``, ascending."""
        each = [_matches(matcher, wall) for matcher in self.matchers]
        return each[0] if len(each) == 1 else (time for time, _ in groupby(merge(*each)))


def check_expression(expression: str, *, zone: str = "UTC", seed: str = "") -> None:
    """Raise CronError unless ``expression`` ever fires in ``zone``."""
    pattern = _parse(expression, seed)
    check_zone(zone)
    if next(pattern.after(datetime(2000, 1, 1)), None) is None:  # noqa: DTZ001 - wall-clock time
        raise CronError(f"expected an expression that fires some day, got {expression!r}")


def check_zone(zone: object) -> None:
    """Raise CronError unless ``zone`` names a time zone of the IANA database."""
    try:
        ZoneInfo(zone)  # type: ignore[arg-type]  # other types are refused below
    except (KeyError, ValueError, OSError, TypeError, AttributeError):
        raise CronError(f"expected the name of a time zone such as 'Europe/Berlin', got {_truncate(zone)}") from None


def occurrences(expression: str, *, zone: str, after: datetime, seed: str = "") -> Iterator[datetime]:
    """Yield the times at which ``expression`` fires in ``zone``: aware, in UTC, after ``after``, ascending.

    ``zone`` is an IANA name. ``seed`` determines hashed fields (``H``), usually a schedule's name. The iterator
    has no end but that of dates. Raises CronError.
    """
    pattern = _parse(expression, seed)
    check_zone(zone)
    local = ZoneInfo(zone)
    after = after.astimezone(UTC)
    return (
        _fixed_occurrences(pattern, local, after)
        if pattern.is_fixed
        else _wall_clock_occurrences(pattern, local, after)
    )


@lru_cache(maxsize=4096)
def next_occurrence(expression: str, *, zone: str, after: datetime, seed: str = "") -> datetime | None:
    """Return the first time after ``after`` at which ``expression`` fires, or None.

    Cached: most schedules of a project share a few expressions and are computed for the same times.
    """
    return next(occurrences(expression, zone=zone, after=after, seed=seed), None)


def newest_occurrences(
    expression: str, *, zone: str, after: datetime, until: datetime, limit: int, seed: str = ""
) -> list[datetime]:
    """Return the newest ``limit`` times in ``(after, until]``, ascending, without computing all of them."""
    span = timedelta(minutes=1)
    while True:
        since = max(after, until - span)
        instants = occurrences(expression, zone=zone, after=since, seed=seed)
        found = list(takewhile(lambda instant: instant <= until, instants))
        if len(found) >= limit or since == after:
            return found[-limit:]
        span *= 2


def depends_on_seed(expression: str) -> bool:
    """Tell whether the expression has a hashed field, which fires at another time with another seed."""
    return _has(_HASHED, expression)


def _fixed_occurrences(pattern: _Pattern, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    last = after
    for wall in pattern.after(after.astimezone(zone).replace(tzinfo=None)):
        instant = _instant(wall, zone)
        if instant > last:
            last = instant
            yield instant


def _wall_clock_occurrences(pattern: _Pattern, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """Iterate from one offset change to the next; between two, wall-clock time and UTC differ by a constant."""
    since = after
    while since < _MAX_INSTANT:
        offset = _offset(since, zone)
        change: datetime | None = None
        checked_until = since
        for wall in pattern.after((since + offset).replace(tzinfo=None)):
            instant = wall.replace(tzinfo=UTC) - offset
            change = _next_transition(checked_until, instant, zone)
            if change is not None:
                break
            checked_until = instant
            yield instant
        if change is None:
            return
        since = change - timedelta(microseconds=1)
        # Times after the change use the offset that is valid then.
        first = change.astimezone(zone).replace(tzinfo=None)
        if next(pattern.after(first - timedelta(microseconds=1)), None) == first:
            yield change
        since = change


def _matches(template: croniter, wall: datetime) -> Iterator[datetime]:
    matcher = copy(template)  # a tenth of the cost of parsing
    matcher.set_current(wall, force=True)
    while True:
        try:
            wall = matcher.get_next(datetime)
        except (ValueError, OverflowError):
            return
        if wall.year >= _MAX_INSTANT.year:
            return
        yield wall


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first time at which the clock in ``zone`` shows ``wall``, or jumps over it."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    return _transition_within(wall.replace(tzinfo=zone, fold=1).astimezone(UTC), instant, zone)


def _next_transition(since: datetime, until: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the first time in ``(since, until]`` at which the offset of ``zone`` changes, or None."""
    offset = _offset(since, zone)
    while since < until:
        end = min(since + _MIN_TRANSITION_GAP, until)
        if _offset(end, zone) != offset:
            return _transition_within(since, end, zone)
        since = end
    return None


def _transition_within(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the single offset change in ``(before, after]``, to the second."""
    offset = _offset(before, zone)
    while after - before > timedelta(seconds=1):
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle <= before:
            break
        if _offset(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def _offset(instant: datetime, zone: tzinfo) -> timedelta:
    there = instant.astimezone(zone)
    return there.replace(tzinfo=UTC) - instant


@lru_cache(maxsize=4096)
def _parse(expression: str, seed: str) -> _Pattern:
    if not 0 < len(expression) <= MAX_EXPRESSION_LENGTH:
        raise CronError(f"expected a cron expression of up to {MAX_EXPRESSION_LENGTH} characters")
    expanded = ALIASES.get(expression.strip().lower(), expression)
    fields = expanded.split()
    if len(fields) not in {5, 6}:
        raise CronError(
            "expected five fields (minute, hour, day of month, month, day of week), a sixth for seconds, or one of"
            f" {', '.join(ALIASES)}; got {_truncate(expression)}"
        )
    if _has(_RANDOM, expanded):
        raise CronError(
            f"expected fields that are the same on every server; R is random, use H, got {_truncate(expression)}"
        )
    hash_id = (seed or " ").encode() if _has(_HASHED, expanded) else None
    try:
        matchers = _matchers(fields, hash_id)
    except _UNREADABLE as error:
        reason = find_wrong_field(fields, is_valid=lambda other: _is_readable(other, hash_id)) or error
        raise CronError(f"expected a cron expression, got {_truncate(expression)}: {reason}") from None
    is_fixed = not (fields[0].startswith("*") or fields[1].startswith("*"))
    return _Pattern(matchers, is_fixed)


def _matchers(fields: list[str], hash_id: bytes | None) -> tuple[croniter, ...]:
    return tuple(
        croniter(
            " ".join(",".join(map(_as_one_value, field.split(","))) for field in alternative),
            datetime(2000, 1, 1),  # noqa: DTZ001 - wall-clock time
            hash_id=hash_id,
            implement_cron_bug=True,
        )
        for alternative in _alternatives(fields)
    )


def _is_readable(fields: list[str], hash_id: bytes | None) -> bool:
    try:
        _matchers(fields, hash_id)
    except _UNREADABLE:
        return False
    return True


def _alternatives(fields: list[str]) -> list[list[str]]:
    """Return expressions that together fire when the given one does.

    croniter requires both an nth weekday and a day of the month to match, and both a weekday and the one nearest
    to a day (``15W``), and it refuses an nth weekday beside a plain one.
    """
    minute, hour, day, month, weekday, *second = fields
    parts = weekday.split(",")
    nth = [part for part in parts if _NTH.match(part)]
    plain = [part for part in parts if part not in nth]
    either = not day.startswith(("*", "?")) and not weekday.startswith(("*", "?"))
    if either and (nth or "w" in day.lower()):
        return [
            [minute, hour, day, month, "*", *second],
            *_alternatives([minute, hour, "*", month, weekday, *second]),
        ]
    if nth and plain:
        return [[minute, hour, day, month, ",".join(some), *second] for some in (nth, plain)]
    return [fields]


def _as_one_value(part: str) -> str:
    """Return a range from a value to itself as that value: croniter reads ``5-5`` as every value."""
    first, dash, last = part.partition("/")[0].partition("-")
    return first if dash and _is_same(first.lower(), last.lower()) else part


def _is_same(first: str, last: str) -> bool:
    first, last = _NUMBERS.get(first, first), _NUMBERS.get(last, last)
    return first.lstrip("0") == last.lstrip("0")


def _has(kind: re.Pattern[str], expression: str) -> bool:
    return any(kind.match(part) for field in expression.split() for part in field.split(","))


def _truncate(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."
