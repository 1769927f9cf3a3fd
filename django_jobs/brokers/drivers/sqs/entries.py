"""The text and attributes of a message in a queue, from one to send and to one that was received."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...interface import OutgoingMessage, ReceivedMessage

PREFIX = "ce-"
KEY, CONTENT_TYPE = f"{PREFIX}partitionkey", "content-type"
ENCODING, BASE64 = "content-transfer-encoding", "base64"
MORE = "more-headers"
RESERVED = frozenset({KEY, CONTENT_TYPE, ENCODING, MORE})
MAX_ATTRIBUTES = 10
MAX_BYTES = 1024 * 1024
"""Of a message: its text, and the names, types and values of its attributes. A queue may allow less."""
EMPTY_BODY = "\n"
"""SQS takes no empty text; in base64 this is one."""
TYPE = "String"
_TEXT = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""What a text or a value may be: the characters of XML, at least one."""
_ATTRIBUTE = re.compile(r"(?!aws\.|amazon\.)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.IGNORECASE)
_MAX_NAME = 256
_FIFO_ID = re.compile(r"[!-~]{1,128}")


def to_entry(message: OutgoingMessage, *, is_fifo: bool) -> dict[str, Any]:
    """Return a message for SendMessageBatch, without its ``Id``. Raises ValueError if SQS can never carry it."""
    if wrong := sorted(RESERVED & message.headers.keys()):
        raise ValueError(f"the header {wrong[0]!r} has the name of an attribute with a meaning; rename it")
    text = _as_text(message.body)
    attributes = _to_attributes(message, is_encoded=text is None)
    entry: dict[str, Any] = {
        "MessageBody": _encode(message.body) if text is None else text,
        "MessageAttributes": {name: {"DataType": TYPE, "StringValue": value} for name, value in attributes.items()},
    }
    if is_fifo:
        entry["MessageGroupId"] = _as_fifo_id(message.id if message.key is None else message.key)
        entry["MessageDeduplicationId"] = _as_fifo_id(message.id)
    if (size := size_of(entry)) > MAX_BYTES:
        raise ValueError(f"the message is {size} bytes with its attributes; SQS takes up to {MAX_BYTES}")
    return entry


def size_of(entry: Mapping[str, Any]) -> int:
    """Return the bytes of a message, as SQS counts them."""
    texts = [entry["MessageBody"]]
    for name, attribute in entry["MessageAttributes"].items():
        texts += [name, attribute["DataType"], attribute["StringValue"]]
    return sum(len(text.encode()) for text in texts)


def from_message(message: Mapping[str, Any]) -> ReceivedMessage:
    """Return a message that ReceiveMessage gave; its receipt is the receipt handle."""
    headers = _texts(message.get("MessageAttributes", {}))
    headers |= _unfold(headers)
    system = message.get("Attributes", {})
    body = _decode(message["Body"]) if headers.get(ENCODING) == BASE64 else None
    return ReceivedMessage(
        body=message["Body"].encode("utf-8", "surrogatepass") if body is None else body,
        headers={name: value for name, value in headers.items() if name not in RESERVED},
        content_type=headers.get(CONTENT_TYPE, ""),
        key=_key_of(headers, system.get("MessageGroupId")),
        message_id=message["MessageId"],
        sent_at=_instant(system.get("SentTimestamp")),
        receipt=message["ReceiptHandle"],
    )


def _as_text(body: bytes) -> str | None:
    """Return the text of a body; None if SQS cannot carry it as text."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return None
    return text if _TEXT.fullmatch(text) else None


def _encode(body: bytes) -> str:
    return base64.b64encode(body).decode() or EMPTY_BODY


def _decode(text: str) -> bytes | None:
    """Return the bytes of a text in base64, or None."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


def _to_attributes(message: OutgoingMessage, *, is_encoded: bool) -> dict[str, str]:
    """Return up to ten attributes: those of CloudEvents first, then headers, then one with all that is left."""
    own = {CONTENT_TYPE: message.content_type}
    if is_encoded:
        own[ENCODING] = BASE64
    if message.key is not None:
        own[KEY] = message.key
    wire = message.wire_headers(PREFIX)
    events = {PREFIX + name for name in message.attributes}
    values = own | {name: wire[name] for name in sorted(wire, key=lambda name: name not in events)}
    fitting = [name for name, value in values.items() if _is_attribute(name, value)]
    if len(fitting) == len(values) <= MAX_ATTRIBUTES:
        return values
    attributes = {name: values[name] for name in fitting[: MAX_ATTRIBUTES - 1]}
    left = {name: value for name, value in values.items() if name not in attributes}
    return attributes | {MORE: json.dumps(left, separators=(",", ":"))}


def _is_attribute(name: str, value: str) -> bool:
    return bool(len(name) <= _MAX_NAME and _ATTRIBUTE.fullmatch(name) and _TEXT.fullmatch(value))


def _as_fifo_id(text: str) -> str:
    """Return a text as a group or deduplication id: itself, or its hash if it is too long or has other characters."""
    if _FIFO_ID.fullmatch(text):
        return text
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _texts(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the attributes that are text or numbers, and of the binary ones those that are UTF-8."""
    texts = {}
    for name, attribute in attributes.items():
        value = attribute.get("StringValue")
        if value is None:
            try:
                value = bytes(attribute.get("BinaryValue", b"")).decode()
            except UnicodeDecodeError:
                continue
        texts[name] = value
    return texts


def _unfold(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that are in one attribute."""
    try:
        found = json.loads(headers.get(MORE, "{}"))
    except (ValueError, RecursionError):
        return {}
    items = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in items if isinstance(value, str)}


def _key_of(headers: Mapping[str, str], group: str | None) -> str | None:
    """Return the publisher's key; of a FIFO queue the group, unless it stands for a message without a key."""
    if KEY in headers:
        return headers[KEY]
    return None if group is not None and group == headers.get(f"{PREFIX}id") else group


def _instant(milliseconds: str | None) -> datetime | None:
    """Return when SQS took a message; None if that is not told."""
    try:
        return datetime.fromtimestamp(int(milliseconds or "") / 1000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
