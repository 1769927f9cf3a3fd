"""Describe a cron expression in plain English: "At 09:00 on Monday".

A reading aid for people; the next firings are the truth. An expression with ``H`` comes back as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from .cron import ALIASES

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_DAY_NUMBERS = {name[:3].lower(): number for number, name in enumerate(_DAYS[:7])}
_MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(_MONTHS) if name}
_SUNDAY = 7
"""The highest number of a weekday, which is also the lowest, 0."""
_RANGES: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _MONTH_NUMBERS), (0, _SUNDAY, _DAY_NUMBERS), (0, 59, {}),
)  # fmt: skip
_MAX_LISTED = 12
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"))


def describe_cron(cron: str, *, every: timedelta | None = None) -> str:
    """Return the meaning of a valid expression, or of a period; anything else unchanged."""
    if every is not None:
        return _capitalised(_period(every.total_seconds()))
    fields = ALIASES.get(cron.strip().lower(), cron).split()
    if len(fields) not in {5, 6} or any(re.search(r"\bh(\b|/)", field, re.IGNORECASE) for field in fields):
        return cron
    try:
        return _sentence([*fields, "0"][:6])
    except (ValueError, IndexError):
        return cron


def _sentence(fields: list[str]) -> str:
    minute, hour, day, month, weekday, second = (
        _simplify(field, lowest, highest, names)
        for field, (lowest, highest, names) in zip(fields, _RANGES, strict=True)
    )
    both = fields[2].startswith("*") or fields[4].startswith("*")
    if not both and "?" not in {day, weekday} and "*" in {day, weekday}:
        day = weekday = "*"  # either will do, and one is every day written as a range
    parts = [_time(second, minute, hour), _dates(day, weekday, both=both)]
    if not parts[1] and _has_moments(second, minute, hour):
        parts.append("every day")
    if month != "*":
        parts.append(f"in {_listed(month, _month)}")
    return _capitalised(" ".join(part for part in parts if part))


def _simplify(field: str, lowest: int, highest: int, names: dict[str, int]) -> str:
    """Return a field as ``*``, ``*/step``, ``first-last`` or numbers if one of them means the same.

    An even step and a single range stay; of the rest a few numbers are plainer than steps.
    """
    parts = [_values(part, lowest, highest, names) for part in field.split(",")]
    if None in parts:
        return field
    values = sorted({value % 7 if highest == _SUNDAY else value for part in parts for value in part or ()})
    if len(values) == highest - lowest + (highest != _SUNDAY):
        return "*"
    step = re.fullmatch(r"\*/(\d+)", field)
    is_even = step and highest in {23, 59} and (highest + 1) % int(step[1]) == 0 and len(values) > 1
    is_range = len(parts) == 1 and _is_range(field) and len(values) > 1
    if is_even or is_range or len(values) > _MAX_LISTED:
        return field
    return ",".join(map(str, values))


def _values(part: str, lowest: int, highest: int, names: dict[str, int]) -> list[int] | None:
    """Return the numbers that a part of a field stands for, None if it is not a plain one."""
    whole, slash, step = part.lower().partition("/")
    if whole == "*":
        first, last = lowest, highest - (highest == _SUNDAY)
    else:
        begin, dash, end = whole.partition("-")
        first = last = names.get(begin, int(begin) if begin.isdecimal() else -1)
        if dash:
            last = names.get(end, int(end) if end.isdecimal() else -1)
        elif slash:
            last = highest - (highest == _SUNDAY)
    if slash and (not step.isdecimal() or int(step) < 1):
        return None
    if not lowest <= first <= highest or not lowest <= last <= highest:
        return None
    if first > last:
        return None if slash else [*range(first, highest + (highest != _SUNDAY)), *range(lowest, last + 1)]
    return list(range(first, last + 1, int(step) if slash else 1))


def _period(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return _every(unit, seconds // size)
    return _every("second", seconds)


def _every(unit: str, number: float = 1) -> str:
    return f"every {unit}" if number == 1 else f"every {number:g} {unit}s"


def _time(second: str, minute: str, hour: str) -> str:
    if _is_times(second, minute, hour):
        seconds = "" if second == "0" else f":{int(second):02}"
        return f"at {_joined([f'{int(each):02}:{int(minute):02}{seconds}' for each in hour.split(',')])}"
    parts = []
    if second != "0":
        parts.append(_every("second") if second == "*" else _moments(second, "second"))
    if minute == "*":
        parts.append(_every("minute") if second == "0" else "")
    elif minute != "0" or second != "0" or hour != "*":
        parts.append("on the hour" if minute == second == "0" else _moments(minute, "minute"))
    if hour == "*":
        parts.append(_every("hour") if minute == second == "0" else "")
        parts.append("of every hour" if _is_of_every_hour(second, minute) else "")
    else:
        parts.append(_hours(hour))
    return " ".join(part for part in parts if part)


def _hours(hour: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", hour):
        return f"of every {_ordinal(int(step[1]))} hour"
    if _is_range(hour):
        first, last = hour.split("-")
        return f"from {int(first):02}:00 to {int(last):02}:59"
    return f"of hour {_listed(hour)}"


def _moments(field: str, unit: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", field):
        return _every(unit, int(step[1]))
    return f"at {unit} {_listed(field)}"


def _has_moments(second: str, minute: str, hour: str) -> bool:
    """Tell whether the time is "at" moments without a rhythm, so that the days are to be named."""
    if _is_times(second, minute, hour):
        return True
    first = second if second != "0" else minute
    if first in {"*", "0"} or first.startswith("*/"):
        return False
    return not (hour.startswith("*/") or (hour == "*" and _is_of_every_hour(second, minute)))


def _is_times(second: str, minute: str, hour: str) -> bool:
    is_plain = all(each.isdecimal() for field in (second, minute, hour) for each in field.split(","))
    return is_plain and "," not in minute + second


def _is_of_every_hour(second: str, minute: str) -> bool:
    return not minute.startswith("*") and not minute == second == "0"


def _dates(day: str, weekday: str, *, both: bool) -> str:
    days = _month_days(day)
    if weekday in {"*", "?"}:
        return days
    weekdays = _listed(weekday, _weekday)
    if not days:
        return f"on {weekdays}"
    return f"{days}, if it is on {weekdays}" if both else f"{days}, and on {weekdays}"


def _month_days(day: str) -> str:
    if day in {"?", "*"}:
        return ""
    if day.lower() == "l":
        return "on the last day of the month"
    if step := re.fullmatch(r"\*/(\d+)", day):
        return f"on every {_ordinal(int(step[1]))} day of the month, from the first on"
    if nearest := re.fullmatch(r"w(\d+)|(\d+)w", day, re.IGNORECASE):
        return f"on the weekday nearest to day {int(nearest[1] or nearest[2])} of the month"
    parts = day.lower().split(",")
    numbers = ",".join(part for part in parts if part != "l")
    name = f"{'days' if re.search('[,-]', numbers) else 'day'} {_listed(numbers)}"
    return f"on {name} and the last day of the month" if "l" in parts else f"on {name} of the month"


def _number(value: str) -> str:
    return str(int(value)) if value.isdecimal() else value


def _month(value: str) -> str:
    return _MONTHS[int(value) if value.isdecimal() else _MONTH_NUMBERS.get(value.lower(), 99)]


def _weekday(value: str) -> str:
    if nth := re.fullmatch(r"(\w+)#([1-5])", value):
        return f"the {_NTH[int(nth[2])]} {_weekday(nth[1])} of the month"
    if last := re.fullmatch(r"l(\w+)", value, re.IGNORECASE):
        return f"the last {_weekday(last[1])} of the month"
    return _DAYS[int(value) if value.isdecimal() else _DAY_NUMBERS.get(value.lower(), 99)]


def _listed(field: str, name: Callable[[str], str] = _number) -> str:
    return _joined([_part(part, name) for part in field.split(",")])


def _part(part: str, name: Callable[[str], str]) -> str:
    whole, _, step = part.partition("/")
    if _is_range(whole):
        first, last = whole.split("-")
        text = f"{name(first)} to {name(last)}"
    elif whole == "*":
        text = "all"
    else:
        text = f"{name(whole)} on" if step else name(whole)
    return f"{text} in steps of {step}" if step else text


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _ordinal(number: int) -> str:
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(0 if number % 100 in {11, 12, 13} else number % 10, 'th') }"


def _is_range(field: str) -> bool:
    return re.fullmatch(r"\w+-\w+", field) is not None


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]
