"""Send messages: batches of up to ten of one queue, and an outcome for each message by its own entry in the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...interface import BrokerDownError, NotSent, OutgoingMessage, Refused, SendOutcome, Sent
from .batches import split
from .connection import Queue, SqsConnection
from .entries import size_of, to_entry
from .errors import BY_CONTENT, MISSING, AnswerError, outcome_of

NO_ANSWER = "SQS has not answered for this message"


class SqsSender:
    """One request after the other; after one without an answer no more are sent."""

    def __init__(self, connection: SqsConnection) -> None:
        self._connection = connection

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Send all, queue by queue."""
        outcomes: dict[int, SendOutcome] = {}
        by_name: dict[str, list[int]] = {}
        for index, message in enumerate(messages):
            by_name.setdefault(message.destination, []).append(index)
        reason = NO_ANSWER
        try:
            for name, indexes in by_name.items():
                self._send_to(name, {index: messages[index] for index in indexes}, outcomes)
        except BrokerDownError as error:
            reason = str(error)
        return [outcomes.get(index, NotSent(reason=reason)) for index in range(len(messages))]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send_to(self, name: str, messages: Mapping[int, OutgoingMessage], outcomes: dict[int, SendOutcome]) -> None:
        """Send the messages of one queue, or refuse those without an outcome if the queue is not there or closed."""
        try:
            queue = self._connection.find_queue(name)
            entries = _entries(messages, outcomes, is_fifo=queue.is_fifo)
            for batch in split({index: size_of(entry) for index, entry in entries.items()}):
                self._send_batch(queue, {index: entries[index] for index in batch}, outcomes)
        except ValueError as error:
            refused = Refused(reason=str(error), is_permanent=True)
        except AnswerError as error:
            refused = Refused(reason=f"there is no queue {name!r}" if error.code in MISSING else str(error))
        else:
            return
        for index in messages:
            outcomes.setdefault(index, refused)

    def _send_batch(
        self, queue: Queue, entries: Mapping[int, dict[str, Any]], outcomes: dict[int, SendOutcome]
    ) -> None:
        """Send one request; one that is refused for the content of a message is sent again message by message."""
        request = [{"Id": str(index), **entry} for index, entry in entries.items()]
        try:
            answer = self._connection.ask("send_message_batch", QueueUrl=queue.url, Entries=request)
        except AnswerError as error:
            if error.code not in BY_CONTENT:
                raise
            if len(entries) > 1:
                for index, entry in entries.items():
                    self._send_batch(queue, {index: entry}, outcomes)
            else:
                outcomes.update(dict.fromkeys(entries, Refused(reason=str(error), is_permanent=True)))
            return
        outcomes.update({int(sent["Id"]): Sent() for sent in answer.get("Successful", ())})
        outcomes.update({int(failed["Id"]): outcome_of(failed) for failed in answer.get("Failed", ())})


def _entries(
    messages: Mapping[int, OutgoingMessage], outcomes: dict[int, SendOutcome], *, is_fifo: bool
) -> dict[int, dict[str, Any]]:
    """Return the messages as SQS takes them; those that it never can are refused."""
    entries = {}
    for index, message in messages.items():
        try:
            entries[index] = to_entry(message, is_fifo=is_fifo)
        except ValueError as error:
            outcomes[index] = Refused(reason=str(error), is_permanent=True)
    return entries
