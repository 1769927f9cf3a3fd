"""Redis for the contract: a stream as a log, and a group of it as a queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from tests.private.base import running
from tests.private.certificate import Certificate
from tests.private.redis import PrivateRedis


class RedisHarness:
    """A private server; ``group`` empty: streams are read as logs."""

    too_large: int | None = None
    empty_seconds = 0.05

    def __init__(self, server: PrivateRedis, group: str) -> None:
        self._server = server
        self._is_up = True
        self.kind: Literal["log", "queue"] = "queue" if group else "log"
        self.group = group
        self.settings: dict[str, Any] = {"url": f"redis://127.0.0.1:{server.port}/0"}

    @property
    def certificate(self) -> Certificate:
        """The certificate behind ``tls_url``."""
        return self._server.certificate

    @property
    def tls_url(self) -> str:
        """The URL of the same server over TLS."""
        return f"rediss://localhost:{self._server.tls_port}/0"

    def new_topic(self) -> str:
        name = f"stream-{uuid4().hex[:8]}"
        with self._server.connect() as client:
            client.xgroup_create(name, "made", id="0", mkstream=True)
            client.xgroup_destroy(name, "made")
        return name

    def stop(self) -> None:
        self._server.crash()
        self._is_up = False

    def start(self) -> None:
        if not self._is_up:
            self._server.start()
            self._is_up = True

    def redeliver(self, topic: str) -> None:
        """Make all that is not acknowledged look idle for an hour."""
        with self._server.connect() as client:
            if self.group.encode() not in [group["name"] for group in client.xinfo_groups(topic)]:
                return
            pending = client.xpending_range(topic, self.group, "-", "+", 10_000)
            ids = [entry["message_id"] for entry in pending]
            if ids:
                client.xclaim(topic, self.group, "dead", 0, ids, idle=3_600_000, justid=True)


@contextmanager
def _started(group: str) -> Iterator[RedisHarness]:
    with running(PrivateRedis()) as server:
        yield RedisHarness(server, group)


@contextmanager
def redis_stream(folder: Path) -> Iterator[RedisHarness]:
    with _started("") as harness:
        yield harness


@contextmanager
def redis_group(folder: Path) -> Iterator[RedisHarness]:
    with _started("shipping") as harness:
        yield harness
