"""The body of a push: a JSON object around one message. Pub/Sub manual, "Receive push messages"."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...interface import ReceivedMessage
from .messages import received_message

MAX_BYTES = 15_000_000
"""Of an envelope: a message of 10 MB in base64, and its attributes."""


class Pushed(NamedTuple):
    """A pushed message, and the full name of its subscription."""

    subscription: str
    message: ReceivedMessage


def read_envelope(body: bytes) -> Pushed:
    """Return the message in an envelope. Raises ValueError with what is wrong."""
    try:
        envelope = json.loads(body.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    message = envelope.get("message") if isinstance(envelope, Mapping) else None
    if not isinstance(message, Mapping):
        raise ValueError("it is no JSON object with a 'message'")
    attributes = message.get("attributes") or {}
    if not isinstance(attributes, Mapping) or not all(isinstance(value, str) for value in attributes.values()):
        raise ValueError("'attributes' are no object of texts")
    return Pushed(
        subscription=_text(envelope, "subscription"),
        message=received_message(
            body=b64decode(_text(message, "data", default=""), validate=True),
            attributes=attributes,
            key=_text(message, "orderingKey", default=""),
            message_id=_text(message, "messageId"),
            sent_at=_instant(message.get("publishTime")),
            attempt=_attempt(envelope.get("deliveryAttempt")),
        ),
    )


def _text(values: Mapping[str, Any], name: str, *, default: str | None = None) -> str:
    value = values.get(name, default)
    if isinstance(value, str) and (value or default is not None):
        return value
    raise ValueError(f"{name!r} is no text, or missing")


def _instant(text: object) -> datetime | None:
    """Return the time of the message; None if it has none."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _attempt(value: object) -> int:
    return value if type(value) is int and value > 0 else 0
