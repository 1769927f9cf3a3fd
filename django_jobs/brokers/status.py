"""The state of all brokers for people: what waits to be sent, how far sources are read, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ..conf import get_settings
from ..models import BrokerOutage
from ..policy.message_queues import queue_of
from ..store.clock import database_now
from ..store.messages.outages import read_outages
from ..store.messages.status import (
    LastFailure,
    SourceState,
    WaitingMessages,
    count_destinations,
    read_held_back,
    read_held_by_dead,
    read_last_failures,
    read_source_states,
    sample_ready,
)
from ..store.stats.dashboard import QueueStatus, queue_statuses
from .subscriptions import Consumption, consumptions

MAX_DESTINATIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerState:
    """A broker of the setting as a destination. ``url`` has no password. ``destinations``: of a sample of what waits.

    ``held_by_dead``: dead messages that hold back others of their keys, by job how many.
    ``per_minute``: messages that were sent, or failed, over the last ten minutes.
    """

    name: str
    url: str
    queue_name: str
    waiting: WaitingMessages
    per_minute: float
    paused_at: datetime | None
    outage: BrokerOutage | None
    last_failure: LastFailure | None
    destinations: dict[str, int]
    held_by_dead: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerOverview:
    """All brokers that messages are sent to, sources that have been read, and sources that nobody has read yet."""

    brokers: list[BrokerState]
    sources: list[SourceState]
    unread: list[Consumption]


def read_overview(*, using: str | None = None) -> BrokerOverview:
    """Return the state of all brokers. A bounded number of statements, none of which counts a table."""
    remote = {name: one for name, one in get_settings().brokers.items() if not one.scheme.is_local}
    sources = read_source_states(using=using)
    known = {(state.source.broker, state.source.name, state.source.group) for state in sources}
    unread = [
        one
        for one in consumptions()
        if one.subscription.broker in remote
        and (one.subscription.broker, one.subscription.name, one.subscription.group) not in known
    ]
    return BrokerOverview(brokers=_brokers(list(remote), using), sources=sources, unread=unread)


def _brokers(names: list[str], using: str | None) -> list[BrokerState]:
    if not names:
        return []
    queues = {name: queue_of(name) for name in sorted(names)}
    held_back = read_held_back(queues.values(), using=using)
    failures = read_last_failures(set(queues.values()), using=using)
    outages = read_outages(using=using)
    held_by_dead = read_held_by_dead(using=using)
    statuses = {status.name: status for status in queue_statuses(using=using)}
    states = []
    for name, queue in queues.items():
        status = statuses.get(queue)
        waiting = held_back[queue] + _ready(queue, status, using)
        states.append(
            BrokerState(
                name=name,
                url=str(get_settings().brokers[name].url),
                queue_name=queue,
                waiting=waiting,
                per_minute=0.0 if status is None else status.per_minute,
                paused_at=None if status is None else status.paused_at,
                outage=outages.get(name),
                last_failure=failures.get(queue),
                destinations=dict(count_destinations(waiting.sample, using=using).most_common(MAX_DESTINATIONS)),
                held_by_dead=held_by_dead.get(name, {}),
            )
        )
    return states


def _ready(queue_name: str, status: QueueStatus | None, using: str | None) -> WaitingMessages:
    """Return the messages that a worker may send at once."""
    if status is None or not status.waiting.number:
        return WaitingMessages()
    oldest_at = None
    if status.oldest_seconds is not None:
        oldest_at = database_now(using=using) - timedelta(seconds=status.oldest_seconds)
    sample = sample_ready(queue_name, using=using)
    return WaitingMessages(status.waiting.number, status.waiting.is_more, oldest_at, sample)
