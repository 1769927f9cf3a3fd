"""``crontab`` and the other schedules of ``beat_schedule``, as schedules of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

from ...exceptions import ConfigurationError
from ...options import ScheduleOptions
from ...schedules import define_schedule
from .arguments import as_arguments
from .conf import Conf
from .exceptions import NotRegistered, UnsupportedError
from .job import CeleryJob

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKS = {1: range(1, 8), 2: range(8, 15), 3: range(15, 22), 4: range(22, 29)}
"""The days of the month on which a weekday is the first, second ... of its month."""
_ENTRY = {"task", "schedule", "args", "kwargs", "options", "relative"}
_ENTRY_OPTIONS = {"queue", "priority", "expires"}

Field = int | str | Iterable[int]


class schedule:  # noqa: N801 - Celery's name
    """An interval: a timedelta or seconds."""

    def __init__(
        self, run_every: timedelta | float, relative: bool = False, nowfun: Any = None, app: Any = None
    ) -> None:
        if nowfun is not None:
            raise UnsupportedError("schedule(nowfun=...) is not supported: times are those of the database's clock")
        self.run_every = run_every if isinstance(run_every, timedelta) else timedelta(seconds=run_every)

    def when(self, conf: Conf) -> ScheduleOptions:
        """Return the options of the schedule of a job."""
        return {"every": self.run_every}


class crontab:  # noqa: N801 - Celery's name
    """Fields of cron: numbers, texts such as ``"*/15"``, or sets of numbers.

    Both day fields must match, as in Celery; cron itself takes a day that matches either.
    """

    def __init__(
        self,
        minute: Field = "*",
        hour: Field = "*",
        day_of_week: Field = "*",
        day_of_month: Field = "*",
        month_of_year: Field = "*",
        **more: Any,
    ) -> None:
        if more.get("nowfun") is not None:
            raise UnsupportedError("crontab(nowfun=...) is not supported: times are those of the database's clock")
        self.minute, self.hour = _text(minute), _text(hour)
        self.day_of_month, self.month_of_year = _text(day_of_month), _text(month_of_year, _MONTHS)
        self.day_of_week = _text(day_of_week, _DAYS)

    @classmethod
    def from_string(cls, text: str) -> crontab:
        """Return the schedule of an expression of cron."""
        minute, hour, day_of_month, month_of_year, day_of_week = text.split()
        return cls(minute, hour, day_of_week, day_of_month, month_of_year)

    @property
    def expression(self) -> str:
        """The expression of cron that fires at the same times. Raises UnsupportedError if there is none."""
        day, weekday = self.day_of_month, self.day_of_week
        if not day.startswith("*") and not weekday.startswith("*"):
            day, weekday = "*", _weekdays_of_month(day, weekday)
        return f"{self.minute} {self.hour} {day} {self.month_of_year} {weekday}"

    def when(self, conf: Conf) -> ScheduleOptions:
        """Return the options of the schedule of a job."""
        return {"cron": self.expression, "timezone": str(conf.zone)}

    def __repr__(self) -> str:
        fields = (self.minute, self.hour, self.day_of_month, self.month_of_year, self.day_of_week)
        return f"<crontab: {' '.join(fields)} (m/h/dM/MY/d)>"


def __getattr__(name: str) -> NoReturn:
    """Say what there is in place of other schedules."""
    if name in {"solar", "rrule", "clocked"}:
        raise ImportError(
            f"celery.schedules.{name} is not supported here; write a job that enqueues the next one itself"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def define_entry(app: Any, name: str, entry: Mapping[str, Any]) -> None:
    """Define the schedule of an entry of ``beat_schedule``. Raises ConfigurationError naming it."""
    label = f"beat_schedule[{name!r}]"
    unknown = sorted(set(entry) - _ENTRY)
    if unknown:
        raise ConfigurationError(f"{label}: unknown key {unknown[0]!r}; known are {', '.join(sorted(_ENTRY))}")
    try:
        task = app.tasks[entry["task"]]
    except KeyError as error:
        reason = str(error) if isinstance(error, NotRegistered) else "it has no task"
        raise ConfigurationError(f"{label}: expected a task that is registered: {reason}") from None
    arguments = task.job.signature.bind(*as_arguments(label, entry.get("args"), entry.get("kwargs")))
    define_schedule(
        name,
        _with_options(label, task.job, entry.get("options") or {}),
        arguments=arguments,
        options=as_schedule(label, entry.get("schedule")).when(app.conf),
        origin=f"app {app.main!r}",
    )


def as_schedule(label: str, given: Any) -> schedule | crontab:
    """Return what an entry has as its schedule. Raises ConfigurationError."""
    if isinstance(given, (schedule, crontab)):
        return given
    if isinstance(given, timedelta) or (isinstance(given, (int, float)) and not isinstance(given, bool)):
        return schedule(given)
    raise ConfigurationError(f"{label}: schedule: expected a crontab, a timedelta or seconds, got {given!r}")


def _with_options(label: str, job: CeleryJob, given: Mapping[str, Any]) -> CeleryJob:
    """Return the job with the options of an entry, for its schedule alone."""
    unknown = sorted(set(given) - _ENTRY_OPTIONS)
    if unknown:
        raise UnsupportedError(
            f"{label}: options[{unknown[0]!r}] is not supported; {', '.join(sorted(_ENTRY_OPTIONS))} are"
        )
    changes: dict[str, Any] = {}
    if given.get("queue") is not None:
        changes["queue_name"] = given["queue"]
    if given.get("priority") is not None:
        changes["priority"] = given["priority"]
    if given.get("expires") is not None:
        expires = given["expires"]
        changes["expires"] = expires if isinstance(expires, timedelta) else timedelta(seconds=expires)
    if not changes:
        return job
    return job._changed(options=replace(job.options, **changes))  # noqa: SLF001 - a variant for its schedule


def _text(given: Field, names: tuple[str, ...] = ()) -> str:
    """Return a field of cron: names of days and months as three letters."""
    if isinstance(given, str):
        parts = [part.strip().lower() for part in given.split(",")]
        return ",".join("-".join(_short(word, names) for word in part.split("-")) for part in parts)
    if isinstance(given, int):
        return str(given)
    return ",".join(str(_number(one, names)) for one in sorted(given, key=lambda one: (isinstance(one, str), one)))


def _number(one: Any, names: tuple[str, ...]) -> str:
    return _text(one, names) if isinstance(one, str) else str(int(one))


def _short(word: str, names: tuple[str, ...]) -> str:
    return word[:3] if word[:3] in names else word


def _weekdays_of_month(day: str, weekday: str) -> str:
    """Return weekdays by their number in the month, such as ``1#1``, for days of whole weeks: ``1-7`` and Monday."""
    days = _numbers(day)
    weeks = [number for number, span in _WEEKS.items() if days >= set(span)]
    weekdays = sorted(_numbers(weekday, _DAYS))
    if days != {one for number in weeks for one in _WEEKS[number]} or not weekdays:
        raise UnsupportedError(
            f"crontab(day_of_month={day!r}, day_of_week={weekday!r}): expected one of them, or days of whole weeks such"
            " as '1-7': cron fires on a day that either matches; leave one out and return early in the task"
        )
    return ",".join(f"{one}#{number}" for number in weeks for one in weekdays)


def _numbers(field: str, names: tuple[str, ...] = ()) -> set[int]:
    """Return the numbers that a field without steps lists; none if it has other words."""
    found: set[int] = set()
    for part in field.split(","):
        words = [str(names.index(word)) if word in names else word for word in part.split("-")]
        if not all(word.isdigit() for word in words) or len(words) > 2:
            return set()
        found.update(range(int(words[0]), int(words[-1]) + 1))
    return found
