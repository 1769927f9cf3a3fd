"""Publish by one unary request a topic and 1,000 messages or 10 MB, and judge each message.

Not by the client's publisher, which sends by threads of its own and pauses a key after each error: the order of a key
is kept by the relay, and here by requests one after another. A request succeeds or fails as a whole. One that Pub/Sub
calls invalid is sent again in halves, until the message that is invalid is alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ...interface import BrokerDownError, NotSent, OutgoingMessage, Refused, SendOutcome, Sent
from .connection import PubSubConnection, route
from .errors import INVALID, code_of, outcome_of
from .messages import to_message
from .names import topic_name

MAX_MESSAGES, MAX_BYTES = 1_000, 10_000_000
"""Of a request, and so of a message. Pub/Sub's quotas, "Resource limits"."""
FRAME_BYTES = 16
"""At most so many bytes a message takes in a request beside its own."""
ANSWER_SECONDS = 30.0


class PubSubSender:
    """Publishes to topics of ``project``, and to those whose names have another."""

    def __init__(self, connection: PubSubConnection, *, project: str) -> None:
        self._connection = connection
        self._project = project
        types = connection.types
        self._make_message, self._make_request = types.PubsubMessage.pb(), types.PublishRequest.pb()

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Publish topic after topic; raise BrokerDownError if Pub/Sub has answered for no message."""
        outcomes: dict[int, SendOutcome] = {}
        for topic, indexes in _by_topic(messages).items():
            try:
                name = topic_name(self._project, topic)
            except ValueError as error:
                outcomes |= dict.fromkeys(indexes, Refused(reason=str(error), is_permanent=True))
            else:
                self._send_topic(name, topic, self._wire(name, messages, indexes, outcomes), outcomes)
        unsent = [outcome.reason for outcome in outcomes.values() if isinstance(outcome, NotSent)]
        if unsent and len(unsent) == len(messages):
            raise BrokerDownError(unsent[0])
        return [outcomes[index] for index in range(len(messages))]

    def close(self) -> None:
        """Close the channel."""
        self._connection.close()

    def _wire(
        self, name: str, messages: Sequence[OutgoingMessage], indexes: Sequence[int], outcomes: dict[int, SendOutcome]
    ) -> dict[int, Any]:
        """Return the messages as they are published; those that cannot be have their outcome."""
        overhead = FRAME_BYTES + len(name)
        wire = {}
        for index in indexes:
            try:
                made = to_message(self._make_message, messages[index])
            except ValueError as error:
                outcomes[index] = Refused(reason=str(error), is_permanent=True)
                continue
            if (size := made.ByteSize() + overhead) > MAX_BYTES:
                reason = f"the message has {size} bytes with its attributes; Pub/Sub takes up to {MAX_BYTES}"
                outcomes[index] = Refused(reason=reason, is_permanent=True)
            else:
                wire[index] = made
        return wire

    def _send_topic(self, name: str, topic: str, wire: dict[int, Any], outcomes: dict[int, SendOutcome]) -> None:
        """Publish to one topic; after a request without an answer none follows, for it would overtake messages."""
        for part in _requests(wire, len(name)):
            self._publish(name, topic, wire, part, outcomes)
            if isinstance(outcome := outcomes[part[-1]], NotSent):
                outcomes |= {index: outcome for index in wire if index not in outcomes}
                return

    def _publish(
        self, name: str, topic: str, wire: dict[int, Any], part: Sequence[int], outcomes: dict[int, SendOutcome]
    ) -> None:
        request = self._make_request(topic=name, messages=[wire[index] for index in part])
        try:
            self._connection.publish(request, timeout=ANSWER_SECONDS, metadata=route("topic", name))
        except self._connection.error as error:
            if code_of(error) != INVALID or len(part) == 1:
                outcomes |= dict.fromkeys(part, outcome_of(error, topic))
                return
            self._publish_halves(name, topic, wire, part, outcomes)
        except ValueError as error:  # of gRPC: the channel is closed
            outcomes |= dict.fromkeys(part, NotSent(reason=str(error)))
        else:
            outcomes |= dict.fromkeys(part, Sent())

    def _publish_halves(
        self, name: str, topic: str, wire: dict[int, Any], part: Sequence[int], outcomes: dict[int, SendOutcome]
    ) -> None:
        middle = len(part) // 2
        self._publish(name, topic, wire, part[:middle], outcomes)
        if isinstance(outcome := outcomes[part[middle - 1]], NotSent):
            outcomes |= dict.fromkeys(part[middle:], outcome)
        else:
            self._publish(name, topic, wire, part[middle:], outcomes)


def _by_topic(messages: Sequence[OutgoingMessage]) -> dict[str, list[int]]:
    topics: dict[str, list[int]] = {}
    for index, message in enumerate(messages):
        topics.setdefault(message.destination, []).append(index)
    return topics


def _requests(wire: dict[int, Any], name_bytes: int) -> Iterator[list[int]]:
    """Yield the messages of one request after another, in their order."""
    part: list[int] = []
    size = name_bytes
    for index, message in wire.items():
        bytes_of_message = message.ByteSize() + FRAME_BYTES
        if part and (len(part) == MAX_MESSAGES or size + bytes_of_message > MAX_BYTES):
            yield part
            part, size = [], name_bytes
        part.append(index)
        size += bytes_of_message
    if part:
        yield part
