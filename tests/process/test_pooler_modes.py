"""PgBouncer in its three modes, full, paused, told to reconnect, and restarted under work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from django_jobs.models import Attempt, Job, Worker
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

if chosen_vendor() != "postgresql":
    pytest.skip("PgBouncer is PostgreSQL's", allow_module_level=True)

from tests.private.pgbouncer import PrivatePgBouncer

StartPooler = Callable[..., PrivatePgBouncer]
PATIENT = {"POLL_INTERVAL": 0.1, "HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 600}


@pytest.fixture
def start_pooler(worker_environment: dict[str, str]) -> Iterator[StartPooler]:
    """Start a pooler, through which workers and commands go; this process goes directly.

    Ask for it behind ``start_worker``: its sessions end with it, and a test's workers are over when their sessions are.
    """
    started: list[PrivatePgBouncer] = []

    def start(mode: str, **options: int) -> PrivatePgBouncer:
        pooler = PrivatePgBouncer(mode, **options)
        started.append(pooler)
        pooler.start()
        for key, value in pooler.settings().items():
            worker_environment[f"DJANGO_JOBS_TEST_POSTGRESQL_{key}"] = value
        return pooler

    yield start
    for pooler in started:
        pooler.remove()


def test_in_session_mode_a_worker_is_woken_by_listen(start_worker: StartWorker, start_pooler: StartPooler) -> None:
    start_pooler("session")
    worker = start_worker(POLL_INTERVAL=3600, HEARTBEAT_INTERVAL=3600, STALE_AFTER=36000)
    wait_until(lambda: Worker.objects.filter(state="running").exists(), "the worker to register")
    for _ in range(3):
        assert ended(sample.do_nothing.enqueue()) == ["succeeded"]
    assert worker.stop() == 0, worker.output


def test_in_statement_mode_no_worker_starts_until_transactions_are_allowed(
    start_worker: StartWorker, start_pooler: StartPooler
) -> None:
    pooler = start_pooler("statement")
    job = sample.do_nothing.enqueue()

    doctor = start_worker(command=("jobs", "doctor"))
    assert doctor.wait() == 1
    doctor.wait_for_line(r"^problem +settings: the pooler refuses transactions \(PgBouncer in statement mode\)")
    worker = start_worker()
    worker.wait_for_line("no worker is started yet: .* transaction blocks not allowed in statement pooling mode")
    assert not Worker.objects.exists()

    pooler.reload("transaction")

    assert ended(job) == ["succeeded"]
    assert worker.stop() == 0, worker.output


def test_a_worker_that_gets_too_few_connections_says_so_and_goes_on_when_it_gets_them(
    start_worker: StartWorker, start_pooler: StartPooler
) -> None:
    pooler = start_pooler("transaction", max_client_conn=3)
    jobs = sample.echo.enqueue_many([(number,) for number in range(20)])
    worker = start_worker(**PATIENT)
    worker.wait_for_line(r"retrying until it answers.* no more connections allowed \(max_client_conn\)")

    pooler.reload(max_client_conn=100)

    assert set(ended(*jobs)) == {"succeeded"}
    assert worker.stop() == 0, worker.output


def test_work_goes_on_after_a_pause_a_reconnect_and_a_restart(
    start_worker: StartWorker, start_pooler: StartPooler, tmp_path: Path
) -> None:
    pooler = start_pooler("transaction")
    customer = Customer.objects.create(name="Ada")
    held = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    worker = start_worker("--concurrency", "3", **PATIENT)
    wait_for_start(tmp_path / "go")

    def visit(number: int) -> list[Job]:
        return sample.count_visit_once.enqueue_many([(customer.pk,)] * number)

    pooler.command("PAUSE")
    jobs = visit(30)
    assert not Attempt.objects.filter(job__in=jobs).exists(), "no statement of the worker gets through"
    pooler.command("RESUME")
    assert set(ended(*jobs)) == {"succeeded"}

    jobs += visit(30)
    pooler.command("RECONNECT")
    jobs += visit(30)
    assert set(ended(*jobs)) == {"succeeded"}

    jobs += visit(30)
    pooler.stop(immediately=True)
    jobs += visit(30)
    pooler.start()
    assert set(ended(*jobs)) == {"succeeded"}

    (tmp_path / "go").touch()
    assert ended(held) == ["succeeded"]
    assert outcomes(held) == ["succeeded"], "a job that ran all the time ran once"
    assert Customer.objects.get().visits == len(jobs), "each effect in the job's own transaction is there once"
    assert worker.stop() == 0, worker.output
