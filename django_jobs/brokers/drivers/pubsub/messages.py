"""From a message to send to Pub/Sub's, and from one that was received. Keys, attributes and their limits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...interface import OutgoingMessage, ReceivedMessage

PREFIX = "ce-"
CONTENT_TYPE = "content-type"
DELIVERY_ATTEMPT = "googclient_deliveryattempt"
"""The header with the number of deliveries, named as by Google's clients; only with a dead letter policy."""
MAX_ATTRIBUTES, MAX_NAME, MAX_VALUE, MAX_KEY = 100, 256, 1_024, 1_024
"""Pub/Sub's quotas, "Resource limits": attributes of a message; bytes of a name, of a value, of an ordering key."""


def to_message(make: Any, message: OutgoingMessage) -> Any:
    """Return what the client publishes; ``make`` is its class. Raises ValueError if Pub/Sub cannot carry it."""
    attributes = {CONTENT_TYPE: message.content_type, **message.wire_headers(PREFIX)}
    _check_limits(attributes, message.key or "")
    return make(data=message.body, attributes=attributes, ordering_key=message.key or "")


def from_message(received: Any) -> ReceivedMessage:
    """Return a message that was pulled; its receipt is the acknowledgement id."""
    message = received.message
    return received_message(
        body=message.data,
        attributes=message.attributes,
        key=message.ordering_key,
        message_id=message.message_id,
        sent_at=_instant(message),
        attempt=received.delivery_attempt,
        receipt=received.ack_id,
    )


def received_message(
    *,
    body: bytes,
    attributes: Mapping[str, str],
    key: str,
    message_id: str,
    sent_at: datetime | None,
    attempt: int,
    receipt: Any = None,
) -> ReceivedMessage:
    """Return a message that was pulled or pushed. ``attempt`` 0: not known."""
    headers = dict(attributes)
    content_type = headers.pop(CONTENT_TYPE, "")
    if attempt:
        headers[DELIVERY_ATTEMPT] = str(attempt)
    return ReceivedMessage(
        body=body,
        headers=headers,
        content_type=content_type,
        key=key or None,
        message_id=message_id or None,
        sent_at=sent_at,
        receipt=receipt,
    )


def _instant(message: Any) -> datetime | None:
    """Return when Pub/Sub took a message; None if that is not told, or is no time of a calendar."""
    try:
        return message.publish_time.ToDatetime(tzinfo=UTC) if message.HasField("publish_time") else None
    except (OverflowError, ValueError):
        return None


def _check_limits(attributes: Mapping[str, str], key: str) -> None:
    if len(attributes) > MAX_ATTRIBUTES:
        raise ValueError(f"the message has {len(attributes)} attributes; Pub/Sub takes up to {MAX_ATTRIBUTES}")
    for name, value in attributes.items():
        _check_bytes("name of a header", name, MAX_NAME)
        _check_bytes(f"header {name!r}", value, MAX_VALUE)
        if not name or name.startswith("goog"):
            raise ValueError(f"the header {name!r} has a name that Pub/Sub keeps for itself; rename it")
    _check_bytes("key", key, MAX_KEY)


def _check_bytes(what: str, text: str, maximum: int) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"the {what} is no text that UTF-8 can carry: {text[:40]!r}") from None
    if size > maximum:
        raise ValueError(f"the {what} has {size} bytes; Pub/Sub takes up to {maximum}")
