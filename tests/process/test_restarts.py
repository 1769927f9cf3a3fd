"""The server is restarted, crashes or is gone for a while under real workers: nothing is lost, nothing ends twice.

It is a server of these tests' own: see ``tests/private``.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Attempt, DeadLetter, Job, Worker
from tests.chaos import jobs as kinds
from tests.chaos.audit import audit
from tests.chaos.records import read_records, unfinished
from tests.concurrency import wait_until
from tests.databases import ROOT, chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.private import PrivateServer, new_server
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import RunningWorker, ended, outcomes, wait_for_start

GONE_SECONDS = 60.0 if "DJANGO_JOBS_TEST_LONG" in os.environ else 5.0
EXPECTED = {**kinds.EXPECTED, misbehaving.wait_for_file.name: "succeeded"}
DATABASE = "restarts"
HOW = ("fast", "immediate", "crash") if chosen_vendor() == "postgresql" else ("fast", "crash")
"""MariaDB has one way to be shut down."""

pytestmark = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite is a file; there is no server")


def _environment(server: PrivateServer) -> dict[str, str]:
    prefix = f"DJANGO_JOBS_TEST_{chosen_vendor().upper()}_"
    return {f"{prefix}{key}": value for key, value in server.settings().items()} | {"DJANGO_JOBS_TEST_NAME": DATABASE}


@pytest.fixture(scope="module")
def migrated_server() -> Iterator[PrivateServer]:
    """A server of this module's own with all tables."""
    server = new_server(chosen_vendor())
    try:
        server.start()
        server.create_database(DATABASE)
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "testproject.test_settings",
            "DJANGO_JOBS_TEST_DATABASE": chosen_vendor(),
            **_environment(server),
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
        yield server
    finally:
        server.remove()


@pytest.fixture
def server(
    worker_environment: dict[str, str], migrated_server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateServer]:
    """The private server, empty, with this process and the workers of the test connected to it."""
    worker_environment |= _environment(migrated_server)
    with monkeypatch.context() as patch:
        connection.close()
        for key, value in (migrated_server.settings() | {"NAME": DATABASE}).items():
            patch.setitem(connection.settings_dict, key, value)
        for model in (DeadLetter, Attempt, Job, Worker, Customer):
            model._base_manager.all()._raw_delete("default")
        yield migrated_server
        connection.close()


class Load:
    """Two kinds of workers, jobs of every kind in their hands, and one job that runs until ``let_go``."""

    def __init__(self, start_worker: StartWorker, folder: Path) -> None:
        settings = {
            "WORKER": {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 600},
            "JOB_DEFAULTS": {"backoff": [0.2]},
        }
        self.path = folder / "begun"
        self._file = folder / "go"
        self.held = misbehaving.wait_for_file.enqueue(str(self._file), leave="done")
        self.ids = [self.held.pk]
        self.workers: list[RunningWorker] = [
            start_worker("--concurrency", "3", settings=settings),
            start_worker("--concurrency", "2", "--pool", "processes", settings=settings),
        ]
        wait_until(lambda: Worker.objects.filter(state="running").count() == 2, "both workers to register")
        wait_for_start(self._file)
        self.enqueue(60)
        wait_until(lambda: Attempt.objects.count() >= 10, "the workers to be in the middle of it")

    def enqueue(self, number: int) -> None:
        for kind in kinds.HARMLESS:
            self.ids += [job.pk for job in kind.enqueue_many([(str(self.path),)] * (number // 8))]

    def let_go(self) -> None:
        self._file.touch()

    def hear(self, pattern: str) -> None:
        for worker in self.workers:
            worker.wait_for_line(pattern)

    def check(self, *, crashed: bool) -> None:
        """Wait for all to end, audit, stop the workers and see that each said once what happened."""
        wait_until(lambda: not unfinished().exists(), "all jobs to be in a final state", seconds=60)
        findings = audit(self.ids, read_records(self.path), expected=EXPECTED, rolled_back=0, crashed=crashed)
        said = "\n\n".join(worker.output for worker in self.workers)
        assert not findings, f"{findings}\n{said}"
        assert ended(self.held) == ["succeeded"]
        assert (self.held.refresh().result, outcomes(self.held)) == ("done", ["succeeded"])
        assert Worker.objects.count() == 2, "no worker had to begin anew"
        assert [worker.stop() for worker in self.workers] == [0, 0], said
        for worker in self.workers:
            assert len(re.findall("the database failed the", worker.output)) == 1, worker.output
            assert len(re.findall("the database answers again, after", worker.output)) == 1, worker.output
            assert "was lost" not in worker.output or crashed, worker.output


@pytest.mark.parametrize("how", HOW)
def test_a_restart_of_the_server_loses_nothing_and_is_said_once(
    start_worker: StartWorker, server: PrivateServer, tmp_path: Path, how: str
) -> None:
    load = Load(start_worker, tmp_path)

    if how == "crash":
        server.crash()
    else:
        server.stop(immediately=how == "immediate")
    load.hear("the database failed the")
    load.let_go()
    server.start()

    connection.close()
    load.hear("the database answers again")
    load.enqueue(24)
    load.check(crashed=how != "fast")


def test_a_server_that_is_gone_for_a_while_is_waited_for(
    start_worker: StartWorker, server: PrivateServer, tmp_path: Path
) -> None:
    load = Load(start_worker, tmp_path)

    server.stop()
    began = time.monotonic()
    load.hear("the database failed the")
    load.let_go()
    wait_until(lambda: time.monotonic() > began + GONE_SECONDS, "the time to pass", seconds=2 * GONE_SECONDS + 30)
    server.start()

    connection.close()
    load.hear("the database answers again")
    load.enqueue(24)
    load.check(crashed=False)
