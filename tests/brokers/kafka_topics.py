"""Kafka for the contract: topics of one partition.

The server's log is in memory, so a broker that is down is one whose network is cut: connections end, and new ones are
refused, while the log stays. Each batch has one message, because of a fault of the server (``tests/private/kafka.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.private.base import running
from tests.private.kafka import PrivateKafka
from tests.process.proxy import Proxy

from .cut_off import CutOffHarness

MAX_BYTES = 1_000_000
"""What librdkafka sends at most, unless ``message.max.bytes`` says otherwise."""


class KafkaHarness(CutOffHarness):
    """A private server behind a proxy."""

    kind: Literal["log", "queue"] = "log"
    group = "shipping"
    too_large: int | None = MAX_BYTES + 1
    empty_seconds = 0.15

    def __init__(self, server: PrivateKafka, proxy: Proxy) -> None:
        super().__init__(proxy)
        self._server = server
        waits = {"fetch.wait.max.ms": 50, "socket.timeout.ms": 5_000, "message.timeout.ms": 4_000}
        options = {"batch.num.messages": 1, **waits}
        self.settings: dict[str, Any] = {"url": f"kafka://127.0.0.1:{proxy.port}", "options": options}

    def _create(self, name: str) -> None:
        self._server.create_topic(name)


@contextmanager
def kafka_log(folder: Path) -> Iterator[KafkaHarness]:
    server = PrivateKafka()
    with closing(Proxy("127.0.0.1", server.port)) as proxy:
        server.advertised_port = proxy.port
        with running(server):
            yield KafkaHarness(server, proxy)
