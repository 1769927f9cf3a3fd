"""Listen to the channels of NOTIFY on a connection of psycopg 3."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Receive = Callable[[str, str], None]
"""Called with the channel and the payload of a notification."""


def listen(driver_connection: Any, receive: Receive, *, channels: Sequence[str]) -> None:
    """Listen; ``receive`` is called in the connection's thread, also while a statement is executed. One statement."""

    def handle(notification: Any) -> None:
        # Anyone may notify on our channel, and a database without an encoding passes on any bytes.
        receive(notification.relname.decode(errors="replace"), notification.extra.decode(errors="replace"))

    driver_connection.pgconn.notify_handler = handle
    driver_connection.execute("; ".join(f"LISTEN {channel}" for channel in channels), prepare=False)


def receive_buffered(driver_connection: Any) -> None:
    """Have notifications received that were read with a statement's answer, without reading more."""
    pgconn = driver_connection.pgconn
    while notification := pgconn.notifies():
        pgconn.notify_handler(notification)


def receive_unread(driver_connection: Any) -> None:
    """Read what the server has sent, without waiting. Raises psycopg.Error if that is the end of the connection."""
    driver_connection.pgconn.consume_input()
    receive_buffered(driver_connection)
