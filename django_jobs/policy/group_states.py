"""Decide the state of a group of dead letters: new, rising, regressed, ongoing, muted, resolved or closed.

::

    muted?  --yes--> MUTED
      | no
    open dead letters?  --no--> RESOLVED if the group was resolved and has not come back, else CLOSED
      | yes
    resolved before?  --yes--> REGRESSED
      | no
    first death within a day?  --yes--> NEW
      | no
    more than twice its own past?  --yes--> RISING, else ONGOING

Nobody has to mark a group as seen: *new* ends by itself after a day. *Rising* compares a group with its own past: a
peak that it had before, such as that of a nightly job, is no rise; a slow growth shows in the days, not in the hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

NEW_FOR = timedelta(days=1)
RISING_FACTOR = 2
MIN_RISING = 10
"""Fewer deaths in an hour, or in a day, are never a rise."""
HOURS_PER_DAY = 24
COMPARED_DAYS = 7
"""The last day is compared with those before it, the last two hours with those before them."""


class GroupState(StrEnum):
    """State of a group, in the order in which groups are worth a person's time."""

    REGRESSED = "regressed"
    NEW = "new"
    RISING = "rising"
    ONGOING = "ongoing"
    MUTED = "muted"
    RESOLVED = "resolved"
    CLOSED = "closed"

    @property
    def urgency(self) -> int:
        """The place in that order, 0 first."""
        return list(GroupState).index(self)


UNRESOLVED = frozenset({GroupState.REGRESSED, GroupState.NEW, GroupState.RISING, GroupState.ONGOING})
"""States of groups with open dead letters that are not muted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeathRates:
    """Deaths of a group now and before: ``hour`` is the current or the last full one, whichever has more.

    ``hour_before`` is the highest number in an hour of the week before, ``day`` that of the last 24 hours, and
    ``day_before`` the highest of one of the six days before.
    """

    hour: int = 0
    hour_before: int = 0
    day: int = 0
    day_before: int = 0

    @property
    def is_hour_rising(self) -> bool:
        """True if this hour is a rise."""
        return self.hour >= MIN_RISING and self.hour > RISING_FACTOR * self.hour_before

    @property
    def is_day_rising(self) -> bool:
        """True if this day is a rise."""
        return self.day >= MIN_RISING and self.day > RISING_FACTOR * self.day_before


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFacts:
    """Facts that decide a group's state. ``regressed_at`` is the first death after ``resolved_at``, if it is known."""

    open: int
    first_died_at: datetime
    muted_at: datetime | None = None
    resolved_at: datetime | None = None
    regressed_at: datetime | None = None
    rates: DeathRates = DeathRates()


def group_state(facts: GroupFacts, *, now: datetime) -> GroupState:
    """Return the state of a group.

    A group with open dead letters is never RESOLVED, whatever else is known of it: no death is hidden.
    """
    if facts.muted_at is not None:
        return GroupState.MUTED
    if facts.open <= 0:
        is_resolved = facts.resolved_at is not None and facts.regressed_at is None
        return GroupState.RESOLVED if is_resolved else GroupState.CLOSED
    if facts.resolved_at is not None:
        return GroupState.REGRESSED
    if now - facts.first_died_at < NEW_FOR:
        return GroupState.NEW
    has_whole_day_before = now - facts.first_died_at >= 2 * NEW_FOR
    is_rising = facts.rates.is_hour_rising or (has_whole_day_before and facts.rates.is_day_rising)
    return GroupState.RISING if is_rising else GroupState.ONGOING


def first_regression(resolved_at: datetime, died_at: Iterable[datetime]) -> datetime | None:
    """Return when a resolved group came back: the first of these deaths, none of which the resolution closed.

    One that died before and was committed later came back at once. None if there are none.
    """
    first = min(died_at, default=None)
    return None if first is None else max(first, resolved_at)
