"""Waits before the next attempt.

A backoff is one of the classes below, a list of waits, or a callable ``(exception, context) ->
timedelta | seconds | None`` (None: dead now), the signature proposed for Django's own Tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .durations import MAX_DURATION, ZERO, Duration, keep_durations, read_duration, read_wait, seconds_of
from .hints import explains_options

if TYPE_CHECKING:
    from random import Random

Wait = Duration | None


@explains_options
@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Wait ``first * factor ** (attempt - 1)``, at most ``maximum``, spread by +- ``jitter`` (a fraction).

    The default waits 5 s, 25 s, 125 s, 625 s ..., each 10 % more or less.
    """

    first: Duration = timedelta(seconds=5)
    factor: float = 5
    maximum: Duration = timedelta(hours=6)
    jitter: float = 0.1

    def __post_init__(self) -> None:
        keep_durations(self, "first", "maximum")
        _require(_is_at_least(self.factor, 1), "factor", "a number of at least 1", self.factor)
        _require_maximum(self.first, self.maximum)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt number ``attempt`` (from 1) failed."""
        try:
            seconds = seconds_of(self.first) * self.factor ** (attempt - 1)
        except OverflowError:
            seconds = float("inf")
        return _with_jitter(min(seconds, seconds_of(self.maximum)), self.jitter, random)


@explains_options
@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Wait ``first + step * (attempt - 1)``, at most ``maximum``, spread by +- ``jitter``."""

    first: Duration = timedelta(seconds=5)
    step: Duration = timedelta(seconds=5)
    maximum: Duration = timedelta(hours=6)
    jitter: float = 0.1

    def __post_init__(self) -> None:
        keep_durations(self, "first", "step", "maximum", minimum=ZERO)
        _require_maximum(self.first, self.maximum)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt number ``attempt`` (from 1) failed."""
        seconds = seconds_of(self.first) + seconds_of(self.step) * (attempt - 1)
        return _with_jitter(min(seconds, seconds_of(self.maximum)), self.jitter, random)


@explains_options
@dataclass(frozen=True, slots=True)
class Constant:
    """Wait the same time before every attempt, spread by +- ``jitter``."""

    delay: Duration
    jitter: float = 0.0

    def __post_init__(self) -> None:
        keep_durations(self, "delay", minimum=ZERO)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after any failed attempt."""
        return _with_jitter(seconds_of(self.delay), self.jitter, random)


@dataclass(frozen=True, slots=True)
class FixedWaits:
    """Wait the listed times one after another, then the last one again."""

    waits: tuple[timedelta, ...]

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt number ``attempt`` (from 1) failed."""
        return self.waits[min(attempt, len(self.waits)) - 1]


Schedule = Exponential | Linear | Constant | FixedWaits
BackoffCallable = Callable[[Exception, Any], Wait]
Backoff = Schedule | BackoffCallable
BackoffOption = Schedule | BackoffCallable | Duration | Sequence[Duration]


def as_backoff(option: BackoffOption, *, label: str = "backoff") -> Backoff:
    """Return the backoff of the option ``backoff=``. Raises ValueError naming ``label``."""
    if isinstance(option, Schedule):
        return option
    if isinstance(option, (list, tuple)):
        if not option:
            raise ValueError(f"{label}: expected at least one wait, got {option!r}")
        return FixedWaits(tuple(read_duration(label, item, minimum=ZERO) for item in option))
    if isinstance(option, (timedelta, int, float)) and not isinstance(option, bool):
        return Constant(read_duration(label, option, minimum=ZERO))
    if callable(option) and not isinstance(option, type):
        return option
    raise ValueError(
        f"{label}: expected Exponential, Linear, Constant, a timedelta or seconds, a list of them, or a callable"
        f" (exception, context); got {option!r}"
    )


def retry_delay(
    backoff: Backoff, *, exception: Exception, context: Any, attempt: int, random: Random
) -> timedelta | None:
    """Return the wait after ``exception`` ended attempt number ``attempt``; None: dead now.

    Raises what a user's callable raises, and ValueError if it returns anything else.
    """
    if isinstance(backoff, Schedule):
        return backoff.wait(attempt, random)
    answer = backoff(exception, context)
    return None if answer is None else read_wait("backoff", answer)


def _with_jitter(seconds: float, jitter: float, random: Random) -> timedelta:
    if jitter:
        seconds *= 1 + jitter * (2 * random.random() - 1)
    return min(timedelta(seconds=min(seconds, MAX_DURATION.total_seconds())), MAX_DURATION)


def _require(holds: bool, option: str, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{option}: expected {expected}, got {got!r}")


def _require_maximum(first: Duration, maximum: Duration) -> None:
    _require(seconds_of(maximum) >= seconds_of(first), "maximum", "no less than first", maximum)


def _require_jitter(jitter: float) -> None:
    _require(_is_at_least(jitter, 0) and jitter <= 1, "jitter", "a share from 0 to 1", jitter)


def _is_at_least(value: Any, least: float) -> bool:
    """Tell whether ``value`` is a number and not less than ``least``."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= least
