"""The database goes away for a moment: what had ended is still saved, nothing runs twice, work goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Worker
from tests.chaos.connections import cut_all_other_connections
from tests.concurrency import wait_until
from tests.misbehaving import interrupted
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start


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
def test_a_notifier_whose_connection_was_cut_notifies_again(start_worker: StartWorker) -> None:
    worker = start_worker("--verbosity", "2", POLL_INTERVAL=600, POLL_INTERVAL_WITHOUT_NOTIFY=600)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    cut_all_other_connections()
    worker.wait_for_line("the database answers the notifier again")
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


def test_a_worker_started_before_the_tables_are_there_waits_for_them(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("a second database is a file on SQLite; on a server the test would need rights to make one")
    import subprocess
    import sys

    worker_environment["DJANGO_JOBS_TEST_NAME"] = str(tmp_path / "empty.sqlite3")
    worker = start_worker()
    worker.wait_for_line(
        "the database failed the heartbeat; retrying until it answers; finished runs are kept: no such table"
    )
    subprocess.run([sys.executable, "-m", "django", "migrate", "--verbosity", "0"], env=worker_environment, check=True)
    worker.wait_for_line("the database answers again, after")
    assert worker.stop() == 0
