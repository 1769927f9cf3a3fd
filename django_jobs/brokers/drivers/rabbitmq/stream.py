"""Read a stream as a log of one partition: a position is an offset, kept in the database, and RabbitMQ keeps none."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from ...interface import PartitionRange, ReceivedMessage
from .connection import RabbitConnection
from .properties import from_message

STREAM_OFFSET = "x-stream-offset"
"""The argument of a consumer that says where it begins, and the header of each message that says where that is."""
PARTITION, TAG = "0", "django_jobs"
EMPTY_SECONDS = 1.0
"""A stream that gives no message for so long, of those that it has, has none: RabbitMQ tells no bounds."""

OffsetSpec = int | str | datetime


class RabbitStream:
    """A stream that is there. ``read`` begins to consume, and goes on as long as it is asked for what comes next."""

    kind: Literal["log"] = "log"

    def __init__(self, connection: RabbitConnection, name: str, *, prefetch: int) -> None:
        self._connection = connection
        self._name = name
        self._prefetch = prefetch
        self._consumer: _Consumer | None = None
        self._next: int | None = None
        self._arrived: deque[ReceivedMessage] = deque()

    def check(self) -> None:
        """Raise ConfigurationError if the queue is no stream."""
        self._connection.set_up(
            lambda: self._consume("next", lambda _message: None, prefetch=1).end(),
            expected=f"a stream {self._name!r}; leave out stream=True if it is a queue",
        )

    def partitions(self) -> Sequence[str]:
        """Return the only one."""
        return [PARTITION]

    def range_of(self, partition: str, /) -> PartitionRange:
        """Return the offset of the first message, and the one behind the last. Reads the last chunk of the stream."""
        first = self._connection.ask(lambda: self._first_from("first"))
        if first is None:
            return PartitionRange(first="0", end="0")
        return PartitionRange(first=str(first), end=str(self._connection.ask(self._find_end)))

    def position_at(self, partition: str, instant: datetime, /) -> str:
        """Return the offset of the first message that RabbitMQ wrote in the second of an instant, or later.

        It writes messages in chunks, each with one time.
        """
        second = datetime.fromtimestamp(max(int(instant.timestamp()), 0), UTC)
        first = self._connection.ask(lambda: self._first_from(second))
        return self.range_of(partition).end if first is None else str(first)

    def order_of(self, position: str, /) -> int:
        """Return the offset as a number."""
        return int(position)

    def lag(self, partition: str, position: str, /) -> int | None:
        """Return how many messages are left."""
        return max(int(self.range_of(partition).end) - int(position), 0)

    def read(self, positions: Mapping[str, str], /, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Read from a position on."""
        if limit <= 0 or PARTITION not in positions:
            return []
        return self._connection.ask(lambda: self._read(int(positions[PARTITION]), limit, wait_seconds))

    def is_gap(self, partition: str, start: str, end: str, /) -> bool:
        """Return False: RabbitMQ does not tell."""
        return False

    def record(self, positions: Mapping[str, str], /) -> None:
        """Do nothing: of consumers that speak AMQP RabbitMQ keeps no position."""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _read(self, position: int, limit: int, wait_seconds: float) -> list[ReceivedMessage]:
        consumer = self._consumer_at(position)
        until = time.monotonic() + wait_seconds
        while len(self._arrived) < limit:
            left = 0.0 if self._arrived else max(until - time.monotonic(), 0.0)
            if not self._connection.drain(left) and (self._arrived or time.monotonic() >= until):
                break
        self._connection.tick()
        found = [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]
        if found:
            self._next = int(found[-1].next_position)
            consumer.acknowledge(found[-1].receipt)
        return found

    def _consumer_at(self, position: int) -> _Consumer:
        """Return the running consumer if ``position`` is what it reads next, or another one."""
        if self._consumer is None or position != self._next:
            if self._consumer is not None:
                self._consumer.end()
            self._arrived.clear()
            self._consumer = self._consume(position, self._on_message, prefetch=self._prefetch)
            self._next = position
        return self._consumer

    def _on_message(self, message: Any) -> None:
        offset = _offset_of(message)
        self._arrived.append(
            replace(from_message(message), partition=PARTITION, position=str(offset), next_position=str(offset + 1))
        )

    def _consume(self, offset: OffsetSpec, callback: Callable[[Any], object], *, prefetch: int) -> _Consumer:
        """Return a consumer on a channel of its own, to which messages come from ``offset`` on."""
        channel = self._connection.open_channel()
        channel.basic_qos(0, prefetch, False)
        channel.basic_consume(self._name, TAG, callback=callback, arguments={STREAM_OFFSET: offset})
        return _Consumer(channel)

    def _first_from(self, offset: OffsetSpec) -> int | None:
        """Return the offset of the first message that a consumer from ``offset`` on is given; None if there is none."""
        found: list[int] = []
        consumer = self._consume(offset, lambda message: found.append(_offset_of(message)), prefetch=1)
        self._wait_for(found)
        consumer.end()
        return found[0] if found else None

    def _find_end(self) -> int:
        """Return the offset behind the last message of a stream that has some.

        The last chunk comes, as much of it as the prefetch allows, before the answer to a question that is asked after
        its first message.
        """
        unacknowledged: list[Any] = []
        consumer = self._consume("last", unacknowledged.append, prefetch=self._prefetch)
        self._wait_for(unacknowledged)
        end = 0
        while True:
            consumer.channel.queue_declare(self._name, passive=True)
            if unacknowledged:
                end = _offset_of(unacknowledged[-1]) + 1
            if len(unacknowledged) < self._prefetch:
                consumer.end()
                return end
            consumer.acknowledge(unacknowledged[-1].delivery_tag)
            unacknowledged.clear()

    def _wait_for(self, found: Sequence[object]) -> None:
        until = time.monotonic() + EMPTY_SECONDS
        while not found and (left := until - time.monotonic()) > 0:
            self._connection.drain(left)


class _Consumer(NamedTuple):
    """A consumer, the only one of its channel."""

    channel: Any

    def acknowledge(self, delivery_tag: int) -> None:
        """Acknowledge all up to this message; RabbitMQ sends so many more."""
        self.channel.basic_ack(delivery_tag, multiple=True)

    def end(self) -> None:
        """Stop it, which lets what is under way arrive, and close its channel."""
        self.channel.basic_cancel(TAG)
        self.channel.close()


def _offset_of(message: Any) -> int:
    return int(message.headers[STREAM_OFFSET])
