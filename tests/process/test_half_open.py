"""Connections that stay open while nothing comes through: noticed within a bounded time, and nothing is lost."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Worker
from tests.databases import address
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start, wait_until

pytestmark = pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite is a file; there is no connection"
)

TO_SERVER, TO_CLIENT = "to the server", "to the client"


class Proxy:
    """A TCP proxy that can stop forwarding either way without closing anything."""

    def __init__(self, host: str, port: int) -> None:
        self.silent: set[str] = set()
        self.is_bell_muted = False
        self.muted_rings = 0
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        """Forward until one side closes; what came while a way was silent is gone with its connection."""
        deaf: set[socket.socket] = set()
        is_bell = False
        with suppress(OSError, ValueError), client, server:
            while len(deaf) < 2:
                for source in select.select([client, server], [], [], 0.02)[0]:
                    way, target = (TO_SERVER, server) if source is client else (TO_CLIENT, client)
                    data = source.recv(65_536)
                    if not data:
                        return
                    is_bell = is_bell or (way == TO_SERVER and b"LISTEN" in data)
                    if is_bell and self.is_bell_muted and way == TO_CLIENT:
                        self.muted_rings += 1
                    elif way in self.silent or source in deaf:
                        deaf.add(source)
                    else:
                        target.sendall(data)

    def close(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
def proxy(worker_environment: dict[str, str]) -> Iterator[Proxy]:
    """Stand between workers and the server; this process goes directly."""
    vendor = connection.vendor
    where = address(vendor)
    proxy = Proxy(where["HOST"], int(where["PORT"]))
    worker_environment[f"DJANGO_JOBS_TEST_{vendor.upper()}_HOST"] = "127.0.0.1"
    worker_environment[f"DJANGO_JOBS_TEST_{vendor.upper()}_PORT"] = str(proxy.port)
    worker_environment["PGSSLMODE"] = "disable"  # the proxy looks for LISTEN
    yield proxy
    proxy.close()


@pytest.mark.parametrize(
    "silent", [{TO_SERVER}, {TO_CLIENT}, {TO_SERVER, TO_CLIENT}], ids=["server", "client", "both"]
)
def test_a_worker_outlives_connections_that_have_gone_silent(
    start_worker: StartWorker, proxy: Proxy, tmp_path: Path, silent: set[str]
) -> None:
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=1)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    wait_for_start(tmp_path / "go")

    proxy.silent |= silent
    (tmp_path / "go").touch()
    worker.wait_for_line(r"the database has not answered the \w+ for 2 s; its connection is cut")
    later = sample.echo.enqueue_many([(number,) for number in range(20)])
    proxy.silent.clear()

    assert set(ended(running, *later)) == {"succeeded"}
    assert set(outcomes(running)) <= {"succeeded", "lost"}
    assert worker.stop() == 0, worker.output


@pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="only PostgreSQL has a connection that listens"
)
def test_a_doorbell_that_has_gone_silent_delays_no_job_beyond_the_poll(
    start_worker: StartWorker, proxy: Proxy
) -> None:
    start_worker(POLL_INTERVAL=0.2)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    proxy.is_bell_muted = True
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    wait_until(lambda: proxy.muted_rings, "a ring that the worker does not hear")
