"""Append messages to streams: one pipeline a batch, an answer for each message."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ...interface import NotSent, OutgoingMessage, Refused, SendOutcome, Sent
from .errors import Errors
from .fields import RESERVED, to_fields


class RedisSender:
    """``creates_streams``: else messages to a stream that is not there are refused. ``max_length``: about how many
    messages a stream keeps; None: all.
    """

    def __init__(self, client: Any, errors: Errors, *, creates_streams: bool, max_length: int | None) -> None:
        self._client = client
        self._errors = errors
        self._creates_streams = creates_streams
        self._max_length = max_length

    def send(self, messages: Sequence[OutgoingMessage], /) -> Sequence[SendOutcome]:
        """Send all in one pipeline."""
        pipeline = self._client.pipeline(transaction=False)
        refused: dict[int, Refused] = {}
        for index, message in enumerate(messages):
            if wrong := sorted(RESERVED & message.headers.keys()):
                reason = f"the header {wrong[0]!r} has the name of a field that every message has; rename it"
                refused[index] = Refused(reason=reason, is_permanent=True)
                continue
            pipeline.xadd(
                message.destination,
                to_fields(message),
                nomkstream=not self._creates_streams,
                maxlen=self._max_length,
                approximate=True,
            )
        answers = iter(self._errors.ask(lambda: pipeline.execute(raise_on_error=False)))
        return [
            refused[index] if index in refused else self._outcome(message, next(answers))
            for index, message in enumerate(messages)
        ]

    def _outcome(self, message: OutgoingMessage, answer: Any) -> SendOutcome:
        if answer is None:
            return Refused(reason=f"there is no stream {message.destination!r}")
        if not isinstance(answer, Exception):
            return Sent()
        if self._errors.is_down(answer):
            return NotSent(reason=str(answer))
        return Refused(reason=str(answer))

    def close(self) -> None:
        """Close the connection."""
        with suppress(Exception):
            self._client.close()
