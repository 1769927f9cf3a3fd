"""Consume a queue: RabbitMQ pushes up to ``prefetch`` messages, which are its own until they are acknowledged."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Literal
from uuid import uuid4

from ....exceptions import ConfigurationError
from ...interface import ReceivedMessage
from .connection import RabbitConnection
from .properties import from_message
from .stream import STREAM_OFFSET


class RabbitQueue:
    """A queue that is there. ``receive`` begins to consume; ``release`` ends it: others get what it gives back."""

    kind: Literal["queue"] = "queue"
    redeliver_seconds: float | None = None

    def __init__(self, connection: RabbitConnection, channel: Any, name: str, *, prefetch: int) -> None:
        self._connection = connection
        self._channel = channel
        self._name = name
        self._consumer_tag = ""
        self._arrived: deque[ReceivedMessage] = deque()
        self._unacknowledged: dict[int, None] = {}
        connection.ask(lambda: channel.basic_qos(0, prefetch, False))

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Return what has come; wait if that is nothing."""
        if limit <= 0:
            return []
        self._connection.ask(lambda: self._receive(limit, wait_seconds))
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Acknowledge by one frame, as far as no other message lies between."""
        tags = {message.receipt for message in messages} & self._unacknowledged.keys()
        self._connection.ask(lambda: self._acknowledge(tags))

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Stop consuming, and give these messages back, and those that have come since."""
        self._connection.ask(lambda: self._release({message.receipt for message in messages}))

    def backlog(self) -> int | None:
        """Return how many messages wait, with those that this consumer holds."""
        declared = self._connection.ask(lambda: self._channel.queue_declare(self._name, passive=True))
        self._connection.ask(self._connection.tick)
        return int(declared.message_count) + len(self._unacknowledged)

    def close(self) -> None:
        """Close the connection; RabbitMQ delivers again what is not acknowledged."""
        self._connection.close()

    def _receive(self, limit: int, wait_seconds: float) -> None:
        if not self._consumer_tag:
            tag = f"django_jobs-{uuid4().hex}"
            self._channel.basic_consume(self._name, consumer_tag=tag, callback=self._on_message)
            self._consumer_tag = tag
        until = time.monotonic() + wait_seconds
        while len(self._arrived) < limit:
            left = 0.0 if self._arrived else max(until - time.monotonic(), 0.0)
            if not self._connection.drain(left) and (self._arrived or time.monotonic() >= until):
                break
        self._connection.tick()

    def _on_message(self, message: Any) -> None:
        if STREAM_OFFSET in (message.headers or {}):
            raise ConfigurationError(
                f"expected a queue {self._name!r}, but it is a stream; add stream=True to @consumes to read it as a log"
            )
        self._unacknowledged[message.delivery_tag] = None
        self._arrived.append(from_message(message))

    def _acknowledge(self, tags: set[int]) -> None:
        first_kept = next((tag for tag in self._unacknowledged if tag not in tags), None)
        together = [tag for tag in tags if first_kept is None or tag < first_kept]
        if together:
            self._channel.basic_ack(max(together), multiple=True)
        for tag in sorted(tags.difference(together)):
            self._channel.basic_ack(tag)
        for tag in tags:
            del self._unacknowledged[tag]

    def _release(self, tags: set[int]) -> None:
        if self._consumer_tag:
            self._channel.basic_cancel(self._consumer_tag)
            self._consumer_tag = ""
        tags |= {message.receipt for message in self._arrived}
        self._arrived.clear()
        for tag in sorted(tags & self._unacknowledged.keys()):
            self._channel.basic_reject(tag, requeue=True)
            del self._unacknowledged[tag]
