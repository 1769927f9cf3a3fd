"""Brokers for chaos, each with a way to break it, and a witness: all that ever was sent to a topic, in its order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol
from uuid import uuid4

from django_jobs.brokers.connecting import driver_of
from django_jobs.brokers.interface import Subscription
from django_jobs.brokers.replaying import read_ranges
from django_jobs.conf.brokers import as_brokers
from tests.private.rabbitmq import PrivateRabbitMQ
from tests.private.redis import PrivateRedis
from tests.process.proxy import Proxy

from .audit import Record
from .clouds import ChaosPubSub, ChaosSqs
from .jobs import BROKER
from .kafka import ChaosKafka
from .records import record_of


class ChaosBroker(Protocol):
    """``destination`` is where messages are published to, ``topic`` where they are consumed."""

    kind: Literal["log", "queue"]
    group: str
    is_stream: bool
    settings: dict[str, Any]

    def new_topic(self) -> tuple[str, str]:
        """Make a topic; return destination and topic."""

    def strike(self) -> str:
        """Cut all connections, or kill the broker and start it again; return what was done."""

    def records(self, topic: str) -> list[Record] | None:
        """Return all messages that ever were sent to a topic; None: ask the relays' witness."""

    def left(self, topic: str) -> int:
        """Return how many messages of a queue are not acknowledged."""

    def remove(self) -> None:
        """End the server."""


class ChaosRabbitMQ:
    """A topic exchange with two queues: what goes to the consumed one also goes to the witness."""

    kind: Literal["log", "queue"] = "queue"
    group = ""
    is_stream = False

    def __init__(self, *, is_killed: bool) -> None:
        self._is_killed = is_killed
        self._server = PrivateRabbitMQ()
        self._server.start()
        self._proxy = Proxy("127.0.0.1", self._server.port)
        self.settings = {"url": f"amqp://guest:guest@127.0.0.1:{self._proxy.port}/"}

    def new_topic(self) -> tuple[str, str]:
        name = f"queue-{uuid4().hex[:8]}"
        with self._server.connect() as connection:
            channel = connection.channel()
            channel.exchange_declare(f"{name}-exchange", "topic", durable=True, auto_delete=False)
            for queue in (name, f"{name}-witness"):
                channel.queue_declare(queue, durable=True, auto_delete=False)
                channel.queue_bind(queue, f"{name}-exchange", "#")
        return f"{name}-exchange/orders", name

    def strike(self) -> str:
        if not self._is_killed:
            return f"{self._proxy.cut()} connections to RabbitMQ are cut"
        self._server.crash()
        self._server.start()
        return "RabbitMQ is killed and started"

    def records(self, topic: str) -> list[Record]:
        found = []
        with self._server.connect() as connection:
            channel = connection.channel()
            while (message := channel.basic_get(f"{topic}-witness", no_ack=True)) is not None:
                headers = message.properties["application_headers"]
                found.append(record_of(message.body, headers["cloudEvents:partitionkey"], headers["cloudEvents:id"]))
        return found

    def left(self, topic: str) -> int:
        with self._server.connect() as connection:
            return int(connection.channel().queue_declare(topic, passive=True).message_count)

    def remove(self) -> None:
        self._proxy.close()
        self._server.remove()


class ChaosRabbitStream(ChaosRabbitMQ):
    """A stream behind a topic exchange, read as a log; it keeps all, so it is its own witness."""

    kind: Literal["log", "queue"] = "log"
    group = "shipping"
    is_stream = True

    def new_topic(self) -> tuple[str, str]:
        name = f"stream-{uuid4().hex[:8]}"
        with self._server.connect() as connection:
            channel = connection.channel()
            channel.exchange_declare(f"{name}-exchange", "topic", durable=True, auto_delete=False)
            arguments = {"x-queue-type": "stream"}
            channel.queue_declare(name, durable=True, auto_delete=False, arguments=arguments)
            channel.queue_bind(name, f"{name}-exchange", "#")
        return f"{name}-exchange/orders", name

    def strike(self) -> str:
        """Cut connections, or stop the node and start it: RabbitMQ 3.10 that is killed may lose what it confirmed."""
        if not self._is_killed:
            return super().strike()
        self._server.stop()
        self._server.start()
        return "RabbitMQ is stopped and started"

    def records(self, topic: str) -> list[Record]:
        driver = driver_of(as_brokers("BROKERS", {BROKER: self.settings})[BROKER])
        source = driver.open_source(Subscription(broker=BROKER, name=topic, group=self.group, stream=True))
        assert source.kind == "log"
        bounds, found = source.range_of("0"), []
        for batch in read_ranges(source, {"0": (bounds.first, bounds.end)}):
            found += [
                record_of(one.body, one.headers["cloudEvents:partitionkey"], one.headers["cloudEvents:id"])
                for one in batch
            ]
        source.close()
        return found

    def left(self, topic: str) -> int:
        return 0


class ChaosRedis:
    """A stream, read as a log or by a group; the server is killed, and keeps what it has confirmed."""

    is_stream = False

    def __init__(self, group: str) -> None:
        self.kind: Literal["log", "queue"] = "queue" if group else "log"
        self.group = group
        self._server = PrivateRedis()
        self._server.start()
        options = {"create_streams": True} | ({"redeliver_after": 1} if group else {})
        self.settings = {"url": f"redis://127.0.0.1:{self._server.port}/0", "options": options}

    def new_topic(self) -> tuple[str, str]:
        name = f"stream-{uuid4().hex[:8]}"
        return name, name

    def strike(self) -> str:
        self._server.crash()
        self._server.start()
        return "Redis is killed and started"

    def records(self, topic: str) -> list[Record]:
        with self._server.connect() as client:
            entries = client.xrange(topic)
        return [record_of(one[b"body"], one[b"key"].decode(), one[b"ce-id"].decode()) for _, one in entries]

    def left(self, topic: str) -> int:
        if not self.group:
            return 0
        with self._server.connect() as client:
            groups = {one["name"]: one for one in client.xinfo_groups(topic)}
        group = groups[self.group.encode()]
        return int(group["pending"]) + int(group["lag"] or 0)

    def remove(self) -> None:
        self._server.remove()


BROKERS: dict[str, Callable[..., ChaosBroker]] = {
    "rabbitmq": ChaosRabbitMQ,
    "rabbitmq-stream": ChaosRabbitStream,
    "kafka": ChaosKafka,
    "redis-stream": lambda *, is_killed: ChaosRedis(""),
    "redis-group": lambda *, is_killed: ChaosRedis("shipping"),
    "sqs": ChaosSqs,
    "pubsub": ChaosPubSub,
}
"""One line a broker. ``is_killed``: also one whose start takes seconds."""
