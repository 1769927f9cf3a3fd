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
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def in_words(cron: str, *, every: timedelta | None = None) -> str:
    """Return what a valid expression, or a period, means. Anything else comes back as it is."""
    if every is not None:
        return f"Every {_period(every)}"
    fields = ALIASES.get(cron.strip().lower(), cron).split()
    if len(fields) not in {5, 6}:
        return cron
    minute, hour, day, month, weekday = fields[:5]
    second = fields[5] if len(fields) == 6 else "0"
    parts = [_time(second, minute, hour), _dates(day, weekday)]
    if month != "*":
        parts.append("in " + _listed(month, _month, "month"))
    elif parts[0].startswith("at ") and not parts[1] and "of every" not in parts[0]:
        parts.append("every day")
    text = " ".join(part for part in parts if part)
    return text[0].upper() + text[1:]


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
        parts.append(_every(minute, "minute") if minute != "0" else "on the hour")
    if hour == "*":
        parts.append("every hour" if minute == second == "0" else "")
        if minute not in {"*", "0"} and not minute.startswith("*"):
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


def _dates(day: str, weekday: str) -> str:
    days = "" if day == "*" else _month_days(day)
    weekdays = "" if weekday in {"*", "?"} else "on " + _listed(weekday, _weekday, "weekday")
    if days and weekdays:
        both = day.startswith("*") or weekday.startswith("*")
        return f"{days}, {'if it is' if both else 'and'} {weekdays}"
    return days or weekdays or ""


def _month_days(day: str) -> str:
    if day in {"?", "*"}:
        return ""
    if day.lower() == "l":
        return "on the last day of the month"
    if step := re.fullmatch(r"\*/(\d+)", day):
        return f"on every {_ordinal(int(step[1]))} day of the month"
    return f"on {'days' if re.search('[,-]', day) else 'day'} {_listed(day, _plain, 'day')} of the month"


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
