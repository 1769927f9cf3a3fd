"""Keys, headers and times of Kafka's messages, from one to send and to one that was received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...interface import OutgoingMessage, ReceivedMessage

PREFIX = "ce_"
CONTENT_TYPE = "content-type"


def to_headers(message: OutgoingMessage) -> list[tuple[str, bytes]]:
    """Return the headers to send."""
    headers = {**message.wire_headers(PREFIX), CONTENT_TYPE: message.content_type}
    return [(name, value.encode()) for name, value in headers.items()]


def from_message(message: Any) -> ReceivedMessage:
    """Return a message of the client as one of the contract. A tombstone, which has no value, has an empty body."""
    headers = _texts(message.headers() or ())
    partition, offset = str(message.partition()), message.offset()
    return ReceivedMessage(
        body=message.value() or b"",
        headers={name: value for name, value in headers.items() if name != CONTENT_TYPE},
        content_type=headers.get(CONTENT_TYPE, ""),
        key=_key(message.key()),
        message_id=f"{partition}-{offset}",
        sent_at=_instant(*message.timestamp()),
        partition=partition,
        position=str(offset),
        next_position=str(offset + 1),
    )


def _key(key: bytes | None) -> str | None:
    """Return a key as text; one that no database keeps as text, in hexadecimal digits."""
    if key is None:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return key.hex()
    return key.hex() if "\0" in text else text


def _texts(headers: Sequence[tuple[str, bytes | None]]) -> dict[str, str]:
    """Return the headers that are UTF-8; of several with one name the last."""
    texts = {}
    for name, value in headers:
        try:
            texts[name] = (value or b"").decode()
        except UnicodeDecodeError:
            continue
    return texts


def _instant(kind: int, milliseconds: int) -> datetime | None:
    """Return the time of a message; None if its broker has none (``kind`` 0), or somebody set one that is no time."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC) if kind and milliseconds >= 0 else None
    except (OverflowError, OSError, ValueError):
        return None
