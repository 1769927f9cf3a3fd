"""A server that keeps nothing over its end: for the contract it is down while its network is cut off."""

from __future__ import annotations

from typing import Any, Literal
from uuid import uuid4

from tests.process.proxy import Proxy


class CutOffHarness:
    """A private server behind a proxy; ``_create`` makes what a test sends to and reads from."""

    kind: Literal["log", "queue"] = "queue"
    group = ""
    settings: dict[str, Any]
    prefix, suffix = "topic", ""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy

    def new_topic(self) -> str:
        name = f"{self.prefix}-{uuid4().hex[:8]}{self.suffix}"
        self._create(name)
        return name

    def _create(self, name: str) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self._proxy.is_refusing = True
        self._proxy.cut()

    def start(self) -> None:
        self._proxy.is_refusing = False

    def redeliver(self, topic: str) -> None:
        """A log forgets nothing."""
