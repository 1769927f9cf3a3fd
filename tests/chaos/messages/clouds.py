"""Queues of Amazon and Google for chaos: servers here keep nothing, so they are cut off, and relays are the witness."""

from __future__ import annotations

from typing import Literal
from uuid import uuid4

from tests.private.pubsub import PROJECT, PrivatePubSub
from tests.private.sqs import CREDENTIALS, REGION, PrivateSQS
from tests.process.proxy import Proxy

from .audit import Record


class ChaosSqs:
    """A standard queue, whose connections are cut. It keeps nothing: the witness is what relays were confirmed."""

    kind: Literal["log", "queue"] = "queue"
    group = ""
    is_stream = False

    def __init__(self, *, is_killed: bool) -> None:
        # What a killed consumer had shows again after that, which must be longer than a batch takes.
        self._hidden_seconds = "30" if is_killed else "5"
        self._server = PrivateSQS(has_clock=False)
        self._server.start()
        self._proxy = Proxy("127.0.0.1", self._server.port)
        endpoint = f"http://127.0.0.1:{self._proxy.port}"
        self.settings = {"url": f"sqs://{REGION}", "options": {"endpoint_url": endpoint, **CREDENTIALS}}

    def new_topic(self) -> tuple[str, str]:
        name = f"queue-{uuid4().hex[:8]}"
        self._server.create_queue(name, VisibilityTimeout=self._hidden_seconds)
        return name, name

    def strike(self) -> str:
        return f"{self._proxy.cut()} connections to SQS are cut"

    def records(self, topic: str) -> list[Record] | None:
        return None

    def left(self, topic: str) -> int:
        client = self._server.connect()
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        url = client.get_queue_url(QueueName=topic)["QueueUrl"]
        found = client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        client.close()
        return sum(int(found[name]) for name in names)

    def remove(self) -> None:
        self._proxy.close()
        self._server.remove()


class ChaosPubSub:
    """A topic with a subscription that keeps the order of keys."""

    kind: Literal["log", "queue"] = "queue"
    group = ""
    is_stream = False

    def __init__(self, *, is_killed: bool) -> None:
        self._server = PrivatePubSub()
        self._server.start()
        self._proxy = Proxy("127.0.0.1", self._server.port)
        self.settings = {"url": f"pubsub://{PROJECT}", "options": {"emulator": f"127.0.0.1:{self._proxy.port}"}}

    def new_topic(self) -> tuple[str, str]:
        name = f"topic-{uuid4().hex[:8]}"
        self._server.create_topic(name)
        return name, name

    def strike(self) -> str:
        return f"{self._proxy.cut()} connections to Pub/Sub are cut"

    def records(self, topic: str) -> list[Record] | None:
        return None

    def left(self, topic: str) -> int:
        return self._server.count_left(topic)

    def remove(self) -> None:
        self._proxy.close()
        self._server.remove()
