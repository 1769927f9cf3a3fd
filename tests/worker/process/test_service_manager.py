"""What systemd is told while a worker waits for its database."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_jobs.policy.health import Health
from django_jobs.worker.process import service_manager as module
from django_jobs.worker.process.service_manager import ServiceManager
from tests.concurrency import DEADLINE_SECONDS

WAITING = Health(not_live=(), not_ready=("no database",), waits_for="no database")
STARTING = Health(not_live=(), not_ready=("it starts",))
READY = Health(not_live=(), not_ready=())


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(module, "CHECK_INTERVAL_SECONDS", 0.001)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(DEADLINE_SECONDS)
        yield systemd


def test_the_start_is_extended_while_the_worker_waits_and_no_longer(systemd: socket.socket) -> None:
    left = [WAITING, WAITING, STARTING, STARTING]
    manager = ServiceManager(lambda: left.pop(0) if left else READY)
    manager.start()
    said = []
    while not said or "READY=1" not in said[-1]:
        said.append(systemd.recv(4096).decode())
    manager.close()
    waiting = "EXTEND_TIMEOUT_USEC=30000000\nSTATUS=Waiting: no database"
    assert [one for one in said if one != "WATCHDOG=1"] == [waiting, waiting, "READY=1\nSTATUS=Serving."]
