"""The primary is killed under load and another server takes over: what was acknowledged is there, and work goes on."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Job
from django_jobs.store.stats.rollup import roll_up
from tests.chaos.audit import audit
from tests.chaos.faults import Faults
from tests.chaos.load import Load
from tests.chaos.records import read_facts, unfinished, what_is_left
from tests.concurrency import wait_until
from tests.databases import ROOT, chosen_vendor
from tests.private.galera import GaleraCluster
from tests.private.pairs import Pair, new_pair

from .conftest import PRIVATE_DATABASE, StartWorker

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow if chosen_vendor() == "postgresql" else pytest.mark.release,
    pytest.mark.timeout(300),
    pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has no replica"),
]

KINDS = ("harmless", "patient", "once", "narrow", "ordered", "idempotent", "chord", "growing_batch")
"""Loads whose jobs end without staff."""
ACKNOWLEDGED = int(os.environ.get("DJANGO_JOBS_TEST_FAILOVER_PROMISES", "40"))
"""So many transactions are committed before the primary is killed, and as many after it."""


@pytest.fixture
def pair(kind: str) -> Iterator[Pair]:
    if kind == "galera" and chosen_vendor() != "mysql":
        pytest.skip("Galera is MariaDB")
    one = GaleraCluster() if kind == "galera" else new_pair(chosen_vendor())
    try:
        yield one
    finally:
        connection.close()
        one.remove()


class Requests(threading.Thread):
    """Requests that enqueue all the time, whether or not the database is there."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.errors: list[str] = []
        self.load = Load(str(path), self.errors.append)
        self.over = threading.Event()
        self.start()

    def acknowledged(self) -> int:
        return sum(promise.committed is True for promise in self.load.promises)

    def run(self) -> None:
        dice = random.Random(1)
        while not self.over.wait(0.02):
            self.load.enqueue(dice.choice(KINDS), dice)
        connection.close()


@pytest.mark.parametrize(
    "kind", ["synchronous", *(pytest.param(kind, marks=pytest.mark.release) for kind in ("asynchronous", "galera"))]
)
def test_a_replica_that_takes_over_has_what_was_acknowledged(
    request: pytest.FixtureRequest,
    pair: Pair,
    start_worker: StartWorker,
    worker_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    is_synchronous = kind != "asynchronous"
    path = tmp_path / "runs"
    path.touch()
    _use(pair, worker_environment, monkeypatch, is_synchronous=is_synchronous)
    workers = Faults(start_worker, print, server=None, proxy=None)
    requests = Requests(path)
    request.addfinalizer(requests.over.set)
    wait_until(lambda: requests.acknowledged() >= ACKNOWLEDGED and Job.objects.filter(state="succeeded").exists())

    began = time.monotonic()
    pair.fail_over()
    print(f"failed over in {time.monotonic() - began:.1f} s")
    connection.close()

    before = requests.acknowledged()
    wait_until(lambda: requests.acknowledged() >= before + ACKNOWLEDGED, seconds=60)
    requests.over.set()
    requests.join()
    wait_until(lambda: not what_is_left(), "everything to be done", seconds=100)
    unwell = workers.stop_all()
    known = {pk for promise in requests.load.promises if promise.committed for pk in promise.ids}
    lost = known - set(Job.objects.values_list("pk", flat=True))
    print(f"{len(known)} acknowledged jobs, {len(lost)} lost, {len(requests.errors)} requests failed;", _states())
    assert not unfinished().exists()
    assert not unwell, "\n".join(unwell)
    if is_synchronous:
        roll_up(min_age=timedelta(0))
        findings = audit(read_facts(path, promises=requests.load.promises, crashed=True))
        assert not findings, "\n".join(findings)


def _use(pair: Pair, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, *, is_synchronous: bool) -> None:
    """Start the pair with all tables, and connect this process and the workers of the test to it."""
    pair.start(PRIVATE_DATABASE, is_synchronous=is_synchronous)
    prefix = f"DJANGO_JOBS_TEST_{chosen_vendor().upper()}_"
    where = {f"{prefix}{key}": value for key, value in pair.settings().items()} | pair.variables()
    environment |= where | {"DJANGO_JOBS_TEST_NAME": PRIVATE_DATABASE}
    migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
    subprocess.run(migrate, env={**os.environ, **environment}, cwd=ROOT, check=True)
    for key, value in pair.variables().items():
        monkeypatch.setenv(key, value)
    connection.close()
    for key, value in (pair.settings() | {"NAME": PRIVATE_DATABASE}).items():
        monkeypatch.setitem(connection.settings_dict, key, value)


def _states() -> Counter[str]:
    return Counter(Job.objects.values_list("state", flat=True))
