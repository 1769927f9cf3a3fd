"""Supervisors that cannot start processes for a moment, or whose processes never come to work."""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from django_jobs.models import Worker
from django_jobs.worker.process import health_server
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, wait_for_start
from .test_health import _address, _ask, _wait_for


def _count(folder: str) -> int:
    return len(list(Path(folder).iterdir()))


@pytest.fixture
def broken_app(tmp_path: Path, worker_environment: dict[str, str]) -> Path:
    """An app whose jobs.py can be loaded in the first process only, while ``tmp_path / 'broken'`` is there."""
    app = tmp_path / "breaking"
    app.mkdir()
    (app / "__init__.py").touch()
    switch = tmp_path / "broken"
    switch.touch()
    (app / "jobs.py").write_text(
        "import multiprocessing, os\n"
        f"if multiprocessing.parent_process() is not None and os.path.exists({str(switch)!r}):\n"
        "    raise LookupError('no key for the vault')\n"
    )
    worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "breaking"
    return switch


def test_what_cannot_be_started_for_a_moment_is_started_later(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--processes", "2", "--concurrency", "1")
    busy = wait_for_start(tmp_path / "go")
    wait_until(lambda: Worker.objects.count() == 2, "both to register")
    idle = Worker.objects.exclude(pid=busy).get().pid
    supervisor = worker.process.pid
    number, before = _count(f"/proc/{supervisor}/fd"), resource.prlimit(supervisor, resource.RLIMIT_NOFILE)

    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (number // 2, before[1]))
    os.kill(idle, signal.SIGKILL)
    worker.wait_for_line("a worker process could not be started; trying again in .*: .*Too many open files", number=2)
    (tmp_path / "go").touch()
    assert ended(job, sample.add.enqueue(1, 2)) == ["succeeded"] * 2

    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, before)
    wait_until(lambda: Worker.objects.filter(state="running").exclude(pid=busy).exists(), "another to start")
    assert Worker.objects.get(pid=busy).state == "running"
    assert worker.stop() == 0


def test_a_supervisor_gives_up_if_no_process_comes_to_work(start_worker: StartWorker, broken_app: Path) -> None:
    worker = start_worker("--processes", "2", START_METHOD="spawn")
    assert worker.wait(3 * DEADLINE_SECONDS) == 1, "each process that is started loads the project"
    worker.wait_for_line(
        r"CommandError: \d worker processes in a row died before their first heartbeat; giving up\. The last: worker"
        r" process \d+ died: exit code 1: LookupError: no key for the vault"
    )


def test_a_supervisor_does_not_give_up_what_works(start_worker: StartWorker, broken_app: Path, tmp_path: Path) -> None:
    """New code that cannot be loaded takes one process after another; the last goes on."""
    broken_app.unlink()
    worker = start_worker("--processes", "2", START_METHOD="spawn")
    wait_until(lambda: Worker.objects.count() == 2, "both to register")
    broken_app.touch()
    first = Worker.objects.earliest("pk").pid
    os.kill(first, signal.SIGKILL)
    worker.wait_for_line("died: exit code 1", number=3)
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    broken_app.unlink()
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2, "another to start")
    assert worker.stop() == 0


@pytest.mark.slow
def test_a_supervisor_whose_only_process_had_worked_tries_for_longer(
    start_worker: StartWorker, broken_app: Path
) -> None:
    """A process that is started, and then lacks memory, threads or files, is no reason to give up at once."""
    broken_app.unlink()
    worker = start_worker("--processes", "1", START_METHOD="spawn")
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    broken_app.touch()
    os.kill(Worker.objects.get().pid, signal.SIGKILL)
    worker.wait_for_line("died: exit code 1", number=4)
    broken_app.unlink()
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    assert worker.stop() == 0


def test_exit_codes_are_told_though_the_starter_ignores_them(start_worker: StartWorker) -> None:
    """Where SIGCHLD is ignored, which a process inherits, the kernel drops exit codes. They say what is to follow."""
    job = sample.add.enqueue(1, 2)
    worker = start_worker("--burst", before=("env", "--ignore-signal=CHLD"))
    assert worker.wait() == 0, worker.output
    assert ended(job) == ["succeeded"]
    assert "died" not in worker.output


def test_clients_of_the_health_port_are_bounded(start_worker: StartWorker) -> None:
    worker = start_worker("--health-port", "0")
    _wait_for(worker, "/ready", 200)
    supervisor = worker.process.pid
    before, address = _count(f"/proc/{supervisor}/task"), _address(worker)
    with ExitStack() as stack:
        for _ in range(health_server.MAX_CLIENTS + 10):
            client = stack.enter_context(socket.create_connection(address))
            client.sendall(b"GET /live HT")
        assert _ask(worker, "/live")[0] == 200
        wait_until(
            lambda: _count(f"/proc/{supervisor}/task") <= before + health_server.MAX_CLIENTS,
            "the threads of those that were cut off to end",
        )
    assert worker.stop() == 0
    assert "Traceback" not in worker.output
