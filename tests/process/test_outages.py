"""The database goes away for a moment: what had ended is still saved, nothing runs twice, work goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Worker
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start, wait_until


def _cut_all_other_connections() -> int:
    """Have the server end every connection to this database but ours and return how many there were."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE db = database() AND id <> connection_id()"
        )
        ids = [row[0] for row in cursor.fetchall()]
        for one in ids:
            cursor.execute("KILL %s", [one])
        return len(ids)


@pytest.mark.skipif(
    "connection.vendor == 'sqlite'", reason="SQLite has no server that could cut a connection"
)
def test_a_worker_outlives_the_loss_of_all_its_connections(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    wait_for_start(tmp_path / "go")
    for number in range(1, 4):
        wait_until(_cut_all_other_connections)
        worker.wait_for_line("heartbeat: the database answers again", number=number)
    (tmp_path / "go").touch()
    later = sample.echo.enqueue_many([(number,) for number in range(100)])
    assert ended(running, *later) == ["succeeded"] * 101
    assert outcomes(running) == ["succeeded"]
    assert running.refresh().result == "done"
    assert Worker.objects.count() == 1
    assert worker.stop() == 0


@pytest.mark.skipif(
    "connection.vendor != 'postgresql'", reason="only PostgreSQL has a connection that listens"
)
def test_a_doorbell_whose_connection_was_cut_rings_again(start_worker: StartWorker) -> None:
    worker = start_worker(POLL_INTERVAL=600, POLL_INTERVAL_UNRUNG=600)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    _cut_all_other_connections()
    worker.wait_for_line("doorbell: the database answers again")
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]


def test_a_worker_started_before_the_tables_are_there_waits_for_them(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip(
            "a second database is a file on SQLite; on a server the test would need rights to make one"
        )
    import subprocess
    import sys

    worker_environment["DJANGO_JOBS_TEST_NAME"] = str(tmp_path / "empty.sqlite3")
    worker = start_worker()
    worker.wait_for_line("heartbeat: the database failed, trying again until it answers: no such table")
    subprocess.run(
        [sys.executable, "-m", "django", "migrate", "--verbosity", "0"], env=worker_environment, check=True
    )
    worker.wait_for_line("heartbeat: the database answers again")
    assert worker.stop() == 0
