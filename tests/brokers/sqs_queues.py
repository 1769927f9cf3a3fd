"""SQS for the contract: standard queues, and FIFO queues.

The server's queues are in memory, so a broker that is down is one whose network is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.private.base import running
from tests.private.sqs import CREDENTIALS, HIDDEN_SECONDS, MAX_BYTES, REGION, PrivateSQS
from tests.process.proxy import Proxy

from .cut_off import CutOffHarness


class SqsHarness(CutOffHarness):
    """A private server behind a proxy; ``suffix``: ``.fifo`` for FIFO queues."""

    prefix = "queue"
    too_large: int | None = MAX_BYTES + 1
    empty_seconds = 0.05

    def __init__(self, server: PrivateSQS, proxy: Proxy, suffix: str) -> None:
        super().__init__(proxy)
        self.server = server
        self.suffix = suffix
        endpoint = f"http://127.0.0.1:{proxy.port}"
        self.settings: dict[str, Any] = {
            "url": f"sqs://{REGION}",
            "options": {"endpoint_url": endpoint, **CREDENTIALS},
        }

    def _create(self, name: str) -> None:
        self.server.create_queue(name)

    def redeliver(self, topic: str) -> None:
        """Have the time pass for which messages are hidden."""
        self.server.pass_time(HIDDEN_SECONDS + 1)


@contextmanager
def _started(suffix: str) -> Iterator[SqsHarness]:
    server = PrivateSQS()
    with closing(Proxy("127.0.0.1", server.port)) as proxy, running(server):
        yield SqsHarness(server, proxy, suffix)


@contextmanager
def sqs_queue(folder: Path) -> Iterator[SqsHarness]:
    with _started("") as harness:
        yield harness


@contextmanager
def sqs_fifo(folder: Path) -> Iterator[SqsHarness]:
    with _started(".fifo") as harness:
        yield harness
