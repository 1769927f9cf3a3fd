"""The fields of a stream's entry, from a message to send and to one that was received."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

from ...interface import OutgoingMessage, ReceivedMessage
from .positions import behind, milliseconds

PREFIX = "ce-"
BODY, CONTENT_TYPE, KEY = "body", "content-type", "key"
RESERVED = frozenset({BODY, CONTENT_TYPE, KEY})


def to_fields(message: OutgoingMessage) -> dict[str, str | bytes]:
    """Return the fields of an entry."""
    fields: dict[str, str | bytes] = {**message.wire_headers(PREFIX), CONTENT_TYPE: message.content_type}
    if message.key is not None:
        fields[KEY] = message.key
    fields[BODY] = message.body
    return fields


def from_entry(entry_id: bytes, fields: Mapping[bytes, bytes], *, partition: str = "") -> ReceivedMessage:
    """Return the message of an entry. Without a field ``body`` its body is a JSON object of all fields."""
    texts = _texts(fields)
    position = entry_id.decode()
    body = fields.get(BODY.encode())
    if body is None:
        body = json.dumps(texts, ensure_ascii=False).encode()
        key, content_type, headers = None, "application/json", {}
    else:
        key, content_type = texts.get(KEY), texts.get(CONTENT_TYPE, "")
        headers = {name: value for name, value in texts.items() if name not in RESERVED}
    return ReceivedMessage(
        body=body,
        headers=headers,
        content_type=content_type,
        key=key,
        message_id=position,
        sent_at=_instant(position),
        partition=partition,
        position=position,
        next_position=behind(position),
        receipt=entry_id,
    )


def _texts(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the fields that are UTF-8."""
    texts = {}
    for name, value in fields.items():
        try:
            texts[name.decode()] = value.decode()
        except UnicodeDecodeError:
            continue
    return texts


def _instant(position: str) -> datetime | None:
    """Return when an entry was added; None if somebody gave it an id that is no time."""
    try:
        return datetime.fromtimestamp(milliseconds(position) / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
