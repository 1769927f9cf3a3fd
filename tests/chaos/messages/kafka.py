"""Kafka for chaos: cut off, or killed."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from confluent_kafka import Consumer, TopicPartition

from tests.private.kafka import BUCKET, PrivateKafka
from tests.private.object_store import PrivateObjectStore
from tests.process.proxy import Proxy

from .audit import Record
from .records import record_of

PARTITIONS = 3
QUIET_SECONDS = 2.0
"""A log that gives nothing for so long has ended; its high watermark is not to be trusted."""


class ChaosKafka:
    """A topic of three partitions. ``is_killed``: its log is in a store for objects, and survives."""

    kind: Literal["log", "queue"] = "log"
    group = "shipping"
    is_stream = False

    def __init__(self, *, is_killed: bool) -> None:
        self._store = PrivateObjectStore() if is_killed else None
        if self._store is not None:
            self._store.start()
            self._store.create_bucket(BUCKET)
        self._server = PrivateKafka(store=self._store and self._store.url)
        self._proxy = Proxy("127.0.0.1", self._server.port)
        self._server.advertised_port = self._proxy.port
        self._server.start()
        options = {"fetch.wait.max.ms": 50, "socket.timeout.ms": 3_000, "message.timeout.ms": 4_000}
        self.settings = {"url": f"kafka://127.0.0.1:{self._proxy.port}", "options": options}

    def new_topic(self) -> tuple[str, str]:
        name = f"topic-{uuid4().hex[:8]}"
        self._server.create_topic(name, partitions=PARTITIONS)
        return name, name

    def strike(self) -> str:
        if self._store is None:
            return f"{self._proxy.cut()} connections to Kafka are cut"
        self._server.crash()
        self._server.start()
        return "Kafka is killed and started"

    def records(self, topic: str) -> list[Record]:
        consumer = Consumer({"bootstrap.servers": f"127.0.0.1:{self._proxy.port}", "group.id": "witness"})
        consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        found = []
        while messages := consumer.consume(1_000, timeout=QUIET_SECONDS):
            for message in messages:
                assert message.error() is None, message.error()
                headers = {name: value.decode() for name, value in message.headers()}
                found.append(
                    record_of(message.value(), message.key().decode(), headers["ce_id"], str(message.partition()))
                )
        consumer.close()
        return found

    def left(self, topic: str) -> int:
        return 0

    def remove(self) -> None:
        self._proxy.close()
        self._server.remove()
        if self._store is not None:
            self._store.remove()
