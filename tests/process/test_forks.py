"""Jobs that fork: their worker, its connections and the other jobs do not notice; what they leave behind ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.misbehaving import forking
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

POOLS = ("threads", "processes")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """What the jobs of a test name; processes that they leave behind are killed at its end."""
    yield tmp_path / "go"
    copy = tmp_path / "go.copy"
    if copy.exists():
        with suppress(ProcessLookupError):
            os.kill(int(copy.read_text()), signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("definition", [forking.pool_that_outlives, forking.program_that_outlives])
@pytest.mark.parametrize("pool", POOLS)
def test_a_death_is_noticed_though_what_the_job_started_lives_on(
    start_worker: StartWorker, path: Path, definition: Any, pool: str
) -> None:
    job = definition.enqueue(str(path))
    start_worker("--pool", pool, "--concurrency", "1", HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    pid = wait_for_start(path)

    os.kill(pid, signal.SIGKILL)

    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["lost", "succeeded"]
    assert f"process {pid} died: killed by SIGKILL" in job.attempts.get(outcome="lost").error_message
    assert _lives(int(Path(f"{path}.copy").read_text()))


@pytest.mark.parametrize("pool", POOLS)
def test_a_copy_that_comes_to_the_end_of_its_job_ends(start_worker: StartWorker, tmp_path: Path, pool: str) -> None:
    results = {
        forking.fork_and_return: 0,
        forking.fork_and_raise: 1,
        forking.fork_and_exit: 7,
        forking.fork_and_return_atomic: 1,
        forking.fork_and_return_async: 0,
        forking.fork_and_await_async: 0,
        forking.fork_in_thread_async: 0,
        forking.fork_in_sync_async: 0,
        forking.fork_in_pool_of_job: 0,
        forking.fork_in_thread_of_job: 0,
        forking.fork_and_exit_at_once: 5,
    }
    jobs = [definition.enqueue(str(tmp_path / str(at))) for at, definition in enumerate(results)]
    others = sample.add.enqueue_many([(number, number) for number in range(20)])
    worker = start_worker("--burst", "--pool", pool, "--concurrency", "2")
    assert worker.wait() == 0, worker.output

    assert [(job.refresh().error, job.result) for job in jobs] == [(None, code) for code in results.values()]
    assert [outcomes(job) for job in [*jobs, *others]] == [["succeeded"]] * (len(jobs) + 20), worker.output
    copies = [int((tmp_path / f"{at}.copy").read_text()) for at in range(len(jobs))]
    assert not [pid for pid in copies if _lives(pid)]
    assert pool == "processes" or not list(tmp_path.glob("*.went-on"))
    assert Customer.objects.count() == 1
    worker.wait_for_line(r"a copy of this worker that a job made by os.fork\(\), came to the end of the job's code")
    assert "could not be isolated" not in worker.output


@pytest.mark.parametrize("pool", POOLS)
def test_a_daemon_that_a_job_starts_has_files_and_signals_of_its_own(
    start_worker: StartWorker, tmp_path: Path, pool: str
) -> None:
    """The numbers of the worker's sockets may be those of the daemon's files by then."""
    warm = [misbehaving.count_customers.enqueue() for _ in range(5)]
    worker = start_worker("--pool", pool, "--concurrency", "3")
    assert ended(*warm) == ["succeeded"] * 5

    job = forking.start_daemon.enqueue(str(tmp_path / "go"))
    assert ended(job, misbehaving.count_customers.enqueue()) == ["succeeded"] * 2, worker.output

    assert job.refresh().result == 0
    texts = [(tmp_path / f"go.file{number}").read_text() for number in range(60)]
    assert texts == [f"child [{signal.SIGTERM.value}], daemon 0"] * 60
    assert worker.stop() == 0
    assert "WARNING" not in worker.output
    assert "ERROR" not in worker.output


@pytest.mark.parametrize("pool", POOLS)
def test_a_copy_that_a_receiver_made_does_not_run_the_job(start_worker: StartWorker, tmp_path: Path, pool: str) -> None:
    start_worker("--pool", pool, "--concurrency", "1")
    for definition in (forking.leave_line, forking.leave_line_async):
        path = tmp_path / definition.name
        assert ended(forking.fork_at_next_start.enqueue(str(path))) == ["succeeded"]
        assert ended(definition.enqueue(str(path))) == ["succeeded"]
        assert not _lives(int(Path(f"{path}.copy").read_text()))
        assert Path(f"{path}.over").exists()
        assert path.read_text() == "ran\n"


@pytest.mark.parametrize("pool", POOLS)
def test_pools_of_forked_processes_work_in_a_job_and_disturb_no_neighbour(
    start_worker: StartWorker, path: Path, pool: str
) -> None:
    """Idle connections of other threads stay open: their destruction in a copy would sign off from the server."""
    neighbour = misbehaving.wait_for_file.enqueue(str(path))
    warm = [misbehaving.count_customers.enqueue() for _ in range(5)]
    worker = start_worker("--pool", pool, "--concurrency", "3")
    wait_for_start(path)
    assert ended(*warm) == ["succeeded"] * 5
    sessions = _sessions()

    jobs = [forking.use_pools.enqueue(f"job {number}") for number in range(2)]
    assert ended(*jobs) == ["succeeded"] * 2, worker.output

    assert [job.refresh().result for job in jobs] == [[1, 1, 1, signal.SIGTERM]] * 2
    after = [misbehaving.count_customers.enqueue() for _ in range(5)]
    path.touch()
    assert ended(neighbour, *after) == ["succeeded"] * 6
    assert sessions <= _sessions()
    assert "Lost connection" not in worker.output
    assert worker.stop() == 0
    assert "WARNING" not in worker.output


def _sessions() -> set[int]:
    """Return the ids of the server's sessions."""
    if connection.vendor == "sqlite":
        return set()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT pid FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend'"
            )
        else:
            cursor.execute("SELECT id FROM information_schema.processlist WHERE db = database()")
        return {row[0] for row in cursor.fetchall()}


def test_an_exit_code_that_a_job_took_is_no_life(start_worker: StartWorker, path: Path) -> None:
    """A job that waits for any child process gets those of the worker, whose deaths are noticed all the same."""
    taker = forking.take_any_exit_code.enqueue(str(path))
    start_worker("--concurrency", "2")
    wait_for_start(path)
    suspect = forking.kill_oneself.enqueue()
    type(suspect).objects.filter(pk=suspect.pk).update(worker_deaths=2)
    assert ended(suspect) == ["dead"]
    path.touch()
    assert ended(taker) == ["succeeded"]


def test_an_orphaned_pool_leaves_the_transaction_of_a_dead_job_to_end(start_worker: StartWorker, path: Path) -> None:
    """As long as a copy held the socket, the server would keep the locks of the job, which then waits for itself."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite's locks are the process's")
    customer = Customer.objects.create(name="Ada")
    job = forking.pool_in_transaction.enqueue(str(path), customer.pk)
    start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    os.kill(wait_for_start(path), signal.SIGKILL)
    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["lost", "succeeded"]
