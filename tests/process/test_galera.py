"""Three nodes of a Galera cluster that all take writes: each job is done once, also if a node is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, transaction

from django_jobs.models import Job
from django_jobs.policy.claim_cursors import ClaimCursors, Lane
from django_jobs.store.lifecycle.claim import claim, refresh_cursors, spread_claims
from tests.concurrency import Background, wait_until
from tests.databases import ROOT
from tests.factories import make_worker
from tests.private.galera import GaleraCluster, GaleraNode
from tests.sampleapp.jobs import count_visit_once, echo
from tests.sampleapp.models import Customer

from .conftest import PRIVATE_DATABASE, StartWorker, environment_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.release,
    pytest.mark.timeout(300),
    pytest.mark.skipif("connection.vendor != 'mysql'", reason="Galera is MariaDB and MySQL"),
]

JOBS = int(os.environ.get("DJANGO_JOBS_TEST_GALERA_JOBS", "400"))
"""So many are enqueued before a node is killed, and as many after it."""
SILENCE = {"HEARTBEAT_INTERVAL": 1.0, "STALE_AFTER": 4.0}
DEADLOCK = 1213
T = TypeVar("T")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, worker_environment: dict[str, str]) -> Iterator[GaleraCluster]:
    """A cluster with all tables; this process is connected to its first node."""
    one = GaleraCluster()
    try:
        one.start(PRIVATE_DATABASE)
        environment = {**os.environ, **worker_environment, **environment_of(one.nodes[0])}
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
        subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
        connection.close()
        for key, value in (one.nodes[0].settings() | {"NAME": PRIVATE_DATABASE}).items():
            monkeypatch.setitem(connection.settings_dict, key, value)
        yield one
    finally:
        connection.close()
        one.remove()


def test_a_claim_that_another_node_has_undone_goes_on_further_down(
    cluster: GaleraCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    worker, lane, cursors = make_worker(), Lane("default", 0), ClaimCursors()
    jobs = {job.pk for job in echo.enqueue_many([(number,) for number in range(100)])}
    wait_until(lambda: _at(cluster.nodes[1], Job.objects.count) == len(jobs))
    refresh_cursors(cursors, queues=None)
    theirs: set[int] = set()

    def claim_too_late() -> None:
        head = ClaimCursors(positions={lane: None})
        with transaction.atomic():
            claim(cursors, lane, limit=10, worker_id=worker.pk)
            found = _at(cluster.nodes[1], lambda: claim(head, lane, limit=10, worker_id=worker.pk))
            theirs.update(one.job_id for one in found)

    with pytest.raises(OperationalError) as undone:
        claim_too_late()
    assert undone.value.args[0] == DEADLOCK

    while not spread_claims(cursors, lane, limit=10):
        pass  # few of the places are the head
    ours = {one.job_id for one in claim(cursors, lane, limit=10, worker_id=worker.pk)}
    assert (len(theirs), len(ours), ours & theirs, ours | theirs <= jobs) == (10, 10, set(), True)
    with suppress(SystemExit):
        call_command("jobs", "doctor")
    assert "a Galera cluster of 3 nodes; other nodes have undone" in capsys.readouterr().out


def test_a_node_that_is_killed_under_load_loses_nothing(
    cluster: GaleraCluster, start_worker: StartWorker, worker_environment: dict[str, str]
) -> None:
    for node in cluster.nodes:
        worker_environment |= environment_of(node)
        start_worker(**SILENCE)
    with transaction.atomic():
        acknowledged = _enqueue()
    wait_until(lambda: _succeeded() >= JOBS // 8, seconds=60)
    cluster.nodes[2].crash()
    acknowledged += _enqueue()
    wait_until(lambda: _succeeded() == Job.objects.count(), "all jobs", seconds=120)
    undone = [int(node.status("wsrep_local_cert_failures")) for node in cluster.nodes[:2]]
    print(f"{len(acknowledged)} acknowledged jobs, {Job.objects.count()} jobs, {undone} transactions undone")
    visits = dict(Customer.objects.values_list("pk", "visits"))
    assert len(acknowledged) > JOBS
    assert set(acknowledged) <= set(visits)
    assert set(visits.values()) == {1}


def _at(node: GaleraNode, ask: Callable[[], T]) -> T:
    """Call ``ask`` in a thread of its own, which is connected to the node."""

    def ask_there() -> T:
        connection.settings_dict = connection.settings_dict | node.settings()
        try:
            return ask()
        finally:
            connection.close()

    return Background(ask_there).result(60)


def _enqueue() -> list[int]:
    """Enqueue a job for each of ``JOBS`` new customers; return the customers of transactions that were committed."""
    acknowledged = []
    for number in range(JOBS):
        with suppress(OperationalError):
            with transaction.atomic():
                customer = Customer.objects.create(name=str(number))
                count_visit_once.enqueue(customer.pk)
            acknowledged.append(customer.pk)
    return acknowledged


def _succeeded() -> int:
    return Job.objects.filter(state="succeeded").count()
