"""Receive from a stream through a group, which remembers which messages are not acknowledged.

Each source is a consumer of its own, for as long as it is open. What a dead consumer has left is taken over once it has
been idle for ``redeliver_after``; what is released is given to the consumer ``released``, as if it were idle for long.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal
from uuid import uuid4

from ...interface import ReceivedMessage, Subscription
from .errors import Errors
from .fields import from_entry
from .stream import entries_of

RELEASED = "released"
DEAD_AFTER_MILLISECONDS = 24 * 3600 * 1000
"""A consumer without messages that has asked for none for so long is deleted."""


class RedisGroup:
    """The stream of a subscription, by its group, which is created if it is not there."""

    kind: Literal["queue"] = "queue"

    def __init__(self, client: Any, errors: Errors, subscription: Subscription, *, redeliver_after: timedelta) -> None:
        self._client = client
        self._errors = errors
        self._stream, self._group = subscription.name, subscription.group
        self._consumer = f"django_jobs-{uuid4().hex}"
        self.redeliver_seconds: float | None = redeliver_after.total_seconds()
        self._idle_milliseconds = max(round(redeliver_after.total_seconds() * 1000), 1)
        self._pending: set[bytes] = set()
        self._is_closed = False
        errors.ask(lambda: self._create_group(start="0" if subscription.start == "earliest" else "$"))
        errors.ask(self._delete_dead_consumers)

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Take over what was left for too long; if that is nothing, wait for new messages."""
        if limit <= 0:
            return []
        entries = self._errors.ask(lambda: self._take_over(limit))
        if not entries:
            entries = self._errors.ask(lambda: self._read_new(limit, wait_seconds))
        self._pending.update(entry_id for entry_id, _ in entries)
        return [from_entry(entry_id, fields) for entry_id, fields in entries]

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Acknowledge all by one command."""
        ids = [message.receipt for message in messages]
        if ids:
            self._errors.ask(lambda: self._client.xack(self._stream, self._group, *ids))
            self._pending.difference_update(ids)

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Have others take these messages over at once."""
        self._errors.ask(lambda: self._release_ids([message.receipt for message in messages]))

    def backlog(self) -> int | None:
        """Return how many messages are new or not acknowledged; None before Redis 7, and if Redis cannot tell."""
        groups = self._errors.ask(lambda: self._client.xinfo_groups(self._stream))
        for group in groups:
            if group["name"] == self._group.encode() and group.get("lag") is not None:
                return int(group["lag"]) + int(group["pending"])
        return None

    def close(self) -> None:
        """Release what is not acknowledged, and leave the group."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(Exception):
            self._release_ids(list(self._pending))
            self._delete_consumer(self._consumer)
        with suppress(Exception):
            self._client.close()

    def _create_group(self, *, start: str) -> None:
        try:
            self._client.xgroup_create(self._stream, self._group, id=start)
        except self._errors.of_answers as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _take_over(self, limit: int) -> list[Any]:
        answer = self._client.xautoclaim(
            self._stream, self._group, self._consumer, self._idle_milliseconds, "0-0", count=limit
        )
        # Redis 6.2 answers with None for an entry that was deleted meanwhile.
        return [(entry_id, fields) for entry_id, fields in answer[1] if fields is not None]

    def _read_new(self, limit: int, wait_seconds: float) -> list[Any]:
        block = round(wait_seconds * 1000) or None
        answer = self._client.xreadgroup(self._group, self._consumer, {self._stream: ">"}, count=limit, block=block)
        return list(entries_of(answer))

    def _release_ids(self, ids: Sequence[bytes]) -> None:
        if ids:
            # Not a message that was acknowledged, or taken over by others: only those of this consumer.
            own = self._client.xpending_range(
                self._stream, self._group, "-", "+", len(self._pending) + len(ids), consumername=self._consumer
            )
            mine = sorted({entry["message_id"] for entry in own} & set(ids))
            if mine:
                idle = 2 * self._idle_milliseconds
                self._client.xclaim(self._stream, self._group, RELEASED, 0, mine, idle=idle, justid=True)
            self._pending.difference_update(ids)

    def _delete_dead_consumers(self) -> None:
        for consumer in self._client.xinfo_consumers(self._stream, self._group):
            if consumer["idle"] > DEAD_AFTER_MILLISECONDS and consumer["name"] != RELEASED.encode():
                self._delete_consumer(consumer["name"])

    def _delete_consumer(self, name: str | bytes) -> None:
        """Delete a consumer that holds no message; with it Redis would forget those that it holds."""
        if not self._client.xpending_range(self._stream, self._group, "-", "+", 1, consumername=name):
            self._client.xgroup_delconsumer(self._stream, self._group, name)
