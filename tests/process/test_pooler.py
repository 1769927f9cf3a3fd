"""Behind PgBouncer in transaction mode, where LISTEN hears nothing, workers do their work by polling."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.db import connection

from django_jobs.models import Worker
from tests.concurrency import wait_until
from tests.databases import ROOT, chosen_vendor
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes

if chosen_vendor() != "postgresql":
    pytest.skip("PgBouncer is PostgreSQL's", allow_module_level=True)

import psycopg

from tests.private.pgbouncer import PrivatePgBouncer


@pytest.fixture(scope="module")
def pooler() -> Iterator[PrivatePgBouncer]:
    pooler = PrivatePgBouncer()
    try:
        pooler.start()
        yield pooler
    finally:
        pooler.remove()


@pytest.fixture(autouse=True)
def _behind_the_pooler(worker_environment: dict[str, str], pooler: PrivatePgBouncer) -> None:
    """Workers and commands go through the pooler, this process goes directly."""
    worker_environment |= {f"DJANGO_JOBS_TEST_POSTGRESQL_{key}": value for key, value in pooler.settings().items()}


def test_sessions_are_shared_and_listen_is_deaf(pooler: PrivatePgBouncer) -> None:
    """What makes it transaction mode: two clients, one session of the server's."""
    name = connection.settings_dict["NAME"]
    clients = [
        psycopg.connect(host="127.0.0.1", port=pooler.port, user="any", dbname=name, autocommit=True) for _ in range(2)
    ]
    numbers = [client.execute("SELECT pg_backend_pid()").fetchone() for client in clients]
    for client in clients:
        client.close()
    assert numbers[0] == numbers[1]


def test_a_worker_behind_a_pooler_does_all_its_work_by_polling(
    start_worker: StartWorker, pooler: PrivatePgBouncer
) -> None:
    customer = Customer.objects.create(name="Ada")
    worker = start_worker("--concurrency", "3", POLL_INTERVAL=0.1, HEARTBEAT_INTERVAL=0.1, STALE_AFTER=10)
    wait_until(lambda: Worker.objects.filter(state="running").exists(), "the worker to register")
    assert ended(sample.do_nothing.enqueue()) == ["succeeded"]

    jobs = [
        *sample.count_visit_once.enqueue_many([(customer.pk,)] * 50),
        *sample.echo_async.enqueue_many([(number,) for number in range(50)]),
        sample.echo.using(run_after=timedelta(seconds=0.5)).enqueue("late"),
    ]
    dead = sample.fail.enqueue()

    assert set(ended(*jobs)) == {"succeeded"}
    assert all(outcomes(job) == ["succeeded"] for job in jobs)
    assert (ended(dead), outcomes(dead)) == (["dead"], ["failed", "failed"])
    assert Customer.objects.get().visits == 50
    assert worker.stop() == 0, worker.output
    assert "the database failed" not in worker.output, worker.output
    assert Worker.objects.get().state == "stopped"
    pooler.command("RECONNECT")  # or its sessions outlive the worker


def test_the_doctor_finds_that_listen_hears_nothing_and_says_what_to_do(
    worker_environment: dict[str, str],
) -> None:
    def ask(**settings: bool) -> dict[str, dict[str, str]]:
        done = subprocess.run(
            [sys.executable, "-m", "django", "jobs", "doctor", "--json"],
            env={**worker_environment, "DJANGO_JOBS_TEST_OPTIONS": json.dumps({"WORKER": settings})},
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
        assert not done.stderr
        return {finding["about"]: finding for finding in json.loads(done.stdout)}

    found = ask()["notify"]
    assert found["severity"] == "hint"
    assert "(LISTEN) did not arrive" in found["what"]
    assert "PgBouncer in transaction mode" in found["advice"]
    assert "DJANGO_JOBS['WORKER']['NOTIFY'] = False" in found["advice"]

    assert "notify" not in ask(NOTIFY=False), "that is what it said to do"
