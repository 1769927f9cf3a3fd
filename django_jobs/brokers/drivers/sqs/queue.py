"""Receive from a queue: up to ten messages a request, hidden from others until they are deleted or time is over."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from ....exceptions import ConfigurationError
from ....policy.message_batches import batch_seconds
from ...interface import BrokerDownError, ReceivedMessage
from .batches import MAX_ENTRIES, split
from .connection import SqsConnection
from .entries import from_message
from .errors import DENIED, MISSING, AnswerError

MAX_WAIT_SECONDS = 20
DEFAULT_HIDDEN_SECONDS = 30.0
COUNTS = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")


class SqsQueue:
    """A queue that is there. ``hidden_seconds``: how long what is received is hidden; None: as the queue says."""

    kind: Literal["queue"] = "queue"

    def __init__(self, connection: SqsConnection, name: str, *, hidden_seconds: int | None) -> None:
        self._connection = connection
        self._name = name
        self._hidden = {} if hidden_seconds is None else {"VisibilityTimeout": hidden_seconds}
        self._receipts: dict[str, None] = {}
        self._is_closed = False
        self._url = connection.find_queue(name).url
        self.redeliver_seconds: float | None = (
            self._find_redeliver_seconds() if hidden_seconds is None else hidden_seconds
        )

    def receive(self, *, limit: int, wait_seconds: float) -> Sequence[ReceivedMessage]:
        """Ask until an answer is not full, or it takes long.

        A wait below a second is no long poll: SQS knows whole seconds.
        """
        found: list[ReceivedMessage] = []
        until = time.monotonic() + batch_seconds(self.redeliver_seconds)
        long_poll = min(int(wait_seconds), MAX_WAIT_SECONDS)
        while len(found) < limit:
            number = min(limit - len(found), MAX_ENTRIES)
            received = self._receive(number, 0 if found else long_poll)
            found += received
            if len(received) < number or time.monotonic() >= until:
                break
        if not found and not long_poll:
            time.sleep(wait_seconds)  # rather than many requests, each of which is paid for
        return found

    def acknowledge(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Delete messages, ten a request. One whose time is over stays, and is delivered again."""
        receipts = [message.receipt for message in messages]
        self._ask_in_batches("delete_message_batch", receipts)

    def release(self, messages: Sequence[ReceivedMessage], /) -> None:
        """Show these messages to everybody again."""
        self._release([message.receipt for message in messages])

    def backlog(self) -> int | None:
        """Return about how many messages the queue has, with those that are hidden; None if that may not be asked."""
        try:
            answer = self._connection.ask("get_queue_attributes", QueueUrl=self._url, AttributeNames=list(COUNTS))
        except AnswerError as error:
            if error.code in DENIED:
                return None
            raise self._translate(error) from error
        return sum(int(answer["Attributes"].get(name, 0)) for name in COUNTS)

    def close(self) -> None:
        """Release what is not acknowledged, and close the connection."""
        if self._is_closed:
            return
        self._is_closed = True
        with suppress(Exception):
            self._release(list(self._receipts))
        self._connection.close()

    def _find_redeliver_seconds(self) -> float:
        """Return for how long the queue hides what is received; its default if that may not be asked."""
        names = ["VisibilityTimeout"]
        with suppress(AnswerError):
            answer = self._connection.ask("get_queue_attributes", QueueUrl=self._url, AttributeNames=names)
            return float(answer.get("Attributes", {}).get(names[0], DEFAULT_HIDDEN_SECONDS))
        return DEFAULT_HIDDEN_SECONDS

    def _receive(self, number: int, long_poll: int) -> list[ReceivedMessage]:
        answer = self._ask(
            "receive_message",
            MaxNumberOfMessages=number,
            WaitTimeSeconds=long_poll,
            MessageAttributeNames=["All"],
            AttributeNames=["SentTimestamp", "MessageGroupId"],
            **self._hidden,
        )
        received = [from_message(message) for message in answer.get("Messages", ())]
        self._receipts.update(dict.fromkeys(message.receipt for message in received))
        return received

    def _release(self, receipts: Sequence[str]) -> None:
        self._ask_in_batches("change_message_visibility_batch", receipts, VisibilityTimeout=0)

    def _ask_in_batches(self, operation: str, receipts: Sequence[str], **parameters: int) -> None:
        for batch in split(dict.fromkeys(range(len(receipts)), 0)):
            entries = [{"Id": str(index), "ReceiptHandle": receipts[index], **parameters} for index in batch]
            self._ask(operation, Entries=entries)
            for index in batch:
                self._receipts.pop(receipts[index], None)

    def _ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            return self._connection.ask(operation, QueueUrl=self._url, **parameters)
        except AnswerError as error:
            raise self._translate(error) from error

    def _translate(self, error: AnswerError) -> Exception:
        return no_queue(self._connection, self._name, error)


def no_queue(connection: SqsConnection, name: str, error: AnswerError) -> Exception:
    """Return the error of a source that cannot be read, for an answer of SQS; one that nobody foresaw is an outage."""
    if error.code in MISSING:
        return ConfigurationError(
            f"{connection.label}: expected a queue {name!r} in this region and account, but there is none; create it,"
            " or correct the name in @consumes"
        )
    if error.code in DENIED:
        return ConfigurationError(
            f"{connection.label}: expected credentials that may read the queue {name!r}; SQS answers: {error}"
        )
    return BrokerDownError(str(error))
