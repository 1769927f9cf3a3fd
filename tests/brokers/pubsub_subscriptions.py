"""Pub/Sub for the contract: a topic, and a subscription of the same name, in Google's emulator.

The emulator keeps nothing over its end, so a broker that is down is one whose network is cut. A consumer that is dead
keeps its messages for 10 seconds at least; here they are released at once, for which the sources are remembered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from django_jobs.brokers.drivers.pubsub.driver import PubSubDriver
from django_jobs.brokers.drivers.pubsub.queue import PubSubQueue
from django_jobs.brokers.drivers.pubsub.sender import MAX_BYTES
from django_jobs.brokers.interface import Subscription
from django_jobs.conf.broker_schemes import get_scheme, register_scheme
from tests.private.base import running
from tests.private.pubsub import PROJECT, PrivatePubSub
from tests.process.proxy import Proxy

from .cut_off import CutOffHarness

SCHEME = "remembered-pubsub"
_opened: dict[str, list[PubSubQueue]] = {}


class RememberingDriver(PubSubDriver):
    """The driver, whose sources can be found again after their consumer was killed in this process."""

    def open_source(self, subscription: Subscription, /) -> PubSubQueue:
        source = super().open_source(subscription)
        _opened.setdefault(subscription.name, []).append(source)
        return source


class PubSubHarness(CutOffHarness):
    """An emulator of its own behind a proxy."""

    too_large: int | None = MAX_BYTES + 1
    empty_seconds = 0.2

    def __init__(self, server: PrivatePubSub, proxy: Proxy) -> None:
        super().__init__(proxy)
        self._server = server
        driver = f"{RememberingDriver.__module__}.{RememberingDriver.__name__}"
        register_scheme(replace(get_scheme("pubsub"), name=SCHEME, driver=driver))
        options = {"emulator": f"127.0.0.1:{proxy.port}"}
        self.settings: dict[str, Any] = {"url": f"{SCHEME}://{PROJECT}", "options": options}

    def _create(self, name: str) -> None:
        self._server.create_topic(name)

    def redeliver(self, topic: str) -> None:
        for source in _opened.pop(topic, []):
            source.close()


@contextmanager
def pubsub_subscription(folder: Path) -> Iterator[PubSubHarness]:
    server = PrivatePubSub()
    with closing(Proxy("127.0.0.1", server.port)) as proxy, running(server):
        yield PubSubHarness(server, proxy)
