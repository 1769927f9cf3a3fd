"""Read the frames of deliveries: a method, a header and the body, which the client decodes field by field.

All other frames are the client's. Imported only where the client ``amqp`` is there.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

from amqp.exceptions import UnexpectedFrame  # type: ignore[import-untyped]
from amqp.method_framing import frame_handler  # type: ignore[import-untyped]
from amqp.serialization import loads  # type: ignore[import-untyped]

METHOD, HEADER, BODY = 1, 2, 3
DELIVER = b"\x00\x3c\x00\x3c"
"""How the payload of ``basic.deliver`` begins: its class and its method."""
_TAG = Struct(">Q")
_SIZE_AND_FLAGS = Struct(">QH")
_LENGTH = Struct(">I")
_CONTENT_TYPE, _ENCODING, _HEADERS, _MESSAGE_ID, _TIMESTAMP = 0x8000, 0x4000, 0x2000, 0x80, 0x40
_OCTETS = (0x1000, 0x800)
"""Delivery mode and priority."""
_TEXTS_BETWEEN = (0x400, 0x200, 0x100)
"""Correlation id, reply to, expiration."""
_LONG_TEXT = ord("S")


class Delivery:
    """A message that is delivered, with what this driver reads of the client's class of messages."""

    __slots__ = ("_missing", "_parts", "body", "consumer_tag", "delivery_tag", "properties")

    def __init__(self, payload: bytes) -> None:
        end = 5 + payload[4]
        self.consumer_tag = payload[5:end].decode()
        (self.delivery_tag,) = _TAG.unpack_from(payload, end)
        self.properties: dict[str, Any] = {}
        self.body = b""
        self._missing = 0
        self._parts: list[bytes] = []

    @property
    def headers(self) -> dict[str, Any] | None:
        """The headers as they came; None if there are none."""
        return self.properties.get("application_headers")

    def take_header(self, payload: bytes) -> bool:
        """Read properties and size; True if there is no body."""
        self._missing, flags = _SIZE_AND_FLAGS.unpack_from(payload, 4)
        self.properties = read_properties(payload, flags)
        return not self._missing

    def take_body(self, payload: bytes) -> bool:
        """Take a part of the body; True if it was the last."""
        self._missing -= len(payload)
        self._parts.append(payload)
        if self._missing > 0:
            return False
        self.body = b"".join(self._parts)
        return True


def delivery_handler(connection: Any, callback: Callable[..., object]) -> Callable[[tuple[int, int, bytes]], bool]:
    """Return a function that handles a frame and tells whether that completed something, as the client's does."""
    handle = frame_handler(connection, callback)
    incomplete: dict[int, Delivery] = {}

    def on_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel_id, payload = frame
        delivery = incomplete.get(channel_id)
        if delivery is None:
            if kind != METHOD or not payload.startswith(DELIVER):
                return bool(handle(frame))
            incomplete[channel_id] = Delivery(payload)
            connection.bytes_recv += 1
            return False
        connection.bytes_recv += 1
        if kind == BODY:
            is_complete = delivery.take_body(payload)
        elif kind == HEADER:
            is_complete = delivery.take_header(payload)
        else:
            raise UnexpectedFrame(f"expected the header or body of a message, got a frame of type {kind}")
        if is_complete:
            del incomplete[channel_id]
            _deliver(connection.channels[channel_id], delivery)
        return is_complete

    return on_frame


def read_properties(payload: bytes, flags: int) -> dict[str, Any]:
    """Return the properties that this driver knows, by the client's names."""
    found: dict[str, Any] = {}
    at = 14
    if flags & _CONTENT_TYPE:
        found["content_type"], at = _short_text(payload, at)
    if flags & _ENCODING:
        at += 1 + payload[at]
    if flags & _HEADERS:
        found["application_headers"], at = _read_headers(payload, at)
    for flag in _OCTETS:
        at += bool(flags & flag)
    for flag in _TEXTS_BETWEEN:
        if flags & flag:
            at += 1 + payload[at]
    if flags & _MESSAGE_ID:
        found["message_id"], at = _short_text(payload, at)
    if flags & _TIMESTAMP:
        (found["timestamp"],) = _TAG.unpack_from(payload, at)
    return found


def _deliver(channel: Any, delivery: Delivery) -> None:
    """Give a message to its consumer, or back if that has gone; one for a channel that is closing is left."""
    if channel.is_closing:
        return
    consumer = channel.callbacks.get(delivery.consumer_tag)
    if consumer is None:
        channel.basic_reject(delivery.delivery_tag, requeue=True)
    else:
        consumer(delivery)


def _short_text(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode("utf-8", "surrogatepass"), end


def _read_headers(payload: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Return the headers, and where they end. If not all are text, the client reads them."""
    start = at
    (length,) = _LENGTH.unpack_from(payload, at)
    at += 4
    end = at + length
    headers: dict[str, Any] = {}
    try:
        while at < end:
            value_at = at + 1 + payload[at]
            if payload[value_at] != _LONG_TEXT:
                raise ValueError
            (length,) = _LENGTH.unpack_from(payload, value_at + 1)
            name, at = payload[at + 1 : value_at].decode(), value_at + 5 + length
            headers[name] = payload[value_at + 5 : at].decode()
    except ValueError:  # another type, or bytes that are no UTF-8
        (headers,), end = loads("F", payload, start)
    return headers, end
