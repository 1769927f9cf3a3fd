"""Facts about the service, from which the sentences of its health follow.

Callers read the facts; a fact that they have not read is left at its default and says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .health import IdleWorker


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """A queue. ``waiting`` jobs are ready, the first of them for ``waited_seconds``; ``is_full``: at its maximum.

    ``is_suspended``: its broker is down, which has a sentence of its own.
    """

    name: str
    waiting: int
    waited_seconds: float = 0.0
    is_paused: bool = False
    is_full: bool = False
    is_suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LateSchedule:
    """A schedule that is due for ``seconds``."""

    schedule_id: int
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerFacts:
    """Brokers that do not take messages, each with the seconds since, and how many messages wait for them.

    ``is_more``: more wait than were counted. ``unread``: sources whose broker does not answer their consumers, each
    with the seconds since. ``stopped_sources``: those at which poison stopped reading. ``held_by_dead``: how many dead
    messages of a broker hold back the later ones of their keys.
    """

    down: Mapping[str, float] = field(default_factory=dict)
    waiting: int = 0
    is_more: bool = False
    unread: Mapping[str, float] = field(default_factory=dict)
    stopped_sources: Sequence[str] = ()
    held_by_dead: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Some:
    """A number of rows, and the id and the name of one of them."""

    number: int = 0
    example_id: int | None = None
    example: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """Facts about the service, as far as they were read.

    ``served``: the queues of each living worker that runs jobs, None for all; ``stale_workers`` have no heartbeat.
    ``are_workers_known``: no worker was left out. ``died_recently``: open dead letters of the last hour.
    ``statistics_lag_seconds``: how far the totals are behind. ``clock_skew_seconds``: this host's clock minus the
    database's.
    """

    served: Sequence[frozenset[str] | None]
    queues: Sequence[QueueFacts] = ()
    are_workers_known: bool = True
    stale_workers: int = 0
    idle: Sequence[IdleWorker] = ()
    late_schedules: Sequence[LateSchedule] = ()
    brokers: BrokerFacts = BrokerFacts()
    broken_schedules: Some = Some()
    open_breakers: Some = Some()
    unknown_jobs: Some = Some()
    died_recently: int = 0
    open_dead_letters: int = 0
    statistics_lag_seconds: float = 0.0
    clock_skew_seconds: float = 0.0
