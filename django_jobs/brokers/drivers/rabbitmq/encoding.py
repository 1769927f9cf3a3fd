"""The frames of a message to publish: method, header and body, as AMQP 0-9-1 has them.

The client packs each field by itself, which takes as long as all else that a message costs here.
"""

from __future__ import annotations

from functools import lru_cache
from struct import Struct

from ...interface import OutgoingMessage
from .properties import KEY, PREFIX, address_of

METHOD, HEADER, BODY, FRAME_END = 1, 2, 3, b"\xce"
BASIC, PUBLISH = 60, 40
PERSISTENT = b"\x02"
MANDATORY = b"\x01"
MAX_SHORT, MAX_HEADERS = 255, 100_000
"""Bytes of a name, and of all headers: they cross in one frame, of 128 KB by RabbitMQ's default."""
FRAME_OVERHEAD = 8
_CONTENT_TYPE, _HEADERS, _DELIVERY_MODE, _MESSAGE_ID = 0x8000, 0x2000, 0x1000, 0x80
_FLAGS = _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _MESSAGE_ID
_FRAME = Struct(">BHI")
_METHOD = Struct(">HHH")
_HEADER = Struct(">HHQH")
_LENGTH = Struct(">I")


def encode_message(message: OutgoingMessage, *, channel_id: int, frame_max: int) -> bytes:
    """Return the frames that publish a message with ``mandatory``. Raises ValueError if AMQP cannot carry it."""
    body = message.body
    header = b"".join(
        (
            _HEADER.pack(BASIC, 0, len(body), _FLAGS),
            _short(message.content_type, "content type"),
            _encode_headers(message),
            PERSISTENT,
            _short(message.id, "message id"),
        )
    )
    frames = [
        _method_frame(channel_id, message.destination),
        _FRAME.pack(HEADER, channel_id, len(header)),
        header,
        FRAME_END,
    ]
    room = frame_max - FRAME_OVERHEAD
    for start in range(0, len(body), room):
        part = body[start : start + room]
        frames += (_FRAME.pack(BODY, channel_id, len(part)), part, FRAME_END)
    return b"".join(frames)


@lru_cache(maxsize=256)
def _method_frame(channel_id: int, destination: str) -> bytes:
    address = address_of(destination)
    arguments = _short(address.exchange, "exchange") + _short(address.routing_key, "routing key") + MANDATORY
    payload = _METHOD.pack(BASIC, PUBLISH, 0) + arguments
    return _FRAME.pack(METHOD, channel_id, len(payload)) + payload + FRAME_END


def _encode_headers(message: OutgoingMessage) -> bytes:
    """Return the headers as a table of texts."""
    headers = message.wire_headers(PREFIX)
    if message.key is not None:
        headers[KEY] = message.key
    parts, size = [b""], 0
    for name, text in headers.items():
        value = text.encode("utf-8", "surrogatepass")
        parts += (_name_of_text(name), _LENGTH.pack(len(value)), value)
        size += len(value)
    size += sum(map(len, parts[1::3])) - 2 * len(headers)
    if size > MAX_HEADERS:
        raise ValueError(f"the headers are {size} bytes; RabbitMQ takes up to {MAX_HEADERS}")
    parts[0] = _LENGTH.pack(size + 6 * len(headers))
    return b"".join(parts)


@lru_cache(maxsize=1_024)
def _name_of_text(name: str) -> bytes:
    """Return the name of a header, and the letter of the type text."""
    return _short(name, "name of a header") + b"S"


def _short(text: str, what: str) -> bytes:
    """Return a text of up to 255 bytes behind its length."""
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > MAX_SHORT:
        raise ValueError(f"the {what} is longer than {MAX_SHORT} bytes: {text[:40]!r}...")
    return bytes((len(data),)) + data
