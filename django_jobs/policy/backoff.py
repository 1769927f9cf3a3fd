"""Waits before the next attempt.

A backoff is one of the classes below, a list of waits, or a callable ``(exception, context) ->
timedelta | seconds | None`` (None: dead now), the signature proposed for Django's own Tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from random import Random

Wait = timedelta | float | None
MAX_WAIT = timedelta(days=3650)
"""Longer waits are reduced to ten years, well within what every database can add to a timestamp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential:
    """Wait ``first * factor ** (attempt - 1)``, at most ``maximum``, spread by +- ``jitter`` (a fraction).

    The default waits 5 s, 25 s, 125 s, 625 s ..., each 10 % more or less.
    """

    first: timedelta = timedelta(seconds=5)
    factor: float = 5
    maximum: timedelta = timedelta(hours=6)
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _require(_is_at_least(self.first, timedelta.resolution), "first", "a positive timedelta", self.first)
        _require(_is_at_least(self.factor, 1), "factor", "a number of at least 1", self.factor)
        _require(_is_at_least(self.maximum, self.first), "maximum", "a timedelta not below first", self.maximum)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt number ``attempt`` (from 1) failed."""
        try:
            seconds = self.first.total_seconds() * self.factor ** (attempt - 1)
        except OverflowError:
            seconds = float("inf")
        return _with_jitter(min(seconds, self.maximum.total_seconds()), self.jitter, random)


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """Wait ``first + step * (attempt - 1)``, at most ``maximum``, spread by +- ``jitter``."""

    first: timedelta = timedelta(seconds=5)
    step: timedelta = timedelta(seconds=5)
    maximum: timedelta = timedelta(hours=6)
    jitter: float = 0.1

    def __post_init__(self) -> None:
        _require(_is_at_least(self.first, timedelta(0)), "first", "a timedelta not below zero", self.first)
        _require(_is_at_least(self.step, timedelta(0)), "step", "a timedelta not below zero", self.step)
        _require(_is_at_least(self.maximum, self.first), "maximum", "a timedelta not below first", self.maximum)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt number ``attempt`` (from 1) failed."""
        seconds = self.first.total_seconds() + self.step.total_seconds() * (attempt - 1)
        return _with_jitter(min(seconds, self.maximum.total_seconds()), self.jitter, random)


@dataclass(frozen=True, slots=True)
class Constant:
    """Wait the same time before every attempt, spread by +- ``jitter``."""

    delay: timedelta
    jitter: float = 0.0

    def __post_init__(self) -> None:
        _require(_is_at_least(self.delay, timedelta(0)), "delay", "a timedelta not below zero", self.delay)
        _require_jitter(self.jitter)

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after any failed attempt."""
        return _with_jitter(self.delay.total_seconds(), self.jitter, random)


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
BackoffOption = Schedule | BackoffCallable | Sequence[timedelta | float]


def as_backoff(option: BackoffOption) -> Backoff:
    """Return the backoff of the option ``backoff=``. Raises ValueError."""
    if isinstance(option, Schedule):
        return option
    if isinstance(option, (list, tuple)):
        waits = tuple(_as_wait(item) for item in option)
        _require(bool(waits), "backoff", "at least one wait", option)
        return FixedWaits(waits)
    if callable(option) and not isinstance(option, type):
        return option
    raise ValueError(
        "backoff: expected Exponential, Linear, Constant, a list of timedeltas or seconds, or a callable"
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
    return None if answer is None else _as_wait(answer)


def _as_wait(value: object) -> timedelta:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if not 0 <= value < float("inf"):
            raise ValueError(f"backoff: expected a wait of zero or more seconds, got {value!r}")
        return timedelta(seconds=min(value, MAX_WAIT.total_seconds()))
    if isinstance(value, timedelta):
        return min(max(value, timedelta(0)), MAX_WAIT)
    raise ValueError(f"backoff: expected a timedelta, seconds or None as wait, got {value!r}")


def _with_jitter(seconds: float, jitter: float, random: Random) -> timedelta:
    if jitter:
        seconds *= 1 + jitter * (2 * random.random() - 1)
    return min(timedelta(seconds=min(seconds, MAX_WAIT.total_seconds())), MAX_WAIT)


def _require(holds: bool, option: str, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"backoff: {option} must be {expected}, got {got!r}")


def _require_jitter(jitter: object) -> None:
    _require(_is_at_least(jitter, 0) and _is_at_least(1, jitter), "jitter", "a share from 0 to 1", jitter)


def _is_at_least(value: Any, least: Any) -> bool:
    """Tell whether ``value`` is a timedelta or number, as ``least`` is, and not less."""
    kind = timedelta if isinstance(least, timedelta) else (int, float)
    return isinstance(value, kind) and not isinstance(value, bool) and bool(value >= least)
