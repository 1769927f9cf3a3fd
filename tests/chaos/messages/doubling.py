"""Double every delivery once: a message is sent twice, received twice from a queue, taken twice from a log.

For processes of tests. What a process remembers ends with it, so after a kill some are doubled once more.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from django_jobs.brokers import connecting, consumer, readers
from django_jobs.brokers.intake import PositionMovedError, Taken, take_from_log
from django_jobs.brokers.interface import OutgoingMessage, ReceivedMessage, Sender, SendOutcome, Sent
from django_jobs.policy import outage_pauses
from django_jobs.policy.cloud_events import received_id

OWNED_SECONDS = 1.5
ONCE = "DJANGO_JOBS_TEST_ONCE"
"""Set in the environment of a process that is to double nothing."""
WITNESS = "DJANGO_JOBS_TEST_WITNESS"
"""Names the file into which relays write what was confirmed."""


class TwiceSender:
    """Sends each batch twice, and says what the second was answered."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        self._sender.send(messages)
        outcomes = self._sender.send(messages)
        sent = [message for message, outcome in zip(messages, outcomes, strict=True) if isinstance(outcome, Sent)]
        _write_down(os.environ[WITNESS], sent)
        return outcomes

    def close(self) -> None:
        self._sender.close()


def _write_down(path: str, messages: Sequence[OutgoingMessage]) -> None:
    """Append what was confirmed, in one write, which no kill can tear apart."""
    lines = [
        json.dumps({"body": message.body.decode(), "key": message.key, "event_id": message.id}) for message in messages
    ]
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, "".join(f"{line}\n" for line in lines).encode())
    os.close(descriptor)


class TwiceQueue:
    """Gives each message back once, after its commit, as if the acknowledgement had not arrived."""

    def __init__(self, source: Any) -> None:
        self._source = source
        self._known: set[str | None] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        ids = [received_id(one.headers, one.message_id) for one in messages]
        again = [one for one, known_as in zip(messages, ids, strict=True) if known_as in self._known]
        first = [one for one, known_as in zip(messages, ids, strict=True) if known_as not in self._known]
        self._source.acknowledge(again)
        if first:
            self._source.release(first)
        self._known.update(ids)


def take_twice(
    consumption: Any,
    source_id: int,
    messages: Sequence[ReceivedMessage],
    positions: Mapping[str, str],
    *,
    using: str | None,
) -> Taken:
    """Take a batch of a log, and once more as if nothing had been heard of the commit."""
    taken = take_from_log(consumption, source_id, messages, positions, using=using)
    with suppress(PositionMovedError):
        take_from_log(consumption, source_id, messages, positions, using=using)
    return taken


def install() -> None:
    """Double the deliveries of this process, and have it wait for short times only."""
    readers.OWNED_SECONDS = OWNED_SECONDS
    readers.WAIT_SECONDS = 0.2
    consumer.SYNC_SECONDS = 0.3
    outage_pauses.FIRST_SECONDS = 0.1
    outage_pauses.MAX_SECONDS = outage_pauses.MAX_TEST_PAUSE_SECONDS = 0.5
    if ONCE in os.environ:
        return
    readers.take_from_log = take_twice
    reader_of, take = consumer.reader_of, connecting.SenderPool.take

    def reader_of_twice(consumption: Any, source: Any, **options: Any) -> readers.Reader:
        return reader_of(consumption, TwiceQueue(source) if source.kind == "queue" else source, **options)

    def take_sender(self: Any, settings: Any, *, is_fresh: bool = False) -> connecting.PooledSender:
        sender, is_used = take(self, settings, is_fresh=is_fresh)
        if not isinstance(sender, TwiceSender):
            sender = TwiceSender(sender)
        return connecting.PooledSender(sender, is_used)

    consumer.reader_of = reader_of_twice  # type: ignore[assignment]
    connecting.SenderPool.take = take_sender  # type: ignore[method-assign]
