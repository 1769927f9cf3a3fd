"""Health of a real worker: over HTTP, by the notify protocol, and of the whole service from a shell."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jobs.models import Queue, Worker
from tests.concurrency import wait_until
from tests.databases import ROOT
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import DEADLINE_SECONDS, RunningWorker, wait_for_start
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Answer = tuple[int, dict[str, Any]]


def _address(worker: RunningWorker) -> tuple[str, int]:
    found = worker.wait_for_line(r"health +http://([\d.]+):(\d+)/live and /ready")
    return found[1], int(found[2])


def _ask(worker: RunningWorker, path: str) -> Answer:
    host, port = _address(worker)
    try:
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=DEADLINE_SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _wait_for(worker: RunningWorker, path: str, status: int) -> dict[str, Any]:
    def answer() -> Answer | None:
        found = _ask(worker, path)
        return found if found[0] == status else None

    found: Answer = wait_until(answer, f"{path} to answer {status}")
    return found[1]


def test_a_worker_is_ready_once_it_beats_and_until_it_stops(start_worker: StartWorker, tmp_path: Path) -> None:
    misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--health-port", "0", "--processes", "2")

    assert _wait_for(worker, "/ready", 200) == {"ok": True, "reasons": []}
    assert _ask(worker, "/live") == (200, {"ok": True, "reasons": []})
    assert _ask(worker, "/")[0] == 404

    wait_for_start(tmp_path / "go")
    worker.signal(signal.SIGTERM)
    assert _wait_for(worker, "/ready", 503)["reasons"][0] == "it is stopping"
    assert _ask(worker, "/live")[0] == 200, "a worker that drains is not to be killed"
    (tmp_path / "go").touch()
    assert worker.wait() == 0


def test_a_frozen_process_is_not_live_until_it_goes_on(start_worker: StartWorker) -> None:
    worker = start_worker("--health-port", "0", HEARTBEAT_INTERVAL=0.1, STALE_AFTER=0.3)
    _wait_for(worker, "/ready", 200)
    pid = Worker.objects.latest("pk").pid

    os.kill(pid, signal.SIGSTOP)
    reasons = _wait_for(worker, "/live", 503)["reasons"]
    assert re.match(f"worker process {pid}: (no heartbeat attempted|has not polled for jobs) for", reasons[0])
    assert _ask(worker, "/ready")[0] == 503

    os.kill(pid, signal.SIGCONT)
    _wait_for(worker, "/live", 200)
    _wait_for(worker, "/ready", 200)


def test_clients_that_are_slow_or_speak_nonsense_hold_up_nobody(start_worker: StartWorker) -> None:
    worker = start_worker("--health-port", "0")
    _wait_for(worker, "/ready", 200)
    address = _address(worker)
    slow = [socket.create_connection(address) for _ in range(20)]
    try:
        for one in slow:
            one.sendall(b"GET /live HT")
        with socket.create_connection(address) as ugly:
            ugly.sendall(b"\x16\x03\x01 nonsense \x00\r\n\r\n")
            assert b"400" in ugly.recv(1000)
        assert _ask(worker, "/live")[0] == 200
    finally:
        for one in slow:
            one.close()
    assert worker.stop() == 0
    assert "Traceback" not in worker.output


def test_a_port_that_is_taken_is_a_clear_error(start_worker: StartWorker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        worker = start_worker("--health-port", str(port))
        assert worker.wait() == 1
    assert f"--health-port: expected a free port at 127.0.0.1, got {port}" in worker.output
    assert "Traceback" not in worker.output


@pytest.fixture(params=["path", "abstract"])
def service_manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    name = f"@django_jobs_{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name[1:] if name.startswith("@") else name)
        listening.settimeout(DEADLINE_SECONDS)
        yield listening, name


def test_the_service_manager_is_told(
    start_worker: StartWorker,
    worker_environment: dict[str, str],
    service_manager: tuple[socket.socket, str],
) -> None:
    listening, name = service_manager
    worker_environment |= {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
    worker = start_worker()
    heard: list[str] = []

    def hear(line: str, *, times: int = 1) -> None:
        while sum(line in message.splitlines() for message in heard) < times:
            heard.append(listening.recv(4096).decode())

    hear("READY=1")
    hear("WATCHDOG=1", times=3)
    worker.signal(signal.SIGTERM)
    hear("STOPPING=1")
    assert worker.wait() == 0
    assert sum("READY=1" in message for message in heard) == 1


@pytest.mark.parametrize("service_manager", ["path"], indirect=True)
def test_a_watchdog_meant_for_another_process_is_left_alone(
    start_worker: StartWorker,
    worker_environment: dict[str, str],
    service_manager: tuple[socket.socket, str],
) -> None:
    listening, name = service_manager
    worker_environment |= {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "nonsense", "WATCHDOG_PID": "1"}
    worker = start_worker()
    message = ""
    while "READY=1" not in message:
        message = listening.recv(4096).decode()
    assert worker.stop() == 0


def test_the_whole_service_is_judged_from_a_shell(
    start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    def health() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "django", "jobs", "health"],
            env=worker_environment,
            cwd=ROOT,
            text=True,
            capture_output=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout

    code, told = health()
    assert (code, told.startswith("No workers are running: ")) == (1, True)
    worker = start_worker("--queues", "mail")
    wait_until(Worker.objects.exists)
    assert health() == (0, "healthy\n")
    sample.add.enqueue(1, 2)
    assert health() == (1, "1 queue has ready jobs and no worker: default\n")
    Queue.objects.update_or_create(name="default", defaults={"paused_at": "2026-01-01T00:00Z"})
    assert health() == (0, "healthy\n")
    assert worker.stop() == 0
