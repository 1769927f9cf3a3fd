"""The server is restarted, crashes or is gone for a while under real workers: nothing is lost, nothing ends twice.

It is a server of these tests' own: see ``tests/private``.
"""

from __future__ import annotations

import os
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models import Max

from django_jobs.models import Attempt, DeadLetter, RollupPosition, Worker
from django_jobs.store.stats.rollup import SOURCES, roll_up
from tests.chaos import jobs as kinds
from tests.chaos.audit import audit
from tests.chaos.load import Promise
from tests.chaos.records import read_facts, unfinished
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.private import PrivateServer

from .conftest import StartWorker
from .running import RunningWorker, ended, outcomes, wait_for_start

GONE_SECONDS = 60.0 if "DJANGO_JOBS_TEST_LONG" in os.environ else 5.0
HOW = ("fast", "immediate", "crash") if chosen_vendor() == "postgresql" else ("fast", "crash")
"""MariaDB has one way to be shut down."""

pytestmark = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite is a file; there is no server")


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
        wait_until(_is_rolled_up, "the rollups to have all rows")
        promise = Promise(number=0, kind="restarts", at=0.0, ids=self.ids, committed=True)
        findings = audit(read_facts(self.path, promises=[promise], crashed=crashed))
        said = "\n\n".join(worker.output for worker in self.workers)
        assert not findings, f"{findings}\n{said}"
        assert ended(self.held) == ["succeeded"]
        assert (self.held.refresh().result, outcomes(self.held)) == ("done", ["succeeded"])
        assert Worker.objects.count() == 2, "no worker had to begin anew"
        assert [worker.stop() for worker in self.workers] == [0, 0], said
        for worker in self.workers:
            assert len(re.findall("the database failed the", worker.output)) == 1, worker.output
            assert len(re.findall("the database answers again, after", worker.output)) == 1, worker.output
            assert "has lost claim" not in worker.output or crashed, worker.output


def _is_rolled_up() -> bool:
    """Roll up, and tell whether nothing is left: a worker that does so at the same moment ends this one's round."""
    roll_up(min_age=timedelta(0))
    newest = [Attempt.objects.aggregate(id=Max("pk")), DeadLetter.objects.aggregate(id=Max("pk"))]
    done = RollupPosition.objects.in_bulk()
    return [rows["id"] or 0 for rows in newest] == [done[source].done_id for source in SOURCES]


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
