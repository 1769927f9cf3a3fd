"""Replay: enqueue the jobs of a range of a log again, without moving the position from which it is read on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction

from ..conf.database import current_database
from ..exceptions import ConfigurationError
from ..policy.metadata import REPLAY
from .connecting import find_settings, hiding_secrets, open_source
from .converting import check_messages, enqueue_messages
from .interface import BrokerDownError, LogSource, PartitionRange, ReceivedMessage
from .poison import enqueue_poison
from .subscriptions import Consumption

logger = logging.getLogger("django_jobs.brokers")

BATCH_SIZE = 500
WAITS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""The seconds for which a log that gives nothing before its end is waited for, one after another."""
NOT_A_LOG = (
    "a queue cannot be replayed: its broker forgets a message once it is acknowledged (Kafka, RabbitMQ streams and"
    " Redis Streams without a group keep them)"
)

Ranges = dict[str, tuple[str, str]]
"""By partition the position to read from, and the one before which to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayRange:
    """The messages to replay: by time in all partitions, or by position in one; ``until`` and ``end`` are excluded.

    None: from the first, or up to what is there now.
    """

    since: datetime | None = None
    until: datetime | None = None
    partition: str | None = None
    start: str | None = None
    end: str | None = None


@dataclass(slots=True)
class Replayed:
    """The counts of a replay, done or dry: jobs and poison, by partition the range that was read."""

    jobs: int = 0
    poison: int = 0
    ranges: Ranges = field(default_factory=dict)


def replay(consumption: Consumption, wanted: ReplayRange, *, dry_run: bool = False) -> Replayed:
    """Enqueue the jobs of a range again, 500 in a transaction; their metadata says that they are a replay.

    ``dry_run``: only count. A partition's messages keep their order. Raises ConfigurationError for a source that keeps
    no messages, and BrokerDownError: what was enqueued by then stays, and the log says how far that is.
    """
    replayed = Replayed()
    with open_log(consumption) as source:
        replayed.ranges = find_ranges(consumption, source, wanted)
        for messages in read_ranges(source, replayed.ranges):
            if dry_run:
                replayed.jobs += (jobs := count_fitting(consumption, messages))
            else:
                with transaction.atomic(using=current_database()):
                    jobs = enqueue_replayed(consumption, messages)
                replayed.jobs += jobs
                last = messages[-1]
                logger.info(
                    "%s: replayed partition %s up to position %s", consumption.label, last.partition, last.position
                )
            replayed.poison += len(messages) - jobs
    return replayed


@contextmanager
def open_log(consumption: Consumption) -> Iterator[LogSource]:
    """Open a source for a replay. Raises ConfigurationError if its broker keeps no messages, and BrokerDownError."""
    settings = find_settings(consumption.subscription.broker)
    with hiding_secrets(settings), closing(open_source(consumption.subscription)) as source:
        if source.kind != "log":
            raise ConfigurationError(f"{consumption.label}: {NOT_A_LOG}")
        yield source


def find_ranges(consumption: Consumption, source: LogSource, wanted: ReplayRange) -> Ranges:
    """Return where to read from in each partition, and the position before which to stop, as far as the log goes now.

    Raises ConfigurationError for a partition or a position that the log cannot have.
    """
    return {
        partition: _bounds(consumption, source, partition, wanted)
        for partition in _partitions(consumption, source, wanted)
    }


def read_ranges(source: LogSource, ranges: Mapping[str, Sequence[str]]) -> Iterator[list[ReceivedMessage]]:
    """Yield the messages of each partition from its first position up to before its second, 500 at a time."""
    for partition, (start, end) in ranges.items():
        yield from _read(source, partition, start, end)


def count_fitting(consumption: Consumption, messages: Sequence[ReceivedMessage]) -> int:
    """Return how many of the messages can become jobs. No statement."""
    return sum(one.bound is not None for one in check_messages(consumption, messages))


def enqueue_replayed(consumption: Consumption, messages: Sequence[ReceivedMessage]) -> int:
    """Enqueue the jobs of messages in the caller's transaction and return their number; the others are poison."""
    enqueued = enqueue_messages(consumption, messages, marks={REPLAY: True})
    if enqueued.poison:
        enqueue_poison(consumption, enqueued.poison)
    return len(enqueued.job_ids)


def _partitions(consumption: Consumption, source: LogSource, wanted: ReplayRange) -> Sequence[str]:
    known = source.partitions()
    if wanted.partition is None:
        return known
    if wanted.partition not in known:
        raise ConfigurationError(
            f"{consumption.label}: there is no partition {wanted.partition!r}; known are {', '.join(known)}"
        )
    return [wanted.partition]


def _bounds(consumption: Consumption, source: LogSource, partition: str, wanted: ReplayRange) -> tuple[str, str]:
    """Return where to read from, and the position before which to stop, within what the log has."""
    bounds = source.range_of(partition)
    try:
        start = wanted.start or (source.position_at(partition, wanted.since) if wanted.since else bounds.first)
        end = wanted.end or (source.position_at(partition, wanted.until) if wanted.until else bounds.end)
    except NotImplementedError as error:
        raise ConfigurationError(
            f"{consumption.label}: cannot be replayed by time: {error}; give a partition and positions"
        ) from None
    try:
        return max(start, bounds.first, key=source.order_of), min(end, bounds.end, key=source.order_of)
    except ValueError:
        raise ConfigurationError(
            f"{consumption.label}: expected positions such as {bounds.first!r}, got {start!r} and {end!r}"
        ) from None


def _read(source: LogSource, partition: str, start: str, end: str) -> Iterator[list[ReceivedMessage]]:
    position = start
    while source.order_of(position) < source.order_of(end):
        found = _read_patiently(source, partition, position, end)
        if not found:
            return
        wanted = [message for message in found if source.order_of(message.position) < source.order_of(end)]
        if wanted:
            yield wanted
        position = found[-1].next_position


def _read_patiently(source: LogSource, partition: str, position: str, end: str) -> Sequence[ReceivedMessage]:
    """Return what comes from a position on; nothing if the log has no messages before ``end``, or has them no more.

    Raises BrokerDownError if the log is said to have some, and they do not come.
    """
    for wait_seconds in WAITS:
        if found := source.read({partition: position}, limit=BATCH_SIZE, wait_seconds=wait_seconds):
            return found
        if source.is_gap(partition, position, end):
            return []
        bounds = source.range_of(partition)  # raises if nothing came because the broker does not answer
        if _is_outside(source, position, end, bounds):
            logger.warning(
                "partition %s: positions %s to %s cannot be replayed any more: the log has %s to %s now",
                partition, position, end, bounds.first, bounds.end,
            )  # fmt: skip
            return []
    raise BrokerDownError(
        f"partition {partition}: nothing came from position {position} on for {sum(WAITS):.0f} s, although the log goes"
        f" on to {end}"
    )


def _is_outside(source: LogSource, position: str, end: str, bounds: PartitionRange) -> bool:
    """Tell whether a log has lost what lies from a position up to ``end``: deleted, or created anew."""
    order = source.order_of
    return bool(order(bounds.first) >= order(end) or order(bounds.end) <= order(position))
