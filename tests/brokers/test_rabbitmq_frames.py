"""The frames of RabbitMQ that are written and read here are those of the client, which reads and writes them slowly."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import amqp
import pytest
from amqp.method_framing import frame_handler, frame_writer
from amqp.transport import TCPTransport

from django_jobs.brokers.drivers.rabbitmq.buffered import BufferedConnection
from django_jobs.brokers.drivers.rabbitmq.deliveries import Delivery, delivery_handler
from django_jobs.brokers.drivers.rabbitmq.encoding import encode_message
from django_jobs.brokers.drivers.rabbitmq.properties import from_message
from django_jobs.brokers.interface import OutgoingMessage

CHANNEL = 3
PUBLISH, DELIVER, ACK = (60, 40), (60, 60), (60, 80)
FRAME_MAX = 4_096
BODIES = pytest.mark.parametrize("body", [b"", b"{}", b"x" * 3 * FRAME_MAX], ids=["empty", "small", "three frames"])


def written_by_client(method: tuple[int, int], arguments: bytes, content: Any = None, *, frame_max: int) -> bytes:
    """Return the bytes that the client writes."""
    written = bytearray()
    connection = SimpleNamespace(frame_max=frame_max, bytes_sent=0)
    frame_writer(connection, SimpleNamespace(write=written.extend))(1, CHANNEL, method, arguments, content)
    return bytes(written)


def frames_of(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 3 : at + 7])
        yield data[at], int.from_bytes(data[at + 1 : at + 3]), data[at + 7 : at + 7 + size]
        at += size + 8


@BODIES
@pytest.mark.parametrize("destination", ["orders", "shop/order.placed", "/a/b"])
def test_a_message_is_written_as_the_client_writes_it(body: bytes, destination: str) -> None:
    attributes = {"id": "7f", "source": "/shop", "type": "größer"}
    message = OutgoingMessage(
        destination=destination, body=body, key="k\ud800", attributes=attributes, headers={"tenant": "€", "": "none"}
    )
    exchange, _, routing_key = destination.partition("/") if "/" in destination else ("", "", destination)
    headers = {"tenant": "€", "": "none", **{f"cloudEvents:{name}": text for name, text in attributes.items()}}
    content = amqp.Message(
        body,
        content_type="application/json",
        delivery_mode=2,
        message_id="7f",
        application_headers={**headers, "cloudEvents:partitionkey": "k\ud800"},
    )
    arguments = amqp.serialization.dumps("Bssbb", (0, exchange, routing_key, True, False))
    expected = written_by_client(PUBLISH, arguments, content, frame_max=FRAME_MAX)
    assert encode_message(message, channel_id=CHANNEL, frame_max=FRAME_MAX) == expected


DELIVERED: list[dict[str, Any]] = [
    {},
    {"message_id": "1", "content_type": "text/plain", "timestamp": 1_800_000_000, "application_headers": {"a": "ü"}},
    {
        "application_headers": {
            "a": "b",
            "deaths": [{"count": 1}],
            "n": -7,
            "t": datetime(2026, 1, 1, tzinfo=UTC),
            "raw": b"\xff",
        }
    },
    {"application_headers": {}, "priority": 4, "delivery_mode": 2, "message_id": "x" * 255, "app_id": "a"},
    {
        **{name: name for name in ("content_encoding", "correlation_id", "reply_to", "expiration", "message_id")},
        "type": "t",
        "user_id": "u",
        "timestamp": 7,
    },
]


@BODIES
@pytest.mark.parametrize("properties", DELIVERED, ids=str)
def test_a_delivery_is_read_as_the_client_reads_it(body: bytes, properties: dict[str, Any]) -> None:
    data = delivered(body, **properties)
    by_client: list[Any] = []
    handle = frame_handler(SimpleNamespace(bytes_recv=0), lambda *given: by_client.append(given[3]))
    for frame in frames_of(data):
        handle(frame)
    (theirs,) = by_client
    theirs.delivery_info = {"delivery_tag": 2**40}
    (ours,) = read(data)
    assert from_message(ours) == from_message(theirs)
    assert ours.headers == theirs.headers


def delivered(body: bytes, **properties: Any) -> bytes:
    """Return the frames of a delivery."""
    arguments = amqp.serialization.dumps("sLbss", ("consumer", 2**40, False, "exchange", "key"))
    return written_by_client(DELIVER, arguments, amqp.Message(body, **properties), frame_max=FRAME_MAX)


def read(data: bytes) -> list[Delivery]:
    found: list[Delivery] = []
    handle = delivery_handler(connection_with(found), lambda *_: None)
    assert [handle(frame) for frame in frames_of(data)][-1]
    return found


def connection_with(found: list[Delivery], *, is_closing: bool = False) -> Any:
    channel = SimpleNamespace(is_closing=is_closing, callbacks={"consumer": found.append})
    return SimpleNamespace(bytes_recv=0, channels={CHANNEL: channel})


def test_a_delivery_whose_consumer_has_ended_is_given_back() -> None:
    rejected: list[tuple[int, bool]] = []
    connection = connection_with([])
    channel = connection.channels[CHANNEL]
    channel.callbacks = {}
    channel.basic_reject = lambda tag, *, requeue: rejected.append((tag, requeue))
    for frame in frames_of(delivered(b"{}")):
        delivery_handler_of(connection)(frame)
    assert rejected == [(2**40, True)]


def delivery_handler_of(connection: Any) -> Any:
    """Return one handler for all frames of a connection."""
    if not hasattr(connection, "handler"):
        connection.handler = delivery_handler(connection, lambda *_: None)
    return connection.handler


def test_a_delivery_for_a_channel_that_is_closing_is_left() -> None:
    found: list[Delivery] = []
    connection = connection_with(found, is_closing=True)
    for frame in frames_of(delivered(b"{}")):
        delivery_handler_of(connection)(frame)
    assert found == []


def test_a_method_where_a_body_is_due_is_an_error() -> None:
    connection = connection_with([])
    method, _, _ = frames_of(delivered(b"{}"))
    delivery_handler_of(connection)(method)
    with pytest.raises(amqp.exceptions.UnexpectedFrame, match="frame of type 1"):
        delivery_handler_of(connection)(method)


@pytest.fixture
def wire() -> Iterator[tuple[BufferedConnection, socket.socket]]:
    """A connection past its handshake, and the broker's end of it."""
    here, there = socket.socketpair()
    with closing(here), closing(there):
        connection = BufferedConnection("broker")
        transport = TCPTransport("broker")
        transport.sock, transport.connected = here, True
        transport._setup_transport()
        connection.transport = transport
        connection.read_ahead()
        yield connection, there


def drain(connection: BufferedConnection, *, timeout: float) -> None:
    """Handle frames until there are no more."""
    while True:
        connection.drain_events(timeout=timeout)


def test_many_messages_take_one_system_call(wire: tuple[BufferedConnection, socket.socket]) -> None:
    connection, there = wire
    found: list[Delivery] = []
    connection.on_inbound_frame = delivery_handler(connection_with(found), lambda *_: None)
    receive, calls = connection.transport._quick_recv, []
    connection.transport._quick_recv = lambda size: (calls.append(size), receive(size))[1]
    there.sendall(b"".join(delivered(b"%d" % number) for number in range(100)))
    for _ in range(100):
        connection.drain_events(timeout=30)
    assert [one.body for one in found] == [b"%d" % number for number in range(100)]
    assert len(calls) == 1


def test_a_frame_may_arrive_in_pieces(wire: tuple[BufferedConnection, socket.socket]) -> None:
    connection, there = wire
    found: list[Delivery] = []
    connection.on_inbound_frame = delivery_handler(connection_with(found), lambda *_: None)
    data = delivered(b"first") + delivered(b"second")
    at = 0
    for end in (3, 9, 60, len(data) // 2 + 1, len(data) - 1):
        there.sendall(data[at:end])
        at = end
        with pytest.raises(TimeoutError):
            drain(connection, timeout=0)
    there.sendall(data[at:])
    connection.drain_events(timeout=30)
    assert [one.body for one in found] == [b"first", b"second"]


def test_a_frame_without_its_end_is_an_error(wire: tuple[BufferedConnection, socket.socket]) -> None:
    connection, there = wire
    connection.on_inbound_frame = delivery_handler(connection_with([]), lambda *_: None)
    data = delivered(b"{}")
    there.sendall(data + data[:-1] + b"\x00")
    with pytest.raises(amqp.exceptions.UnexpectedFrame):
        drain(connection, timeout=30)
