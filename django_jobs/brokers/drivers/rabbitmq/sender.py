"""Publish batches with confirms: publish all, then wait for all answers.

What an exchange refuses (it is not there, no right to write, a message too large) closes the channel, and the answers
of the rest are lost with it. The rest is sent again, apart by destination or in halves, until the message is alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ...interface import BrokerDownError, NotSent, OutgoingMessage, Refused, SendOutcome
from .connection import ANSWER_SECONDS, RabbitConnection, text_of
from .encoding import encode_message
from .flush import Flush

WRITE_BYTES = 65_536
TOO_LARGE = 406
BY_DESTINATION = (403, 404)
"""Replies that are the same for all messages to a destination."""


class RabbitSender:
    """A channel that confirms."""

    def __init__(self, connection: RabbitConnection) -> None:
        self._connection = connection
        self._channel = connection.open_channel()
        self._last_tag = 0
        connection.ask(self._channel.confirm_select)

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Publish all and wait for the answers."""
        batch = _Batch(messages, channel_id=self._channel.channel_id or 0, frame_max=self._connection.frame_max)
        self._send(batch, list(batch.wire))
        return [batch.outcomes[index] for index in range(len(messages))]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, batch: _Batch, indexes: Sequence[int]) -> None:
        """Send some messages of a batch; each has an outcome afterwards."""
        flush = Flush(self._channel, last_tag=self._last_tag)
        reason = ""
        try:
            self._connection.ask(lambda: self._flush(flush, batch, indexes), passing=self._connection.channel_errors)
        except self._connection.channel_errors as error:
            batch.outcomes |= flush.outcomes
            left = [index for index in indexes if index not in flush.outcomes]
            if self._connection.is_open:
                self._connection.ask(self._channel.confirm_select)
                self._last_tag = 0
                self._send_apart(batch, left, error)
                return
            reason = text_of(error)
        except BrokerDownError as error:
            reason = str(error)
        self._last_tag = flush.last_tag
        batch.outcomes |= flush.outcomes
        for index in indexes:
            batch.outcomes.setdefault(index, NotSent(reason=reason or self._silence()))

    def _flush(self, flush: Flush, batch: _Batch, indexes: Sequence[int]) -> None:
        for part in _parts(batch, indexes):
            for index in part:
                flush.expect(index, batch.messages[index])
            self._connection.write(b"".join([batch.wire[index] for index in part]))
            self._connection.drain_all()  # or two that write and do not read wait for each other
        until = time.monotonic() + ANSWER_SECONDS
        while flush.waits and not self._connection.blocked_by and (left := until - time.monotonic()) > 0:
            if self._connection.drain(left):
                until = time.monotonic() + ANSWER_SECONDS

    def _silence(self) -> str:
        return self._connection.blocked_by or f"RabbitMQ has not confirmed it within {ANSWER_SECONDS:.0f} s"

    def _send_apart(self, batch: _Batch, left: Sequence[int], error: Any) -> None:
        """Find whom an error of the channel is about: refuse it if it is alone, else send in parts."""
        groups: dict[str, list[int]] = {}
        for index in left:
            groups.setdefault(batch.messages[index].destination, []).append(index)
        is_about_destination = error.reply_code in BY_DESTINATION
        if len(left) == 1 or (is_about_destination and len(groups) == 1):
            refused = Refused(reason=text_of(error), is_permanent=error.reply_code == TOO_LARGE)
            batch.outcomes |= dict.fromkeys(left, refused)
            return
        middle = len(left) // 2
        for part in list(groups.values()) if is_about_destination else [left[:middle], left[middle:]]:
            self._send(batch, part)


class _Batch:
    """Messages to send, as they are written, and their outcomes so far."""

    def __init__(self, messages: Sequence[OutgoingMessage], *, channel_id: int, frame_max: int) -> None:
        self.messages = messages
        self.wire: dict[int, bytes] = {}
        self.outcomes: dict[int, SendOutcome] = {}
        for index, message in enumerate(messages):
            try:
                self.wire[index] = encode_message(message, channel_id=channel_id, frame_max=frame_max)
            except ValueError as error:
                self.outcomes[index] = Refused(reason=str(error), is_permanent=True)


def _parts(batch: _Batch, indexes: Sequence[int]) -> Iterator[list[int]]:
    """Yield the messages of each write: about 64 KB."""
    part: list[int] = []
    size = 0
    for index in indexes:
        part.append(index)
        size += len(batch.wire[index])
        if size >= WRITE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
