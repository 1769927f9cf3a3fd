"""RabbitMQ for the contract: durable classic queues, or streams, of a node of its own.

A quorum queue answers nobody for some time after its only node was killed, longer than a test waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import amqp

from tests.concurrency import wait_until
from tests.private.base import running
from tests.private.certificate import Certificate
from tests.private.rabbitmq import MAX_BYTES, PrivateRabbitMQ


class RabbitHarness:
    """A node of its own, started once. ``queue_type``: of the queues that a test gets."""

    kind: Literal["log", "queue"] = "queue"
    group = ""
    queue_type = "classic"
    too_large: int | None = MAX_BYTES + 1
    empty_seconds = 0.2

    def __init__(self, server: PrivateRabbitMQ) -> None:
        self._server = server
        self._is_up = True
        self._names: list[str] = []
        self.settings: dict[str, Any] = {"url": f"amqp://guest:guest@127.0.0.1:{server.port}/"}

    @property
    def certificate(self) -> Certificate:
        """The certificate behind ``tls_url``."""
        return self._server.certificate

    @property
    def tls_url(self) -> str:
        """The URL of the same node over TLS."""
        return f"amqps://guest:guest@localhost:{self._server.tls_port}/"

    def connect(self) -> Any:
        """Return a connection of the client."""
        return self._server.connect()

    def new_topic(self) -> str:
        name = f"queue-{uuid4().hex[:8]}"
        with self._server.connect() as connection:
            self._declare(connection, name)
        self._names.append(name)
        return name

    def stop(self) -> None:
        self._server.crash()
        self._is_up = False

    def start(self) -> None:
        if not self._is_up:
            self.start_without_wait()
            wait_until(self._has_its_queues, "the queues are there again")

    def start_without_wait(self) -> None:
        """Start the node, whose streams may not be there yet."""
        self._server.start()
        self._is_up = True

    def _has_its_queues(self) -> bool:
        """Tell whether the queues of tests answer: a stream begins later than its node.

        A node that is killed may have forgotten a queue that was declared just before: it is declared again.
        """
        with self._server.connect() as connection:
            for name in self._names[-3:]:
                try:
                    connection.channel().queue_declare(name, passive=True)
                except amqp.NotFound as error:
                    if "inaccessible" in str(error):
                        return False
                    self._declare(connection, name)
        return True

    def _declare(self, connection: Any, name: str) -> None:
        arguments = {"x-queue-type": self.queue_type}
        connection.channel().queue_declare(name, durable=True, auto_delete=False, arguments=arguments)

    def redeliver(self, topic: str) -> None:
        """Nothing: RabbitMQ delivers again what a connection that is closed has not acknowledged."""


class RabbitQuorumHarness(RabbitHarness):
    """Its queues are quorum queues, as the driver creates them. For the benchmark, which kills no node."""

    queue_type = "quorum"


class RabbitStreamHarness(RabbitHarness):
    """Its queues are streams.

    The node is stopped and not killed: RabbitMQ 3.10 has forgotten a stream that was declared just before.
    """

    kind: Literal["log", "queue"] = "log"
    queue_type = "stream"

    def stop(self) -> None:
        self._server.stop()
        self._is_up = False


@contextmanager
def _started(harness: type[RabbitHarness]) -> Iterator[RabbitHarness]:
    with running(PrivateRabbitMQ()) as server:
        yield harness(server)


@contextmanager
def rabbitmq_queue(folder: Path) -> Iterator[RabbitHarness]:
    with _started(RabbitHarness) as harness:
        yield harness


@contextmanager
def rabbitmq_quorum(folder: Path) -> Iterator[RabbitHarness]:
    with _started(RabbitQuorumHarness) as harness:
        yield harness


@contextmanager
def rabbitmq_stream(folder: Path) -> Iterator[RabbitHarness]:
    with _started(RabbitStreamHarness) as harness:
        yield harness
