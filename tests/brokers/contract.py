"""The drivers that the contract suite runs against: one line each at the end, and a harness that starts the broker.

``test_drivers.py`` asks the driver alone, ``test_messages.py`` the whole way of a message, on each database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol
from uuid import uuid4

from . import fake
from .kafka_topics import kafka_log
from .pubsub_subscriptions import pubsub_subscription
from .rabbitmq_queues import RabbitStreamHarness, rabbitmq_queue, rabbitmq_stream
from .redis_streams import redis_group, redis_stream
from .sqs_queues import sqs_fifo, sqs_queue


class Harness(Protocol):
    """A real broker for tests. ``settings`` is the value of ``DJANGO_JOBS["BROKERS"][name]``."""

    kind: Literal["log", "queue"]
    group: str
    """Of the subscriptions; empty: none."""
    settings: dict[str, Any]
    too_large: int | None
    """A body of so many bytes is refused; None: any that a test can make is taken."""
    empty_seconds: float
    """A source that gives nothing for so long has nothing: all that was confirmed has come."""

    def new_topic(self) -> str:
        """Create a topic, queue or stream under a name of its own; messages sent to this name arrive there."""

    def stop(self) -> None:
        """Have the broker answer nobody."""

    def start(self) -> None:
        """Have it answer again, with all that it had confirmed."""

    def redeliver(self, topic: str) -> None:
        """Of a queue: have the broker deliver again what is not acknowledged, as if its consumers were dead."""


class StartHarness(Protocol):
    """Starts a broker for a test session; skips the test with a reason if its server is not here."""

    def __call__(self, folder: Path, /) -> AbstractContextManager[Harness]: ...


class FakeHarness:
    """The broker in a file."""

    group = ""
    too_large: int | None = fake.MAX_BYTES + 1
    empty_seconds = 0.02

    def __init__(self, kind: Literal["log", "queue"], folder: Path) -> None:
        fake.register()
        self.kind = kind
        self.broker = fake.Broker(folder / f"{kind}-{uuid4().hex[:8]}.db")
        self.settings: dict[str, Any] = {"url": f"fake{kind}://{self.broker.path}"}

    def new_topic(self) -> str:
        name = f"topic-{uuid4().hex[:8]}"
        self.broker.create(name)
        return name

    def stop(self) -> None:
        self.broker.stop()

    def start(self) -> None:
        self.broker.start()

    def redeliver(self, topic: str) -> None:
        self.broker.redeliver()


@contextmanager
def fake_log(folder: Path) -> Iterator[Harness]:
    yield FakeHarness("log", folder)


@contextmanager
def fake_queue(folder: Path) -> Iterator[Harness]:
    yield FakeHarness("queue", folder)


HARNESSES: dict[str, StartHarness] = {
    "fakelog": fake_log,
    "fakequeue": fake_queue,
    "redis-stream": redis_stream,
    "redis-group": redis_group,
    "rabbitmq": rabbitmq_queue,
    "rabbitmq-stream": rabbitmq_stream,
    "kafka": kafka_log,
    "sqs": sqs_queue,
    "sqs-fifo": sqs_fifo,
    "pubsub": pubsub_subscription,
}
"""One line a driver."""


def source_options(harness: Harness) -> dict[str, Any]:
    """Return the options of ``@consumes`` without which a topic of this broker is not read."""
    options: dict[str, Any] = {"stream": True} if isinstance(harness, RabbitStreamHarness) else {}
    return options | ({"group": harness.group} if harness.group else {})
