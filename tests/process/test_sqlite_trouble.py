"""What only SQLite does to a worker: a writer that keeps the one lock, and a disk that is full."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections

from django_jobs.models import JobIdCheckpoint, Worker
from django_jobs.store.dialects.sqlite.dialect import BUSY_SECONDS
from tests.concurrency import wait_until
from tests.databases import ROOT
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import DEADLINE_SECONDS, ended, outcomes, wait_for_start
from tests.sampleapp import jobs as sample

pytestmark = [
    pytest.mark.process,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'sqlite'", reason="servers have neither of these troubles"),
]


@pytest.mark.skipif(
    "DJANGO_JOBS_TEST_LONG" not in os.environ,
    reason="a connection waits 30 s for the lock; DJANGO_JOBS_TEST_LONG=1 runs it",
)
def test_what_ends_while_another_writer_keeps_the_lock_is_saved_once(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    worker = start_worker(STALE_AFTER=600, HEARTBEAT_INTERVAL=0.2)
    wait_for_start(tmp_path / "go")

    with contextlib.closing(sqlite3.connect(connection.settings_dict["NAME"])) as other:
        other.execute("BEGIN IMMEDIATE")
        (tmp_path / "go").touch()
        worker.wait_for_line("the database failed the .* database is locked", seconds=2 * BUSY_SECONDS)
        other.rollback()

    worker.wait_for_line("the database answers again")
    assert ended(job) == ["succeeded"]
    assert (job.refresh().result, outcomes(job)) == ("done", ["succeeded"])
    assert worker.stop() == 0
    assert len(re.findall("the database failed", worker.output)) == 1


def _restore(path: Path) -> None:
    """Move a copy of the database to its path, as a restore does."""
    copy = path.with_suffix(".restored")
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    connections.close_all()
    copy.rename(path)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def test_a_file_that_is_replaced_under_a_worker_is_noticed(start_worker: StartWorker, tmp_path: Path) -> None:
    path = Path(connection.settings_dict["NAME"])
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    worker = start_worker(HEARTBEAT_INTERVAL=0.2)
    wait_for_start(tmp_path / "go")
    (old,) = Worker.objects.values_list("pk", flat=True)

    _restore(path)
    worker.wait_for_line("WARNING .*the file of database 'default' was replaced")
    (tmp_path / "go").touch()
    assert ended(sample.echo.enqueue(7)) == ["succeeded"]
    assert ended(running) == ["succeeded"]
    assert (running.refresh().result, outcomes(running)) == ("done", ["succeeded"])
    assert Worker.objects.get(pk=old).state == "stopped"
    wait_until(Worker.objects.filter(state="running").exists, "the new process to register")
    assert worker.stop() == 0


def test_a_file_that_is_away_for_a_moment_is_waited_for(start_worker: StartWorker) -> None:
    path = Path(connection.settings_dict["NAME"])
    worker = start_worker(HEARTBEAT_INTERVAL=0.2)
    assert ended(sample.echo.enqueue(7)) == ["succeeded"]
    wait_until(JobIdCheckpoint.objects.exists, "all loops to have connections")
    connections.close_all()
    away = path.rename(path.with_suffix(".away"))
    worker.wait_for_line("the database's file is gone from its path")
    assert not path.exists()
    away.rename(path)
    assert ended(sample.echo.enqueue(7)) == ["succeeded"]
    assert worker.stop() == 0
    assert "was replaced" not in worker.output


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(mount, check=False, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a small disk needs root: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    """Leave not a byte on ``disk`` and return the file that takes all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    return filler


def test_what_ends_while_the_disk_is_full_is_saved_once_there_is_room(
    start_worker: StartWorker, worker_environment: dict[str, str], small_disk: Path, tmp_path: Path
) -> None:
    worker_environment["DJANGO_JOBS_TEST_NAME"] = str(small_disk / "jobs.sqlite3")

    def manage(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "django", *arguments],
            env=worker_environment,
            cwd=ROOT,
            check=True,
            stdout=subprocess.PIPE,
            timeout=DEADLINE_SECONDS,
        )
        return json.loads(done.stdout) if "--json" in arguments else None

    manage("migrate", "--verbosity", "0")
    arguments = json.dumps({"path": str(tmp_path / "go"), "leave": "done"})
    job = manage("jobs", "enqueue", misbehaving.wait_for_file.name, "--arguments", arguments, "--json")
    worker = start_worker(STALE_AFTER=600, HEARTBEAT_INTERVAL=0.05)
    wait_for_start(tmp_path / "go")

    filler = _fill(small_disk)
    worker.wait_for_line("the database failed the .*(disk is full|disk I/O error)")
    (tmp_path / "go").touch()
    filler.unlink()

    worker.wait_for_line("the database answers again")
    shown = wait_until(
        lambda: (row := manage("jobs", "show", str(job["id"]), "--json"))["state"] == "succeeded" and row,
        "the job to succeed",
    )
    assert shown["result"] == "done"
    assert [one["outcome"] for one in shown["attempts"]] == ["succeeded"]
    assert worker.stop() == 0
