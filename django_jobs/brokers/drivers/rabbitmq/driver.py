"""Connect to RabbitMQ: a sender, or the queue or stream that a subscription names."""

from __future__ import annotations

from typing import Any

from ....conf.brokers import BrokerSettings
from ....exceptions import ConfigurationError
from ...interface import BrokerDownError, Source, SourceKind, Subscription, import_client
from .connection import RabbitConnection, connect, is_for_now, text_of
from .queue import RabbitQueue
from .sender import RabbitSender
from .stream import RabbitStream

PREFETCH = 1_000
"""So many messages RabbitMQ gives to a consumer ahead of their acknowledgement: two full batches."""
HEARTBEAT_SECONDS = 60.0
MAX_SHORT = 255
"""Bytes in a name of AMQP."""


class RabbitDriver:
    """The driver of ``amqp:`` and ``amqps:``."""

    def __init__(self, settings: BrokerSettings, /) -> None:
        self._settings = settings

    def check(self, subscription: Subscription, /) -> None:
        """Refuse groups and ``start="latest"`` of a queue, names that are too long, and a URL with a query."""
        self._check_url()
        if not subscription.stream:
            _check_queue(subscription)
        for option, name in [
            ("name", subscription.name),
            *(("bind", text) for pair in subscription.bind for text in pair),
        ]:
            if len(name.encode()) > MAX_SHORT:
                raise ConfigurationError(f"{option}: expected up to {MAX_SHORT} bytes, got {len(name.encode())}")

    def source_kind(self, subscription: Subscription, /) -> SourceKind:
        """Return that a stream is a log."""
        return "log" if subscription.stream else "queue"

    def open_sender(self) -> RabbitSender:
        """Connect. Without heartbeats, for nobody ticks while a sender is idle: the kernel's probes keep watch."""
        connection = self._connect(heartbeat=0.0)
        try:
            return RabbitSender(connection)
        except BaseException:
            connection.close()
            raise

    def open_source(self, subscription: Subscription, /) -> Source:
        """Connect, see that the queue or stream is there, and bind it."""
        heartbeat = self._settings.options.get("heartbeat")
        connection = self._connect(heartbeat=HEARTBEAT_SECONDS if heartbeat is None else heartbeat.total_seconds())
        try:
            channel = connection.open_channel()
            self._ensure_queue(connection, channel, subscription)
            for exchange, pattern in subscription.bind:
                connection.set_up(
                    lambda exchange=exchange, pattern=pattern: channel.queue_bind(  # type: ignore[misc]  # bound now
                        subscription.name, exchange, pattern
                    ),
                    expected=f"an exchange {exchange!r} to which the queue {subscription.name!r} can be bound",
                )
            prefetch = self._settings.options.get("prefetch", PREFETCH)
            if subscription.stream:
                stream = RabbitStream(connection, subscription.name, prefetch=prefetch)
                stream.check()
                return stream
            return RabbitQueue(connection, channel, subscription.name, prefetch=prefetch)
        except BaseException:
            connection.close()
            raise

    def _ensure_queue(self, connection: RabbitConnection, channel: Any, subscription: Subscription) -> None:
        """Create the queue as a quorum queue, or a stream, if it is not there and the options say so."""
        kind, queue_type = ("stream", "stream") if subscription.stream else ("queue", "quorum")
        name = subscription.name
        creates = self._settings.options.get("create_queues", False)
        try:
            connection.ask(lambda: channel.queue_declare(name, passive=True), passing=connection.not_found)
        except connection.not_found as error:
            if is_for_now(error):
                raise BrokerDownError(text_of(error)) from error
            if not creates:
                raise ConfigurationError(
                    f"{self._label}: expected a {kind} {name!r}, but there is none; create it, or set"
                    ' "options": {"create_queues": True}'
                ) from error
            connection.set_up(
                lambda: channel.queue_declare(
                    name, durable=True, auto_delete=False, arguments={"x-queue-type": queue_type}
                ),
                expected=f"to create the {kind} {name!r}",
            )

    @property
    def _label(self) -> str:
        return f"DJANGO_JOBS['BROKERS'][{self._settings.name!r}]"

    def _check_url(self) -> None:
        if self._settings.url.query:
            raise ConfigurationError(
                f'{self._label}: expected a URL such as {self._settings.scheme.example}, got one with "?"; what it'
                ' asks for goes into "options"'
            )

    def _connect(self, *, heartbeat: float) -> RabbitConnection:
        self._check_url()
        client = import_client(self._settings.scheme)
        return connect(client, self._settings, label=self._label, heartbeat=heartbeat)


def _check_queue(subscription: Subscription) -> None:
    if subscription.group:
        raise ConfigurationError(
            f"group: a queue of RabbitMQ has no groups, got {subscription.group!r}; leave it out: all consumers of"
            " a queue share it, and each other purpose gets a queue of its own, bound to the same exchange by bind;"
            " or set stream=True if it is a stream"
        )
    if subscription.start != "earliest":
        raise ConfigurationError(
            f"start: a queue of RabbitMQ is read from its first message, got {subscription.start!r}; leave it out,"
            " or set stream=True if it is a stream"
        )
