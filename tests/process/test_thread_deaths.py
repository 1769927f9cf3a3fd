"""No thread of a worker dies alone and unseen: the process goes down loudly, another takes over, the jobs are done."""

from __future__ import annotations

import inspect
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from django_jobs.models import Job, Worker
from django_jobs.worker.worker import Worker as WorkerThreads
from tests.concurrency import wait_until
from tests.dying import VARIABLE
from tests.factories import make_schedule
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

SETTINGS = {"HEARTBEAT_INTERVAL": 0.1, "STALE_AFTER": 60, "POLL_INTERVAL": 0.05}
LOOPS = re.findall(r'LoopSpec\(\s*"(\w+)"', inspect.getsource(WorkerThreads))
THREADS = [*LOOPS, "guard", "executor", "event loop"]

Kill = Callable[[str], None]


@pytest.fixture
def kill(worker_environment: dict[str, str], tmp_path: Path) -> Kill:
    """Have the next turn of a thread, of whichever process is first, end in an error."""
    path = tmp_path / "dies"
    worker_environment |= {VARIABLE: str(path), "DJANGO_JOBS_TEST_APPS": "tests.dying"}

    def kill(name: str) -> None:
        hidden = path.with_name("about to")
        hidden.write_text(name)
        hidden.rename(path)

    return kill


def _alive() -> int:
    return Worker.objects.filter(state="running").count()


def test_the_loops_are_found_in_the_code() -> None:
    assert {"claimer", "finisher", "announcer", "heartbeat", "maintenance", "scheduler", "notifier"} <= {*LOOPS}


def test_a_thread_that_dies_takes_its_process_down_loudly_and_no_job_is_lost(
    start_worker: StartWorker, kill: Kill
) -> None:
    """One after another, each in the process that took over from the one before."""
    make_schedule("often", every=timedelta(seconds=1))
    worker = start_worker("--concurrency", "3", **SETTINGS)
    threads = [name for name in THREADS if name != "notifier"]  # only a worker that claims nothing has one
    jobs: list[Job] = []
    for number, name in enumerate(threads, start=1):
        wait_until(lambda number=number: Worker.objects.count() == number and _alive() == 1, "a worker to serve")
        jobs += sample.echo.enqueue_many([(at,) for at in range(10)])

        kill(name)

        jobs += [sample.echo_async.enqueue(name), sample.echo.enqueue(name)]
        worker.wait_for_line(f"the {name} of this worker died; the worker stops")
        worker.wait_for_line(f"worker process .* ends: its {name} died")
        worker.wait_for_line(r"worker process \d+ died: exit code 1", number=number)
        assert f"tests.dying.Bug: {name}" in worker.output

    assert set(ended(*jobs)) == {"succeeded"}
    wait_until(lambda: _alive() == 1, "the last worker to serve")
    assert worker.stop() == 0, worker.output
    assert Worker.objects.count() == len(threads) + 1


def test_a_job_whose_thread_died_under_it_is_recorded_as_lost(start_worker: StartWorker, kill: Kill) -> None:
    """Released, it could do so for ever."""
    kill("executor")
    job = sample.echo.enqueue("value")
    worker = start_worker("--concurrency", "1", **SETTINGS)
    worker.wait_for_line("its executor died")
    assert (ended(job), outcomes(job)) == (["succeeded"], ["lost", "succeeded"])
    assert worker.stop() == 0


def test_an_error_while_draining_ends_the_process_and_releases_running_jobs(
    start_worker: StartWorker, kill: Kill, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker(**SETTINGS)
    wait_for_start(tmp_path / "go")
    kill("drain")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("the drain of this worker died; the worker stops")
    worker.wait()
    assert job.refresh().state == "ready"
    assert Worker.objects.get().state == "stopped"


def test_a_health_server_that_died_answers_again(start_worker: StartWorker, kill: Kill) -> None:
    worker = start_worker("--health-port", "0", **SETTINGS)
    url = worker.wait_for_line(r"health +(http://[\d.:]+)/live")[1]
    kill("health server")
    worker.wait_for_line("the health server died; restarting it")
    wait_until(lambda: _alive() == 1)
    with urllib.request.urlopen(f"{url}/live", timeout=30) as answer:
        assert answer.status == 200
    assert worker.stop() == 0


def test_an_error_in_the_word_to_the_service_manager_is_said_and_the_next_word_comes(
    start_worker: StartWorker, worker_environment: dict[str, str], kill: Kill
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = f"@django_jobs.{os.getpid()}"
        listening.bind("\0" + name[1:])
        listening.settimeout(30)
        worker_environment |= {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"}
        kill("service manager")
        worker = start_worker(**SETTINGS)
        worker.wait_for_line("the service manager could not be notified")
        while b"READY=1" not in listening.recv(4096):
            pass
        assert worker.stop() == 0
