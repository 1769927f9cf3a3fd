"""The address of a message, and the properties and headers of one that was received."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from ...interface import ReceivedMessage

PREFIX = "cloudEvents:"
KEY = f"{PREFIX}partitionkey"


class Address(NamedTuple):
    """A place to publish to; the exchange without a name delivers to the queue of the routing key."""

    exchange: str
    routing_key: str


def address_of(destination: str) -> Address:
    """Return the address of ``exchange/routing.key``, of a queue's name, or of ``/name`` for one with a slash."""
    exchange, slash, routing_key = destination.partition("/")
    return Address(exchange, routing_key) if slash else Address("", destination)


def from_message(message: Any) -> ReceivedMessage:
    """Return a message that was delivered; its receipt is the delivery tag."""
    properties = message.properties
    headers = _texts(properties.get("application_headers") or {})
    body = message.body
    return ReceivedMessage(
        body=body.encode() if isinstance(body, str) else bytes(body),
        headers=headers,
        content_type=properties.get("content_type", ""),
        key=headers.get(KEY),
        message_id=properties.get("message_id") or None,
        sent_at=_instant(properties.get("timestamp")),
        receipt=message.delivery_tag,
    )


def _texts(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Return the headers that are text, numbers or times; a table or list, such as ``x-death``, is left out."""
    texts = {}
    for name, value in headers.items():
        if type(value) is str:
            text: str | None = value
        else:
            text = _text(value)
        if text is not None and isinstance(name, str):
            texts[name] = text
    return texts


def _text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float() | Decimal():
            return str(value)
        case datetime():
            return value.isoformat()
    return None


def _instant(seconds: object) -> datetime | None:
    """Return the publisher's time; None if it has none, or one that is no time."""
    if not isinstance(seconds, int):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
