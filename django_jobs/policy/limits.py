"""Limits: how many jobs of one key may run at once or within a time window. No clock, no database.

::

    asleep --(the job is due)--> waiting --(the limit has room)--> held --(the run ends)--> deleted, asleep or cooling

A job has one permit of each of its limits and acquires them one after another, in the order of their kinds: it
waits at one limit at a time, and two jobs never hold what the other waits for. It is ready when it holds all of them.
A rate limit is a number of permits that each cool down for the whole window after use, so that no sliding window
has more uses than permits: a token bucket would admit up to twice as many.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from .durations import Duration, as_timedelta, keep_durations, seconds_of
from .hints import explains_options
from .states import State

KeyOption = str | Callable[..., object] | None
"""The name of an argument, or a function of all arguments by keyword; None: one limit for all jobs of the name."""

UNBOUNDED = 2**31 - 1
_UNIT_SECONDS = {
    "s": 1,
    "second": 1,
    "m": 60,
    "minute": 60,
    "h": 3600,
    "hour": 3600,
    "d": 86400,
    "day": 86400,
}
_RATE = re.compile(r"\s*(\d{1,9})\s*/\s*(\d{0,9})\s*([a-z]+)\s*", re.ASCII)
MAX_WINDOW = timedelta(days=366)
MAX_PERMITS = 100_000
MAX_KEY_LENGTH = 200


class LimitKind(IntEnum):
    """Kind of a limit, as stored in the database; the order in which a job acquires its permits."""

    ORDER = 1
    CONCURRENCY = 2
    BREAKER = 3
    RATE = 4


class PermitPhase(IntEnum):
    """Phase of a permit, as stored in the database."""

    ASLEEP = 0
    WAITING = 1
    HELD = 2
    COOLING = 3


@explains_options
@dataclass(frozen=True, slots=True)
class RateLimit:
    """At most ``count`` runs in any window of ``per`` (timedelta or seconds), over all workers, for each ``key``.

    burst: this many at once after a pause, and never more than this many in any ``burst / count * per``.
    counts_from: a run counts until ``per`` after its ``"end"``, so that the called server never sees more, however
        long a call takes; or after its ``"start"``: faster for long runs that call at once, but exact only if all
        runs call equally late.
    name: jobs with the same name share the limit.

    Text such as ``"10/s"``, ``"100/m"``, ``"5/10s"`` is short for count and per.
    """

    count: int
    per: Duration = timedelta(seconds=1)
    burst: int | None = None
    key: KeyOption = None
    name: str | None = None
    counts_from: Literal["end", "start"] = "end"

    def __post_init__(self) -> None:
        _require(_is_count(self.count), "count", f"a whole number from 1 to {MAX_PERMITS}", self.count)
        keep_durations(self, "per", maximum=MAX_WINDOW)
        if self.burst is not None:
            _require(_is_count(self.burst), "burst", f"a whole number from 1 to {MAX_PERMITS}", self.burst)
            _require(
                self.window <= MAX_WINDOW,
                "burst",
                f"burst / count * per of at most {MAX_WINDOW.days} days",
                self.burst,
            )
        _require(self.counts_from in ("end", "start"), "counts_from", "'end' or 'start'", self.counts_from)
        _check_key_and_name(self.key, self.name)

    @property
    def window(self) -> timedelta:
        """The window in which at most ``burst``, or ``count``, runs count."""
        return as_timedelta(self.per) * ((self.burst or self.count) / self.count)

    def rule(self) -> LimitRule:
        """Return the rule that is stored in the limit's row."""
        return LimitRule(
            kind=LimitKind.RATE,
            capacity=self.burst or self.count,
            window_seconds=self.window.total_seconds(),
            from_start=self.counts_from == "start",
        )


@explains_options
@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most ``limit`` jobs at once, over all workers, for each ``key``. A job between attempts does not count."""

    limit: int
    key: KeyOption = None
    name: str | None = None

    def __post_init__(self) -> None:
        _require(_is_count(self.limit), "limit", f"a whole number from 1 to {MAX_PERMITS}", self.limit)
        _check_key_and_name(self.key, self.name)

    def rule(self) -> LimitRule:
        """Return the rule that is stored in the limit's row."""
        return LimitRule(kind=LimitKind.CONCURRENCY, capacity=self.limit)


@explains_options
@dataclass(frozen=True, slots=True)
class Ordering:
    """Jobs of one ``key`` run strictly one after another, in the order of their ids, the order of enqueueing.

    A failed job keeps its turn until it succeeds or is dead; with ``release_on_retry`` others run
    while it waits for its next attempt. With ``hold_when_dead`` a dead job keeps its turn, too, until it is redriven,
    resolved, purged or pruned; True, or a function of the arguments, like ``key``, that tells.
    """

    key: KeyOption
    name: str | None = None
    release_on_retry: bool = False
    hold_when_dead: bool | Callable[..., object] = False

    def __post_init__(self) -> None:
        _check_key_and_name(self.key, self.name)
        is_known = isinstance(self.hold_when_dead, bool) or callable(self.hold_when_dead)
        _require(is_known, "hold_when_dead", "True, False or a function of the arguments", self.hold_when_dead)
        _require(
            not (self.release_on_retry and self.hold_when_dead),
            "hold_when_dead",
            "False with release_on_retry, which lets others run before",
            self.hold_when_dead,
        )

    def rule(self) -> LimitRule:
        """Return the rule that is stored in the limit's row; what a function tells is added for each job."""
        return LimitRule(
            kind=LimitKind.ORDER,
            capacity=1,
            release_on_retry=self.release_on_retry,
            hold_when_dead=self.hold_when_dead is True,
        )


@explains_options
@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreaker:
    """After ``failures`` failed attempts ``within`` a span, start no job of the ``key`` for ``open_for``; then one.

    Both are timedeltas or seconds.
    If that one succeeds all may start, if it fails none starts for ``open_for`` again.
    """

    failures: int
    within: Duration = timedelta(minutes=1)
    open_for: Duration = timedelta(minutes=1)
    key: KeyOption = None
    name: str | None = None

    def __post_init__(self) -> None:
        _require(_is_count(self.failures) and self.failures <= 1000, "failures", "1 to 1000", self.failures)
        keep_durations(self, "within", "open_for", maximum=MAX_WINDOW)
        _check_key_and_name(self.key, self.name)

    def rule(self) -> LimitRule:
        """Return the rule that is stored in the limit's row."""
        return LimitRule(
            kind=LimitKind.BREAKER,
            capacity=UNBOUNDED,
            failures=self.failures,
            within_seconds=seconds_of(self.within),
            open_seconds=seconds_of(self.open_for),
        )


Limit = RateLimit | Concurrency | Ordering | CircuitBreaker
"""Values of the options ``rate_limit``, ``concurrency``, ``ordering_key`` and ``breaker`` of ``@job``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRule:
    """A limit's definition as stored in its row; the classes above explain the fields."""

    kind: LimitKind
    capacity: int
    window_seconds: float = 0.0
    from_start: bool = False
    release_on_retry: bool = False
    hold_when_dead: bool = False
    failures: int = 0
    within_seconds: float = 0.0
    open_seconds: float = 0.0

    @property
    def cools_from_end(self) -> bool:
        """True if a finished run frees its permit only after the whole window."""
        return self.kind is LimitKind.RATE and not self.from_start

    def as_json(self) -> dict[str, Any]:
        """Return the rule as it is stored."""
        return {**asdict(self), "kind": int(self.kind)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> LimitRule:
        """Return a stored rule."""
        return cls(**{**stored, "kind": LimitKind(stored["kind"])})

    @classmethod
    def from_text(cls, text: str) -> LimitRule:
        """Return a rule from JSON text. Cached: there are as few texts as limits in the code."""
        return _rule_from_text(text)


@lru_cache(maxsize=1_000)
def _rule_from_text(text: str) -> LimitRule:
    return LimitRule.from_json(json.loads(text))


class RequiredPermit(NamedTuple):
    """A permit that a job needs, of one limit."""

    limit_id: int
    name: str
    key: str
    rule: LimitRule


def required_permit(rule: LimitRule, *, name: str, key: str) -> RequiredPermit:
    """Return the permit that a job needs; the limit's id is a hash of kind, name and key, so that it needs no query.

    Two keys with one id would share a limit: be limited more, never less. Among a billion keys the chance of any
    such pair is 3 %.
    """
    text = f"{int(rule.kind)}\0{name}\0{key}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return RequiredPermit(int.from_bytes(digest, "big", signed=True), name, key, rule)


def parse_rate(text: str) -> RateLimit:
    """Return the rate limit of text such as ``"10/s"``, ``"100/m"`` or ``"5/10s"``. Raises ValueError."""
    match = _RATE.fullmatch(text)
    seconds = _UNIT_SECONDS.get(match[3]) if match else None
    if match is None or seconds is None:
        raise ValueError(f'expected a rate such as "10/s", "100/m", "1000/h" or "5/10s", got {text!r}')
    return RateLimit(int(match[1]), per=timedelta(seconds=seconds * int(match[2] or 1)))


class LimitState(NamedTuple):
    """Runtime state of a limit. Times are seconds since the epoch by the database's clock.

    ``closed_until``: no job starts before. ``tripped``: a breaker without a success since it opened.
    ``failures``: times of a breaker's failed attempts, oldest first.
    """

    closed_until: float | None = None
    tripped: bool = False
    failures: tuple[float, ...] = ()


def current_capacity(rule: LimitRule, state: LimitState, *, now: float) -> int:
    """Return how many permits may be held or cooling now in total."""
    if state.closed_until is not None and now < state.closed_until:
        return 0
    if rule.kind is LimitKind.BREAKER:
        return 1 if state.tripped else UNBOUNDED
    return rule.capacity


def available_permits(rule: LimitRule, state: LimitState, *, used: int, now: float) -> int:
    """Return how many permits may be admitted now, with ``used`` held or cooling."""
    return max(current_capacity(rule, state, now=now) - used, 0)


def after_attempts(rule: LimitRule, state: LimitState, *, failed_at: list[float], succeeded: bool) -> LimitState:
    """Return a breaker's state after attempts that failed at these times; ``succeeded``: another one succeeded."""
    if state.tripped:
        if failed_at:
            return LimitState(closed_until=max(failed_at) + rule.open_seconds, tripped=True)
        return LimitState() if succeeded else state
    recent = sorted([*state.failures, *failed_at])
    recent = [at for at in recent if at > recent[-1] - rule.within_seconds]
    if len(recent) >= rule.failures:
        return LimitState(closed_until=recent[-1] + rule.open_seconds, tripped=True)
    return LimitState(closed_until=state.closed_until, failures=tuple(recent))


class RunEnding(IntEnum):
    """How a run ended, as far as permits are concerned."""

    FINISHED = 1
    DEAD = 2
    RETRY = 3
    NOT_STARTED = 4
    RELEASED = 5


class PermitTransition(NamedTuple):
    """The next ``phase`` of a permit (None: deleted); ``cools``: the use of this run cools in a row of its own."""

    phase: PermitPhase | None
    cools: bool = False


def permit_transition(rule: LimitRule, ending: RunEnding) -> PermitTransition:
    """Return the transition of a held permit when the run of its job ended.

    FINISHED: succeeded or cancelled. DEAD: may be redriven. RETRY: another attempt follows. NOT_STARTED: likewise,
    and the function never started. RELEASED: released before it started, the job stays ready.
    """
    if ending is RunEnding.RELEASED:
        return PermitTransition(PermitPhase.HELD)
    if rule.kind is LimitKind.RATE:
        if ending is RunEnding.FINISHED:
            return PermitTransition(PermitPhase.COOLING)
        return PermitTransition(PermitPhase.ASLEEP, cools=ending is not RunEnding.NOT_STARTED)
    if ending is RunEnding.FINISHED:
        return PermitTransition(None)
    if rule.kind is LimitKind.ORDER and keeps_turn(rule, is_dead=ending is RunEnding.DEAD):
        return PermitTransition(PermitPhase.HELD)
    return PermitTransition(PermitPhase.ASLEEP)


def keeps_turn(rule: LimitRule, *, is_dead: bool) -> bool:
    """Tell whether a job whose run failed stays the one whose turn it is in an ordering."""
    return rule.hold_when_dead if is_dead else not rule.release_on_retry


def corrected_phase(
    kind: LimitKind, phase: PermitPhase, state: State | None, *, holds_when_dead: bool = False
) -> PermitPhase | None:
    """Return the phase that a job's permit should have; None: none. ``state`` None: the job is deleted.

    ``holds_when_dead``: the ordering's rule says that a dead job may keep its turn. Equal to ``phase`` unless somebody
    has edited or deleted rows. A use that cools counts without its job, too.
    """
    if phase is PermitPhase.COOLING:
        return phase
    match state:
        case None | State.SUCCEEDED | State.CANCELLED:
            return None
        case State.DEAD if holds_when_dead and kind is LimitKind.ORDER and phase is PermitPhase.HELD:
            return phase
        case State.DEAD:
            return PermitPhase.ASLEEP
        case State.SCHEDULED if phase is PermitPhase.WAITING or kind is not LimitKind.ORDER:
            return PermitPhase.ASLEEP
        case _:
            return phase


def urgency(kind: LimitKind, priority: int) -> int:
    """Return the sort key of jobs that wait at a limit, before the job's id; orderings use the id alone."""
    return 0 if kind is LimitKind.ORDER else -priority


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= MAX_PERMITS


def _check_key_and_name(key: object, name: object) -> None:
    _require(
        key is None or isinstance(key, str) or callable(key),
        "key",
        "the name of an argument or a function",
        key,
    )
    is_name = isinstance(name, str) and 0 < len(name) <= 200 and name.isprintable() and bool(name.strip())
    _require(name is None or is_name, "name", "1 to 200 printable characters", name)


def _require(holds: bool, option: str, expected: str, got: object) -> None:
    if not holds:
        raise ValueError(f"{option}: expected {expected}, got {got!r}")
