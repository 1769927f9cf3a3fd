"""A cron expression in plain words: "At 09:00 on Monday". For people to see that they wrote what they meant."""

from __future__ import annotations

import re
from datetime import timedelta

from .cron import ALIASES

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_SHORT_DAYS = {name[:3].lower(): number for number, name in enumerate(_DAYS[:7])}
_SHORT_MONTHS = {name[:3].lower(): number for number, name in enumerate(_MONTHS) if name}
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}
_SUNDAY = 7
"""The highest number of a weekday, which is also the lowest, 0."""
_RANGES: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, _SHORT_MONTHS), (0, _SUNDAY, _SHORT_DAYS), (0, 59, {}),
)  # fmt: skip
_MOST_LISTED = 12
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(cron: str, *, every: timedelta | None = None) -> str:
    """Return what a valid expression, or a period, means. Anything else comes back as it is."""
    if every is not None:
        return f"Every {_period(every)}"
    fields = ALIASES.get(cron.strip().lower(), cron).split()
    if len(fields) not in {5, 6}:
        return cron
    try:
        return _sentence([*fields, "0"][:6])
    except ValueError:
        return cron


def _sentence(fields: list[str]) -> str:
    minute, hour, day, month, weekday, second = (
        _plainer(field, lowest, highest, names)
        for field, (lowest, highest, names) in zip(fields, _RANGES, strict=True)
    )
    both = fields[2].startswith("*") or fields[4].startswith("*")
    if not both and "?" not in {day, weekday} and "*" in {day, weekday}:
        day = weekday = "*"  # either will do, and one is every day written as a range
    parts = [_time(second, minute, hour), _dates(day, weekday, both=both)]
    if parts[0].startswith("at ") and not parts[1] and "of every" not in parts[0]:
        parts.append("every day")
    if month != "*":
        parts.append("in " + _listed(month, _month, "month"))
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:]


def _plainer(field: str, lowest: int, highest: int, names: dict[str, int]) -> str:
    """Return a field as ``*``, ``*/step``, ``first-last`` or numbers where one of them says the same.

    What repeats evenly and what is one range stays so; of the rest a few numbers are plainer than steps.
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
    if is_even or is_range or len(values) > _MOST_LISTED:
        return field
    return ",".join(map(str, values))


def _values(part: str, lowest: int, highest: int, names: dict[str, int]) -> list[int] | None:
    """Return the numbers that a part of a field stands for, None where it is no plain one."""
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


def _period(every: timedelta) -> str:
    seconds = every.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return unit if number == 1 else f"{number} {unit}s"
    return f"{seconds:g} seconds"


def _time(second: str, minute: str, hour: str) -> str:
    if all(_is_numbers(field) for field in (second, minute, hour)) and "," not in minute + second:
        seconds = "" if second == "0" else f":{int(second):02}"
        times = [f"{int(one):02}:{int(minute):02}{seconds}" for one in hour.split(",")]
        return "at " + _joined(times)
    parts = []
    if second == "*":
        parts.append("every second")
    elif second != "0":
        parts.append(_every(second, "second"))
    if minute == "*":
        parts.append("every minute" if second == "0" else "")
    elif minute != "0" or second != "0" or hour != "*":
        on_the_hour = minute == second == "0"
        parts.append("on the hour" if on_the_hour else _every(minute, "minute"))
    if hour == "*":
        parts.append("every hour" if minute == second == "0" else "")
        if not minute.startswith("*") and not minute == second == "0":
            parts.append("of every hour")
    else:
        parts.append(_of_hours(hour))
    return " ".join(part for part in parts if part)


def _of_hours(hour: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", hour):
        return "of every hour" if step[1] == "1" else f"of every {_ordinal(int(step[1]))} hour"
    if _is_range(hour):
        first, last = hour.split("-")
        return f"from {int(first):02}:00 to {int(last):02}:59"
    return "of " + ("" if _is_hashed(hour) else "hour ") + _listed(hour, _plain, "hour")


def _every(field: str, unit: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", field):
        return f"every {unit}" if step[1] == "1" else f"every {step[1]} {unit}s"
    listed = _listed(field, _plain, unit)
    return f"at {listed}" if _is_hashed(field) else f"at {unit} {listed}"


def _dates(day: str, weekday: str, *, both: bool) -> str:
    days = _month_days(day)
    weekdays = "" if weekday in {"*", "?"} else "on " + _listed(weekday, _weekday, "weekday")
    if days and weekdays:
        return f"{days}, {'if it is' if both else 'and'} {weekdays}"
    return days or weekdays or ""


def _month_days(day: str) -> str:
    if day in {"?", "*"}:
        return ""
    if day.lower() == "l":
        return "on the last day of the month"
    if step := re.fullmatch(r"\*/(\d+)", day):
        return f"on every {_ordinal(int(step[1]))} day of the month, from the first on"
    if nearest := re.fullmatch(r"w?(\d+)w?", day, re.IGNORECASE):
        return (
            f"on {'the weekday nearest to ' if 'w' in day.lower() else ''}day {int(nearest[1])} of the month"
        )
    if _is_hashed(day):
        return f"on {_listed(day, _plain, 'day')} of the month"
    parts = day.lower().split(",")
    numbers = ",".join(part for part in parts if part != "l")
    listed = f"{'days' if re.search('[,-]', numbers) else 'day'} {_listed(numbers, _plain, 'day')}"
    return f"on {listed}{' and the last day' if 'l' in parts else ''} of the month"


def _listed(field: str, name: object, unit: str) -> str:
    return _joined([_part(part, name, unit) for part in field.split(",")])


def _part(part: str, name: object, unit: str) -> str:
    whole, _, step = part.partition("/")
    if _is_hashed(whole):
        inside = re.search(r"\((.*)\)", whole)
        of_its_own = f"{'an' if unit == 'hour' else 'a'} {unit} of its own" + (
            f" within {inside[1]}" if inside else ""
        )
        return f"{of_its_own} and every {step} from there" if step else of_its_own
    text = f"every {unit}" if whole == "*" else whole
    if _is_range(whole):
        first, last = whole.split("-")
        text = f"{name(first)} to {name(last)}"  # type: ignore[operator]  # one of the three below
    elif whole != "*":
        text = name(whole)  # type: ignore[operator]  # the same
        if step:
            text = f"{text} on"
    return f"{text} in steps of {step}" if step else text


def _plain(value: str) -> str:
    return str(int(value)) if value.isdecimal() else value


def _month(value: str) -> str:
    number = int(value) if value.isdecimal() else _SHORT_MONTHS.get(value.lower(), 0)
    return _MONTHS[number] if 1 <= number <= 12 else value


def _weekday(value: str) -> str:
    if nth := re.fullmatch(r"(\w+)#(\d)", value):
        return f"the {_ORDINALS.get(int(nth[2]), nth[2])} {_weekday(nth[1])} of the month"
    if last := re.fullmatch(r"l(\w+)", value, re.IGNORECASE):
        return f"the last {_weekday(last[1])} of the month"
    number = int(value) if value.isdecimal() else _SHORT_DAYS.get(value.lower(), 99)
    return _DAYS[number] if number <= 7 else value


def _is_hashed(field: str) -> bool:
    return re.match(r"h(\(|/|$)", field, re.IGNORECASE) is not None


def _is_numbers(field: str) -> bool:
    return all(part.isdecimal() for part in field.split(","))


def _is_range(field: str) -> bool:
    return re.fullmatch(r"\w+-\w+", field) is not None


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in {11, 12, 13} else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
