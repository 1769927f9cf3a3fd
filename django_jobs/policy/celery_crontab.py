"""Turn a crontab of Celery into a cron expression that fires at the same times, or say why there is none.

Celery fires when the day of the month *and* the day of the week match, cron when one of them does: with both restricted
there is no such expression. Ranges that wrap (``fri-mon``, ``22-2``) and names of days are written as numbers.
"""

from __future__ import annotations

import re

from .cron import CronError

_DAYS = {"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
_FIELDS: dict[str, tuple[int, int, dict[str, int]]] = {
    "minute": (0, 59, {}),
    "hour": (0, 23, {}),
    "day_of_month": (1, 31, {}),
    "month_of_year": (1, 12, {}),
    "day_of_week": (0, 6, _DAYS),
}
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d+))?")
_PLAIN = re.compile(r"[0-9*,/]+")


def to_cron(*, minute: str, hour: str, day_of_month: str, month_of_year: str, day_of_week: str) -> str:
    """Return the five fields of cron. Raises CronError for a crontab that cron cannot say, or that is wrong."""
    day, weekday = _field("day_of_month", day_of_month), _field("day_of_week", day_of_week)
    if "*" not in (day, weekday):
        raise CronError(
            f"day_of_month {day_of_month!r} and day_of_week {day_of_week!r} must both match in Celery, and one of them"
            " in cron; schedule one of the two, and check the other in the job"
        )
    fields = (_field("minute", minute), _field("hour", hour), day, _field("month_of_year", month_of_year), weekday)
    return " ".join(fields)


def _field(name: str, given: str) -> str:
    low, high, _ = _FIELDS[name]
    text = given.replace(" ", "").lower() or "*"
    values = sorted({value for part in text.split(",") for value in _values(name, part)})
    if values == list(range(low, high + 1)):
        return "*"
    return text if _PLAIN.fullmatch(text) else _ranges(values)


def _ranges(values: list[int]) -> str:
    """Return ascending numbers, consecutive ones as ranges: an expression has a maximum length."""
    runs: list[list[int]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _values(name: str, part: str) -> list[int]:
    low, high, _ = _FIELDS[name]
    found = _PART.fullmatch(part)
    if found is None:
        raise CronError(f"{name}: expected numbers, ranges and steps such as '*/15' or '1-5', got {part!r}")
    if found["first"] is None:
        values = list(range(low, high + 1))
    elif found["last"] is None:
        values = [_number(name, found["first"])]
    else:
        first, last = _number(name, found["first"]), _number(name, found["last"])
        values = list(range(first, last + 1)) if first <= last else [*range(first, high + 1), *range(low, last + 1)]
    step = int(found["step"] or 1)
    if step < 1:
        raise CronError(f"{name}: expected a step of 1 or more, got {part!r}")
    return values[::step]


def _number(name: str, text: str) -> int:
    low, high, names = _FIELDS[name]
    number = names.get(text[:3], -1) if not text.isdecimal() else int(text)
    if name == "day_of_week" and number == high + 1:
        number = low  # Sunday is 0 or 7
    if not low <= number <= high:
        raise CronError(f"{name}: expected {low} to {high}, got {text!r}")
    return number
