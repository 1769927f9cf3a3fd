"""The database goes away for a moment: what had ended is still saved, nothing runs twice, work goes on."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Worker
from tests.chaos.connections import cut_all_other_connections
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.databases import CONNECT_TIMEOUT, ROOT
from tests.misbehaving import interrupted
from tests.misbehaving import jobs as misbehaving
from tests.private import PrivateServer
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker, environment_of
from .running import ended, outcomes, wait_for_start
from .test_health import _ask, _wait_for


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server that could cut a connection")
def test_a_worker_outlives_the_loss_of_all_its_connections(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker("--verbosity", "2", "--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    wait_for_start(tmp_path / "go")
    for number in range(1, 4):
        wait_until(cut_all_other_connections)
        worker.wait_for_line("the database answers again", number=number)
    (tmp_path / "go").touch()
    later = sample.echo.enqueue_many([(number,) for number in range(100)])
    assert ended(running, *later) == ["succeeded"] * 101
    assert outcomes(running) == ["succeeded"]
    assert running.refresh().result == "done"
    assert Worker.objects.count() == 1
    assert worker.stop() == 0


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server that could cut a connection")
def test_a_job_does_not_fail_on_a_connection_that_was_cut_since_the_last_one(
    start_worker: StartWorker,
) -> None:
    worker = start_worker("--verbosity", "2", "--concurrency", "1", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    for number in range(1, 6):
        job = misbehaving.count_customers.enqueue()
        assert (ended(job), outcomes(job)) == (["succeeded"], ["succeeded"])
        wait_until(cut_all_other_connections)
        worker.wait_for_line("the database answers again", number=number)


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server that could cut a connection")
def test_jobs_that_lose_their_connection_run_again_and_no_attempt_counts(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    """With one attempt each, and errors of the database not among those to retry."""
    # A thread for each: an async job in a queue with plain ones waits for a free one.
    worker = start_worker("--concurrency", "3", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    kinds = [interrupted.read_twice, interrupted.write_twice, interrupted.read_twice_async]
    jobs = [kind.enqueue(str(tmp_path / kind.name)) for kind in kinds]
    for kind in kinds:
        wait_for_start(tmp_path / kind.name)
    wait_until(cut_all_other_connections)
    for kind in kinds:
        (tmp_path / kind.name).touch()

    assert ended(*jobs) == ["succeeded"] * len(jobs), worker.output
    assert [outcomes(job) for job in jobs] == [["released", "succeeded"]] * len(jobs)
    assert [job.refresh().attempt for job in jobs] == [1] * len(jobs)
    assert Customer.objects.count() == 2
    assert worker.stop() == 0, worker.output
    assert worker.output.count("the database went away under it; it runs again, and no attempt counts") == len(jobs)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has a connection that listens")
def test_a_claimer_whose_connection_was_cut_is_notified_again(start_worker: StartWorker) -> None:
    start_worker(POLL_INTERVAL=600, POLL_INTERVAL_WITHOUT_NOTIFY=600)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    cut_all_other_connections()
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


@pytest.fixture
def server_or_none(request: pytest.FixtureRequest) -> PrivateServer | None:
    """A server that a test may stop, where the database has one."""
    if connection.vendor == "mysql":
        pytest.skip("worker/process/test_database_wait.py has its errors; its server takes twice the time to start")
    return None if connection.vendor == "sqlite" else request.getfixturevalue("migrated_server")


def test_workers_start_once_the_database_is_there_and_has_its_tables(
    start_worker: StartWorker,
    worker_environment: dict[str, str],
    server_or_none: PrivateServer | None,
    tmp_path: Path,
) -> None:
    """A deploy from nothing: first no server, then a database without tables."""
    if server_or_none is None:
        worker_environment["DJANGO_JOBS_TEST_NAME"] = str(tmp_path / "later" / "jobs.sqlite3")
    else:
        server_or_none.stop()
        worker_environment |= environment_of(server_or_none) | {"DJANGO_JOBS_TEST_NAME": "later"}
    worker = start_worker("--processes", "2", "--health-port", "0")
    reason = worker.wait_for_line("no worker is started yet: (the database 'default' .* cannot be used: .*)")[1]
    assert "Traceback" not in worker.output
    assert _ask(worker, "/ready") == (503, {"ok": False, "reasons": [reason]})
    assert _ask(worker, "/live")[0] == 200, "a restart would not help"

    if server_or_none is None:
        (tmp_path / "later").mkdir()
    else:
        server_or_none.start()
        server_or_none.create_database("later")
    worker.wait_for_line(
        "no worker is started yet: the database 'default' .* lacks tables .*; run 'manage.py migrate'$"
    )
    migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(migrate, env=worker_environment, cwd=ROOT, check=True)
    worker.wait_for_line("the database can be used, after .*; the workers start")
    _wait_for(worker, "/ready", 200)
    assert worker.stop() == 0
    reasons = re.findall("no worker is started yet: (.*)", worker.output)
    assert len(reasons) == len(set(reasons)), "once, not for each process"


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no server that could be silent")
def test_a_worker_stops_while_it_waits_for_a_server_that_is_silent(
    start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        prefix = f"DJANGO_JOBS_TEST_{connection.vendor.upper()}"
        worker_environment |= {f"{prefix}_HOST": "127.0.0.1", f"{prefix}_PORT": str(silent.getsockname()[1])}
        worker_environment[CONNECT_TIMEOUT] = str(2 * DEADLINE_SECONDS)
        worker = start_worker()
        silent.settimeout(DEADLINE_SECONDS)
        with silent.accept()[0]:
            worker.signal(signal.SIGINT)
            assert worker.wait() == 0, worker.output
    assert "no worker is started yet" not in worker.output
    assert "Traceback" not in worker.output
