"""When schedules are due, and which missed ticks fire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import blake2b
from itertools import islice, pairwise
from typing import Any, NamedTuple

from .cron import (
    CronError,
    check_expression,
    check_zone,
    depends_on_seed,
    newest_occurrences,
    next_occurrence,
    occurrences,
)
from .durations import MAX_DURATION
from .overlap import Overlap

MIN_PERIOD, MAX_PERIOD = timedelta(seconds=1), MAX_DURATION
MISSED_AFTER = timedelta(minutes=1)
"""A tick that is processed later than this was missed."""
MAX_CATCH_UP = 1_000
MAX_MISSED_RECORDED = 100
"""How many missed ticks of one outage are recorded, the newest ones."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SAMPLE = datetime(2024, 1, 1, tzinfo=UTC)


class CatchUp(StrEnum):
    """The option ``catch_up``: which missed ticks fire later. Stored in the database."""

    LATEST = "latest"
    ALL = "all"
    NONE = "none"


class TickOutcome(StrEnum):
    """Outcome of a tick, as stored in the database."""

    FIRED = "fired"
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a schedule is due: a ``cron`` expression in ``timezone``, or a period ``every``.

    ``every`` is due at multiples of the period since 1970 in UTC, so that all servers agree and a restart
    shifts nothing. A tick fires up to ``jitter`` later than it is due, by the same delay for the same
    schedule and tick. ``name`` is the schedule's; it determines hashed fields and jitter.
    """

    name: str
    cron: str = ""
    every: timedelta | None = None
    timezone: str = "UTC"
    jitter: timedelta = timedelta(0)

    def check(self) -> None:
        """Raise CronError, naming the wrong option, if the schedule is never due or cannot be computed."""
        self.check_bounds()
        _check_option("timezone", check_zone, self.timezone)
        if self.cron:
            _check_option("cron", lambda cron: check_expression(cron, zone=self.timezone, seed=self.name), self.cron)
        if self.jitter:
            self._check_jitter()

    def check_bounds(self) -> None:
        """Raise CronError if computing ticks would fail or never end, as for a row edited by hand. Cheap."""
        if bool(self.cron) == (self.every is not None):
            raise CronError("expected either cron or every, got " + ("both" if self.cron else "neither"))
        if self.every is not None and not MIN_PERIOD <= self.every <= MAX_PERIOD:
            raise CronError(f"every: expected a period from 1 second to 10 years, got {self.every}")
        if not timedelta(0) <= self.jitter <= MAX_PERIOD:
            raise CronError(f"jitter: expected from zero to 10 years, got {self.jitter}")

    def next(self, after: datetime) -> datetime | None:
        """Return the first tick after ``after``, or None. Raises CronError."""
        self.check_bounds()
        if self.every is not None:
            return self._multiple(after) + self.every
        return next_occurrence(self.cron, zone=self.timezone, after=after, seed=self._seed)

    def upcoming(self, after: datetime) -> Iterator[datetime]:
        """Yield the ticks after ``after``, without end. Raises CronError."""
        self.check_bounds()
        if self.every is None:
            yield from occurrences(self.cron, zone=self.timezone, after=after, seed=self._seed)
            return
        instant = self._multiple(after)
        while True:
            instant += self.every
            yield instant

    def newest(self, after: datetime, until: datetime, *, limit: int) -> list[datetime]:
        """Return the newest ``limit`` ticks in ``(after, until]``, in order."""
        if self.every is None:
            return newest_occurrences(
                self.cron, zone=self.timezone, after=after, until=until, limit=limit, seed=self._seed
            )
        last = self._multiple(until)
        found = (last - self.every * number for number in range(limit))
        return [instant for instant in found if instant > after][::-1]

    def check_at(self, due_at: datetime) -> datetime:
        """Return when the tick of ``due_at`` fires."""
        if not self.jitter:
            return due_at
        digest = blake2b(f"{self.name}\0{due_at.timestamp()}".encode(), digest_size=8).digest()
        return due_at + self.jitter * (int.from_bytes(digest) / 2**64)

    @property
    def _seed(self) -> str:
        return self.name if depends_on_seed(self.cron) else ""

    def _multiple(self, instant: datetime) -> datetime:
        """Return the last multiple of the period up to ``instant``."""
        assert self.every is not None  # noqa: S101 - checked by callers
        return instant.astimezone(UTC) - (instant - _EPOCH) % self.every

    def _check_jitter(self) -> None:
        gap = self._min_gap()
        if self.jitter >= gap:
            raise CronError(
                f"jitter: expected from zero to less than the time between two ticks ({gap}), got {self.jitter}"
            )

    def _min_gap(self) -> timedelta:
        if self.every is not None:
            return self.every
        ticks = list(islice(self.upcoming(_SAMPLE), 50))
        return min((later - tick for tick, later in pairwise(ticks)), default=MAX_PERIOD)


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPolicy:
    """How a schedule treats ticks that overlap with its own jobs, and missed ticks."""

    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_limit: int = 10

    def check(self) -> None:
        """Raise CronError, naming the wrong option."""
        if not 1 <= self.catch_up_limit <= MAX_CATCH_UP:
            raise CronError(
                f"catch_up_limit: expected a whole number from 1 to {MAX_CATCH_UP}, got {self.catch_up_limit}"
            )
        if self.catch_up is CatchUp.ALL and self.overlap in {Overlap.SKIP, Overlap.REPLACE}:
            raise CronError(
                "overlap: expected 'queue' or 'allow' with catch_up='all', which fires several at once;"
                f" got {self.overlap.value!r}"
            )

    @property
    def room(self) -> int:
        """How many ticks may wait for a job to end."""
        return self.catch_up_limit if self.catch_up is CatchUp.ALL else 1

    @property
    def max_at_once(self) -> int:
        """How many ticks that are due at the same time may fire."""
        return self.catch_up_limit if self.catch_up is CatchUp.ALL else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """A schedule as stored: the job and its arguments (JSON values by name), the timing, the policy of ticks."""

    timing: Timing
    tick_policy: TickPolicy
    job_name: str
    arguments: dict[str, Any]
    queue_name: str
    priority: int
    max_attempts: int
    expires: timedelta | None = None

    @property
    def name(self) -> str:
        """The schedule's name."""
        return self.timing.name


class TickPlan(NamedTuple):
    """The ticks of a schedule to fire now, those to record as missed, and the next one."""

    fire: list[datetime]
    missed: list[datetime]
    next_due_at: datetime | None
    next_check_at: datetime | None


def plan_ticks(timing: Timing, tick_policy: TickPolicy, *, next_due_at: datetime, now: datetime) -> TickPlan:
    """Return the plan for the ticks from ``next_due_at`` to ``now``."""
    following = timing.next(next_due_at)
    if timing.check_at(next_due_at) > now:
        return TickPlan([], [], next_due_at, timing.check_at(next_due_at))
    due = [next_due_at]
    if following is not None and timing.check_at(following) <= now:
        limit = tick_policy.max_at_once + MAX_MISSED_RECORDED
        due = timing.newest(next_due_at - timedelta(microseconds=1), now, limit=limit)
        if timing.check_at(due[-1]) > now:
            due.pop()
        following = timing.next(due[-1])
    fire, missed = due[-tick_policy.max_at_once :], due[: -tick_policy.max_at_once][-MAX_MISSED_RECORDED:]
    if tick_policy.catch_up is CatchUp.NONE and now - timing.check_at(due[-1]) > MISSED_AFTER:
        fire, missed = [], due[-MAX_MISSED_RECORDED:]
    check_at = None if following is None else timing.check_at(following)
    return TickPlan(fire, missed, following, check_at)


def _check_option(option: str, check: object, value: object) -> None:
    try:
        check(value)  # type: ignore[operator]  # one of the two checks above
    except CronError as error:
        raise CronError(f"{option}: {error}") from None
