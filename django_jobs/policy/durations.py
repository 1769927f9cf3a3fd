"""Durations, read alike for every option and setting: a timedelta or seconds, within bounds."""

from __future__ import annotations

from datetime import timedelta
from math import inf

Duration = timedelta | float
"""A timedelta or seconds, as an option takes it. Classes of options keep it as a timedelta."""

ZERO = timedelta(0)
MAX_DURATION = timedelta(days=3650)
"""Ten years, well within what every database can add to a timestamp."""


def read_duration(
    option: str, value: object, *, minimum: timedelta = timedelta.resolution, maximum: timedelta = MAX_DURATION
) -> timedelta:
    """Return ``value`` as a timedelta from ``minimum`` to ``maximum``. Raises ValueError naming ``option``."""
    duration = _converted(value)
    if duration is None or not minimum <= duration <= maximum:
        bound = "above zero" if minimum > ZERO else "zero or more"
        raise ValueError(
            f"{option}: expected a timedelta or seconds, {bound}, at most {maximum.days} days; got {value!r}"
        )
    return duration


def read_wait(option: str, value: object) -> timedelta:
    """Return the wait that a job asks for while it runs: a longer one than ``MAX_DURATION`` is reduced to it.

    Raises ValueError naming ``option``.
    """
    if isinstance(value, (int, float)) and MAX_DURATION.total_seconds() < value < inf:
        return MAX_DURATION
    wait = _converted(value)
    if wait is None or wait < ZERO:
        raise ValueError(f"{option}: expected a timedelta or seconds, zero or more; got {value!r}")
    return min(wait, MAX_DURATION)


def keep_durations(
    options: object, *names: str, minimum: timedelta = timedelta.resolution, maximum: timedelta = MAX_DURATION
) -> None:
    """Replace these fields of a frozen dataclass by the timedeltas that they mean. Raises ValueError naming one."""
    for name in names:
        object.__setattr__(options, name, read_duration(name, getattr(options, name), minimum=minimum, maximum=maximum))


def as_timedelta(duration: Duration) -> timedelta:
    """Return a duration that has been read as a timedelta."""
    return duration if isinstance(duration, timedelta) else timedelta(seconds=duration)


def seconds_of(duration: Duration) -> float:
    """Return a duration that has been read in seconds."""
    return as_timedelta(duration).total_seconds()


def _converted(value: object) -> timedelta | None:
    """Return a timedelta of the class itself, whatever the subclass; None for what is none, or beyond all bounds."""
    if type(value) is timedelta:
        return value
    if isinstance(value, timedelta):
        return timedelta(value.days, value.seconds, value.microseconds)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return timedelta(seconds=value)
        except (OverflowError, ValueError):
            return None
    return None
