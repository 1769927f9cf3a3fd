"""Pull a subscription. One request is under way at a time; it outlives ``receive``, so no answer to it is lost.

Pub/Sub leases what it puts into an answer. A request that is given up as an answer comes leaves its messages leased to
nobody until the subscription's acknowledgement deadline, and with them all later ones of their keys. So a request
waits for long, and a ``receive`` that waits for less leaves it to the next one.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

from ...interface import BrokerDownError, ReceivedMessage
from .connection import PubSubConnection, route
from .errors import SET_UP, TIMED_OUT, code_of, text_of
from .messages import from_message

MAX_MESSAGES = 1_000
MIN_DEADLINE_SECONDS = 10.0
"""The shortest acknowledgement deadline that a subscription can have; a consumer may not ask for its own."""
PULL_SECONDS = 60.0
"""How long a request waits for the first message."""
ANSWER_SECONDS, CLOSE_SECONDS = 30.0, 5.0
RETURN_SECONDS = 0.5
"""How long the request under way is given to bring what was released, before it is given up."""
IDS_PER_REQUEST = 1_000
"""Acknowledgement ids in a request: up to 512 KiB of them."""


class PubSubQueue:
    """A subscription by its full name. The first request tells whether it can be pulled: its error comes through."""

    kind: Literal["queue"] = "queue"
    redeliver_seconds: float | None = MIN_DEADLINE_SECONDS

    def __init__(self, connection: PubSubConnection, subscription: str) -> None:
        self._connection = connection
        self._subscription = subscription
        self._arrived: deque[ReceivedMessage] = deque()
        self._leased: dict[str, None] = {}
        self._pulling: Any = None
        self._keep(self._pull(MAX_MESSAGES, immediately=True).result())

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Return what has come; wait if that is nothing."""
        if limit <= 0:
            return []
        until = time.monotonic() + wait_seconds
        while not self._arrived:
            if self._pulling is None:
                self._pulling = self._pull(min(limit, MAX_MESSAGES))
            if not self._harvest(max(until - time.monotonic(), 0.0)) or time.monotonic() >= until:
                break
        return [self._arrived.popleft() for _ in range(min(limit, len(self._arrived)))]

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Acknowledge all by one request. Ids that are too old are no error: their messages come again."""
        ids = [message.receipt for message in messages]
        make = self._connection.types.AcknowledgeRequest.pb()
        self._tell(self._connection.acknowledge, ids, lambda part: make(subscription=self._subscription, ack_ids=part))

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Give these messages back, and those that have come since."""
        self._release_all([*(message.receipt for message in messages), *self._untaken()], seconds=ANSWER_SECONDS)

    def backlog(self) -> int | None:
        """Return None: only Cloud Monitoring counts what waits, minutes later."""
        return None

    def close(self) -> None:
        """Give back what is not acknowledged, and close the channel."""
        if not self._connection.is_own:
            return
        with suppress(Exception):
            self._release_all(list(self._leased), seconds=CLOSE_SECONDS)
        self._connection.close()

    def _pull(self, limit: int, *, immediately: bool = False) -> Any:
        """Begin to pull. ``immediately``: the answer does not wait for a message."""
        request = self._connection.types.PullRequest.pb()(
            subscription=self._subscription, max_messages=limit, return_immediately=immediately
        )
        seconds = ANSWER_SECONDS if immediately else PULL_SECONDS
        try:
            return self._connection.pull.future(
                request, timeout=seconds, metadata=route("subscription", self._subscription)
            )
        except ValueError as error:  # of gRPC: the channel is closed
            raise BrokerDownError(str(error)) from error

    def _harvest(self, wait_seconds: float) -> bool:
        """Keep what the request under way brings; False if it has brought nothing yet."""
        try:
            answer = self._pulling.result(timeout=wait_seconds)
        except self._connection.timeout_error:
            return False
        except self._connection.error as error:
            self._pulling = None
            if code_of(error) == TIMED_OUT:
                return True
            raise BrokerDownError(text_of(error)) from error  # opening it anew says what is wrong
        self._pulling = None
        self._keep(answer)
        return True

    def _keep(self, answer: Any) -> None:
        for received in answer.received_messages:
            self._arrived.append(from_message(received))
            self._leased[received.ack_id] = None

    def _release_all(self, ids: list[str], *, seconds: float) -> None:
        """Release messages, also those that the request under way brings: it may be given the same ones again."""
        self._arrived.clear()
        self._release(ids, seconds=seconds)
        if self._pulling is None:
            return
        if self._harvest(RETURN_SECONDS if ids else 0.0):
            self._release(self._untaken(), seconds=seconds)
            self._arrived.clear()
        else:
            self._pulling.cancel()
            self._pulling = None

    def _untaken(self) -> list[str]:
        return [message.receipt for message in self._arrived]

    def _release(self, ids: list[str], *, seconds: float) -> None:
        make = self._connection.types.ModifyAckDeadlineRequest.pb()
        self._tell(
            self._connection.modify_deadline,
            ids,
            lambda part: make(subscription=self._subscription, ack_ids=part, ack_deadline_seconds=0),
            seconds=seconds,
        )

    def _tell(self, request: Any, ids: list[str], make: Any, *, seconds: float = ANSWER_SECONDS) -> None:
        """Make requests for all ids. Raises BrokerDownError."""
        for start in range(0, len(ids), IDS_PER_REQUEST):
            part = ids[start : start + IDS_PER_REQUEST]
            try:
                request(make(part), timeout=seconds, metadata=route("subscription", self._subscription))
            except self._connection.error as error:
                if code_of(error) not in SET_UP:
                    raise BrokerDownError(text_of(error)) from error
            except ValueError as error:
                raise BrokerDownError(str(error)) from error
            for one in part:
                self._leased.pop(one, None)
