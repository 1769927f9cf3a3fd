"""Worker processes that are forked, by a fork server, and those that are spawned because they cannot or must not be."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from django_jobs.models import Worker
from django_jobs.store.workers import stop_worker
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.databases import CONNECT_TIMEOUT
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import RunningWorker, ended, wait_for_start

STOPPED_AT_BIRTH = """
import os
import signal
from pathlib import Path

supervisor = os.getpid()
forks = Path({path!r})


def stop_the_first_worker() -> None:
    if os.getppid() != supervisor:  # not the fork server itself, but the check of the database, then the worker
        forks.touch()
        with forks.open("a") as file:
            file.write("x")
        if forks.stat().st_size == 2:
            os.kill(os.getpid(), signal.SIGTERM)


os.register_at_fork(after_in_child=stop_the_first_worker)
"""
THREADED = """
    import threading
    threading.Thread(target=threading.Event().wait, name="apm-agent", daemon=True).start()
    """


def _is_forked(pid: int, worker: RunningWorker) -> bool:
    """Tell whether a process runs the supervisor's program: one that was spawned runs another."""
    command = Path(f"/proc/{worker.process.pid}/cmdline").read_bytes()
    return Path(f"/proc/{pid}/cmdline").read_bytes() == command


def _processes(worker: RunningWorker) -> set[int]:
    """Return all processes of a worker that live, zombies aside."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == worker.process.pid and state != "Z":
            found.add(int(path.parent.name))
    return found


def _fork_server(worker: RunningWorker) -> int:
    """Return the only child of the supervisor if nothing was spawned."""
    supervisor = worker.process.pid
    (child,) = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return int(child)


def _running() -> Worker | None:
    return Worker.objects.filter(state="running").first()


def _running_except(*dead: Worker) -> Worker | None:
    return Worker.objects.filter(state="running").exclude(pk__in=[worker.pk for worker in dead]).first()


def test_processes_are_forked_and_go_on_without_the_fork_server(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", "processes", "--concurrency", "1")
    job_process, first = wait_for_start(tmp_path / "go"), Worker.objects.get()
    assert _is_forked(first.pid, worker)
    assert _is_forked(job_process, worker)

    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: job_process not in _processes(worker), "its job process to die with it")
    second = wait_until(lambda: _running_except(first), "another to be forked")
    assert _is_forked(second.pid, worker)

    os.kill(_fork_server(worker), signal.SIGKILL)
    worker.wait_for_line(r"the fork server, process \d+, is lost: it has died; processes are spawned from now on")
    os.kill(second.pid, signal.SIGKILL)
    worker.wait_for_line(rf"worker process {second.pid} died: exit code unknown")
    third = wait_until(lambda: _running_except(first, second), "another to be spawned")
    assert not _is_forked(third.pid, worker)
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    assert worker.stop() == 0
    assert "Traceback" not in worker.output


def test_processes_are_spawned_when_the_fork_server_is_frozen(start_worker: StartWorker) -> None:
    worker = start_worker("--processes", "2")
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2, "both")
    first, fork_server = list(Worker.objects.all()), _fork_server(worker)
    os.kill(fork_server, signal.SIGSTOP)
    try:
        for process in first:
            os.kill(process.pid, signal.SIGKILL)
        worker.wait_for_line("is lost: timed out; processes are spawned from now on")
        wait_until(lambda: _running_except(*first), "another to be spawned")
        assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    finally:
        os.kill(fork_server, signal.SIGCONT)  # it holds standard output open
    wait_until(lambda: not Path(f"/proc/{fork_server}").exists(), "it to end, and to leave no zombie")
    assert worker.stop() == 0
    assert worker.output.count("died: exit code unknown") == 2


def test_a_forked_process_without_fork_server_ends_in_good_order(start_worker: StartWorker) -> None:
    """Nobody tells its exit code but the process itself: one that staff stopped is not replaced."""
    worker = start_worker(HEARTBEAT_INTERVAL=0.1)
    first = wait_until(_running, "the worker")
    os.kill(_fork_server(worker), signal.SIGKILL)
    worker.wait_for_line("is lost")
    assert stop_worker(first.pk, by="ada")
    assert worker.wait() == 0, worker.output
    assert "died:" not in worker.output


def test_all_processes_end_with_the_supervisor(start_worker: StartWorker) -> None:
    worker = start_worker("--pool", "processes", "--processes", "2", "--concurrency", "1")
    assert ended(sample.add.enqueue(1, 2)) == ["succeeded"]
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2)
    worker.signal(signal.SIGKILL)
    wait_until(lambda: not _processes(worker), "all to end")
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}


def test_migrations_are_loaded_by_a_process_that_ends(
    start_worker: StartWorker, tmp_path: Path, worker_environment: dict[str, str]
) -> None:
    """What only the check at the start needs does not stay in the memory of the supervisor."""
    (tmp_path / "late" / "migrations").mkdir(parents=True)
    (tmp_path / "late" / "__init__.py").touch()
    (tmp_path / "late" / "migrations" / "__init__.py").touch()
    migration = "import os\nfrom django.db.migrations import Migration\nprint('loaded by', os.getpid())"
    (tmp_path / "late" / "migrations" / "0001_initial.py").write_text(migration)
    worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "late"
    worker = start_worker()
    loaded_by = int(worker.wait_for_line(r"loaded by (\d+)")[1])
    worker.wait_for_line(r"You have 1 unapplied migration\(s\)\. .* app\(s\): late")
    wait_until(lambda: loaded_by not in _processes(worker), "the process that checked to end")
    assert worker.stop() == 0


def test_a_check_of_the_database_that_was_killed_is_repeated(
    start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        worker_environment["DJANGO_JOBS_TEST_POSTGRESQL_HOST"] = "127.0.0.1"
        worker_environment["DJANGO_JOBS_TEST_POSTGRESQL_PORT"] = str(silent.getsockname()[1])
        worker_environment[CONNECT_TIMEOUT] = str(2 * DEADLINE_SECONDS)
        worker = start_worker()
        silent.settimeout(DEADLINE_SECONDS)
        with silent.accept()[0]:
            (check,) = _processes(worker) - {worker.process.pid, _fork_server(worker)}
            os.kill(check, signal.SIGKILL)
            worker.wait_for_line(rf"no worker is started yet: .* the process that checks it, {check}, died: killed")
        with silent.accept()[0]:
            worker.signal(signal.SIGINT)
            assert worker.wait() == 0, worker.output
        wait_until(lambda: not _processes(worker), "all to end")
    assert "Traceback" not in worker.output


def test_a_process_hears_of_a_signal_that_comes_at_its_birth(
    start_worker: StartWorker, tmp_path: Path, worker_environment: dict[str, str]
) -> None:
    (tmp_path / "stopping").mkdir()
    (tmp_path / "stopping" / "__init__.py").write_text(STOPPED_AT_BIRTH.format(path=str(tmp_path / "forks")))
    worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "stopping"
    worker = start_worker()
    worker.wait_for_line("worker process .* died: killed by SIGTERM")
    wait_until(_running, "another worker")
    assert worker.stop() == 0


@pytest.mark.parametrize("method", [None, "spawn"])
def test_processes_are_spawned_if_threads_or_the_settings_require_it(
    start_worker: StartWorker, tmp_path: Path, worker_environment: dict[str, str], method: str | None
) -> None:
    if method is None:
        (tmp_path / "tracing").mkdir()
        (tmp_path / "tracing" / "__init__.py").write_text("\n".join(map(str.strip, THREADED.splitlines())))
        worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
        worker_environment["DJANGO_JOBS_TEST_APPS"] = "tracing"
    worker = start_worker(START_METHOD=method)
    assert not _is_forked(wait_until(_running, "the worker").pid, worker)
    assert worker.stop() == 0
    reason = r"INFO .*worker processes are spawned, not forked: .*threads already \(apm-agent\)"
    assert bool(re.search(reason, worker.output)) == (method is None)
