"""Send messages to topics: one flush a batch, and an outcome for each message by its delivery report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ...interface import NotSent, OutgoingMessage, Refused, SendOutcome, Sent
from .errors import Errors
from .messages import to_headers

FULL_SECONDS = 0.05
"""How long a full queue of the client is given to drain, at a time."""


class KafkaSender:
    """``topics``: those that are known to be there. ``creates_topics``: the broker may create a topic that is not
    there; else its messages are refused. ``seconds``: after so long the client gives a message up.
    """

    def __init__(
        self, producer: Any, errors: Errors, *, topics: set[str], creates_topics: bool, seconds: float
    ) -> None:
        self._producer: Any = producer
        self._errors = errors
        self._creates_topics = creates_topics
        self._seconds = seconds
        self._topics = topics

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Hand all to the client and wait until each is confirmed, refused or given up."""
        until = time.monotonic() + self._seconds
        outcomes: list[SendOutcome | None] = [None] * len(messages)
        missing = self._missing({message.destination for message in messages})
        for index, message in enumerate(messages):
            outcomes[index] = missing.get(message.destination) or self._produce(outcomes, index, message, until)
        self._producer.flush(self._seconds)
        return [outcome or self._errors.not_sent("no answer in time") for outcome in outcomes]

    def close(self) -> None:
        """Forget what is under way, and let the client go."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):
                producer.purge()
                producer.poll(0)

    def _missing(self, destinations: set[str]) -> dict[str, SendOutcome]:
        """Return the outcomes of messages to topics that are not there; each topic is asked for once.

        A broker may create a topic for the first message that names it, so such a message must not reach it.
        """
        missing: dict[str, SendOutcome] = {}
        if self._creates_topics:
            return missing
        for name in destinations - self._topics:
            error = self._error_of(name)
            outcome = None if error is None else self._errors.outcome(error, name)
            if isinstance(outcome, Refused):
                missing[name] = outcome
            elif outcome is None:
                self._topics.add(name)
        return missing

    def _error_of(self, topic: str) -> Any:
        """Return the error in a topic's metadata; None if the topic is there."""
        ask = self._producer.list_topics
        return self._errors.connect(self._producer, lambda seconds: ask(topic, timeout=seconds)).topics[topic].error

    def _produce(
        self, outcomes: list[SendOutcome | None], index: int, message: OutgoingMessage, until: float
    ) -> SendOutcome | None:
        """Hand a message over; its report puts its outcome into the list. Return the outcome if there will be none."""

        def report(error: Any, _message: Any) -> None:
            outcomes[index] = Sent() if error is None else self._errors.outcome(error, message.destination)

        while True:
            try:
                self._producer.produce(
                    message.destination,
                    value=message.body,
                    key=None if message.key is None else message.key.encode(),
                    headers=to_headers(message),
                    on_delivery=report,
                )
            except BufferError:
                if time.monotonic() >= until:
                    return NotSent(reason="the client's queue stays full")
                self._producer.poll(FULL_SECONDS)
            except self._errors.exception as error:
                return self._errors.outcome(error.args[0], message.destination)
            else:
                return outcomes[index]
