"""A cron expression in plain words: "At 09:00 on Monday". For people to see that they wrote what they meant."""

from __future__ import annotations

import gettext
import re
from collections.abc import Callable
from datetime import timedelta

from .cron import ALIASES
from .cron_phrases import SHORT_DAYS, SHORT_MONTHS, Phrases, Translations

ENGLISH = gettext.NullTranslations()
_SUNDAY = 7
"""The highest number of a weekday, which is also the lowest, 0."""
_RANGES: tuple[tuple[int, int, dict[str, int]], ...] = (
    (0, 59, {}), (0, 23, {}), (1, 31, {}), (1, 12, SHORT_MONTHS), (0, _SUNDAY, SHORT_DAYS), (0, 59, {}),
)  # fmt: skip
_MAX_LISTED = 12
_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def describe_cron(cron: str, *, every: timedelta | None = None, translations: Translations = ENGLISH) -> str:
    """Return what a valid expression, or a period, means. Anything else comes back as it is."""
    say = Phrases(translations)
    if every is not None:
        return _capitalised(_period(say, every))
    fields = ALIASES.get(cron.strip().lower(), cron).split()
    if len(fields) not in {5, 6}:
        return cron
    try:
        return _sentence(say, [*fields, "0"][:6])
    except ValueError:
        return cron


def _sentence(say: Phrases, fields: list[str]) -> str:
    minute, hour, day, month, weekday, second = (
        _simplify(field, lowest, highest, names)
        for field, (lowest, highest, names) in zip(fields, _RANGES, strict=True)
    )
    both = fields[2].startswith("*") or fields[4].startswith("*")
    if not both and "?" not in {day, weekday} and "*" in {day, weekday}:
        day = weekday = "*"  # either will do, and one is every day written as a range
    is_daily = day in {"?", "*"} and weekday in {"?", "*"}
    parts = [_time(say, second, minute, hour), _dates(say, day, weekday, both=both)]
    if is_daily and _has_moments(second, minute, hour):
        parts.append(say.every("day"))
    if month != "*":
        parts.append(say.gettext("in %(months)s", months=_listed(say, month, say.month, "month")))
    return _capitalised(" ".join(part for part in parts if part))


def _simplify(field: str, lowest: int, highest: int, names: dict[str, int]) -> str:
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
    if is_even or is_range or len(values) > _MAX_LISTED:
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


def _period(say: Phrases, every: timedelta) -> str:
    seconds = every.total_seconds()
    for size, unit in _UNITS:
        if seconds >= size and seconds % size == 0:
            return say.every(unit, seconds // size)
    return say.every("second", seconds)


def _time(say: Phrases, second: str, minute: str, hour: str) -> str:
    if _is_times(second, minute, hour):
        seconds = "" if second == "0" else f":{int(second):02}"
        times = [f"{int(one):02}:{int(minute):02}{seconds}" for one in hour.split(",")]
        return say.gettext("at %(times)s", times=say.joined(times))
    parts = []
    if second == "*":
        parts.append(say.every("second"))
    elif second != "0":
        parts.append(_every(say, second, "second"))
    if minute == "*":
        parts.append(say.every("minute") if second == "0" else "")
    elif minute != "0" or second != "0" or hour != "*":
        on_the_hour = minute == second == "0"
        parts.append(say.gettext("on the hour") if on_the_hour else _every(say, minute, "minute"))
    if hour == "*":
        parts.append(say.every("hour") if minute == second == "0" else "")
        if _is_of_every_hour(second, minute):
            parts.append(say.gettext("of every hour"))
    else:
        parts.append(_of_hours(say, hour))
    return " ".join(part for part in parts if part)


def _of_hours(say: Phrases, hour: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", hour):
        if step[1] == "1":
            return say.gettext("of every hour")
        return say.gettext("of every %(ordinal)s hour", ordinal=say.ordinal(int(step[1])))
    if _is_range(hour):
        first, last = hour.split("-")
        return say.gettext(
            "from %(first)s to %(last)s", first=f"{int(first):02}:00", last=f"{int(last):02}:59"
        )
    listed = _listed(say, hour, _plain, "hour")
    if _is_hashed(hour):
        return say.gettext("of %(hours)s", hours=listed)
    return say.gettext("of hour %(hours)s", hours=listed)


def _every(say: Phrases, field: str, unit: str) -> str:
    if step := re.fullmatch(r"\*/(\d+)", field):
        return say.every(unit, int(step[1]))
    listed = _listed(say, field, _plain, unit)
    if _is_hashed(field):
        return say.gettext("at %(moment)s", moment=listed)
    if unit == "second":
        return say.gettext("at second %(seconds)s", seconds=listed)
    return say.gettext("at minute %(minutes)s", minutes=listed)


def _has_moments(second: str, minute: str, hour: str) -> bool:
    """Tell whether the time begins with "at" and names no rhythm, so that it wants to hear of which days."""
    if _is_times(second, minute, hour):
        return True
    first = second if second != "0" else minute
    if first in {"*", "0"} or first.startswith("*/"):
        return False
    of_every = hour.startswith("*/") or (hour == "*" and _is_of_every_hour(second, minute))
    return not of_every


def _is_times(second: str, minute: str, hour: str) -> bool:
    return all(_is_numbers(field) for field in (second, minute, hour)) and "," not in minute + second


def _is_of_every_hour(second: str, minute: str) -> bool:
    return not minute.startswith("*") and not minute == second == "0"


def _dates(say: Phrases, day: str, weekday: str, *, both: bool) -> str:
    days = _month_days(say, day)
    if weekday in {"*", "?"}:
        return days

    def named(value: str) -> str:
        return _weekday(say, value)

    weekdays = _listed(say, weekday, named, "weekday")
    if days and both:
        return say.gettext("%(days)s, if it is on %(weekdays)s", days=days, weekdays=weekdays)
    if days:
        return say.gettext("%(days)s, and on %(weekdays)s", days=days, weekdays=weekdays)
    return say.gettext("on %(weekdays)s", weekdays=weekdays)


def _month_days(say: Phrases, day: str) -> str:
    if day in {"?", "*"}:
        return ""
    if day.lower() == "l":
        return say.gettext("on the last day of the month")
    if step := re.fullmatch(r"\*/(\d+)", day):
        return say.gettext(
            "on every %(ordinal)s day of the month, from the first on", ordinal=say.ordinal(int(step[1]))
        )
    if nearest := re.fullmatch(r"w?(\d+)w?", day, re.IGNORECASE):
        number = int(nearest[1])
        if "w" in day.lower():
            return say.gettext("on the weekday nearest to day %(day)s of the month", day=number)
        return say.gettext("on day %(days)s of the month", days=number)
    if _is_hashed(day):
        return say.gettext("on %(days)s of the month", days=_listed(say, day, _plain, "day"))
    parts = day.lower().split(",")
    numbers = ",".join(part for part in parts if part != "l")
    listed = _listed(say, numbers, _plain, "day")
    match bool(re.search("[,-]", numbers)), "l" in parts:
        case True, True:
            return say.gettext("on days %(days)s and the last day of the month", days=listed)
        case True, False:
            return say.gettext("on days %(days)s of the month", days=listed)
        case False, True:
            return say.gettext("on day %(days)s and the last day of the month", days=listed)
        case _:
            return say.gettext("on day %(days)s of the month", days=listed)


def _listed(say: Phrases, field: str, name: Callable[[str], str], unit: str) -> str:
    return say.joined([_part(say, part, name, unit) for part in field.split(",")])


def _part(say: Phrases, part: str, name: Callable[[str], str], unit: str) -> str:
    whole, _, step = part.partition("/")
    if _is_hashed(whole):
        inside = re.search(r"\((.*)\)", whole)
        own = say.of_its_own(unit)
        if inside:
            own = say.gettext("%(part)s within %(range)s", part=own, range=inside[1])
        return say.gettext("%(part)s and every %(step)s from there", part=own, step=step) if step else own
    if _is_range(whole):
        first, last = whole.split("-")
        text = say.gettext("%(first)s to %(last)s", first=name(first), last=name(last))
    elif whole == "*":
        text = say.every(unit)
    else:
        text = name(whole)
        if step:
            text = say.gettext("%(part)s on", part=text)
    return say.gettext("%(part)s in steps of %(step)s", part=text, step=step) if step else text


def _plain(value: str) -> str:
    return str(int(value)) if value.isdecimal() else value


def _weekday(say: Phrases, value: str) -> str:
    if nth := re.fullmatch(r"(\w+)#(\d)", value):
        return say.nth_weekday(int(nth[2]), _weekday(say, nth[1]))
    if last := re.fullmatch(r"l(\w+)", value, re.IGNORECASE):
        return say.gettext("the last %(weekday)s of the month", weekday=_weekday(say, last[1]))
    return say.weekday(value)


def _is_hashed(field: str) -> bool:
    return re.match(r"h(\(|/|$)", field, re.IGNORECASE) is not None


def _is_numbers(field: str) -> bool:
    return all(part.isdecimal() for part in field.split(","))


def _is_range(field: str) -> bool:
    return re.fullmatch(r"\w+-\w+", field) is not None


def _capitalised(text: str) -> str:
    return text[0].upper() + text[1:]
