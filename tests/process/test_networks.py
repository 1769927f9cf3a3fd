"""Workers on another host: cut off from the database for a while, and behind a link that is slow and loses packets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from django_jobs.conf import get_settings
from django_jobs.definition import JobDefinition
from django_jobs.models import Attempt, Job, Worker
from django_jobs.store.clock import database_now
from django_jobs.worker.options import WorkerOptions
from django_jobs.worker.process.startup_message import max_connections
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.databases import ROOT, chosen_vendor
from tests.misbehaving.jobs import count_visit_after, count_visit_before
from tests.private.host import Host
from tests.private.postgresql import PrivatePostgreSQL
from tests.sampleapp.jobs import count_visit_here, count_visit_once, echo
from tests.sampleapp.models import Customer

from .conftest import PRIVATE_DATABASE, StartWorker, environment_of
from .running import ended, outcomes, wait_for_start

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.timeout(300),
    pytest.mark.skipif(chosen_vendor() != "postgresql", reason="its log says which host sent which statement"),
]

CONCURRENCY = 2
JOBS = 10
THREADS = ("--concurrency", str(CONCURRENCY))
HEARTBEAT_SECONDS = 0.5
SHORT = {"HEARTBEAT_INTERVAL": HEARTBEAT_SECONDS, "STALE_AFTER": 4}
STATEMENTS_PER_SECOND = 1 / HEARTBEAT_SECONDS + 2
"""Of the heartbeat's session: a heartbeat, and a look for cancellations each second."""
STATEMENTS_OF_RETURN = 20
"""More of that session: its set-up, the answer that the worker is lost, and the registration of a new one."""


@pytest.fixture
def host() -> Iterator[Host]:
    one = Host()
    yield one
    one.remove()


@pytest.fixture
def log(host: Host, worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The log of a server with all statements; it listens to both hosts, workers connect to it from the other."""
    server = PrivatePostgreSQL(
        listen_addresses="*", log_statement="all", log_connections="on", log_line_prefix="%h|%a|"
    )
    try:
        server.trust(host.address)
        server.trust(host.own_address)
        server.start()
        server.create_database(PRIVATE_DATABASE)
        worker_environment |= environment_of(server)
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--verbosity", "0"]
        subprocess.run(migrate, env={**os.environ, **worker_environment}, cwd=ROOT, check=True)
        worker_environment["DJANGO_JOBS_TEST_POSTGRESQL_HOST"] = host.address
        connection.close()
        for key, value in (server.settings() | {"NAME": PRIVATE_DATABASE}).items():
            monkeypatch.setitem(connection.settings_dict, key, value)
        yield server.folder / "server.log"
    finally:
        connection.close()
        server.remove()


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [(SHORT, 0), pytest.param({}, 60, marks=pytest.mark.release)],
    ids=["short", "a minute"],
)
def test_a_host_that_was_cut_off_doubles_no_effect_and_comes_back_calmly(
    host: Host, log: Path, start_worker: StartWorker, tmp_path: Path, settings: dict[str, float], seconds: int
) -> None:
    customer = Customer.objects.create(name="Ada")
    paths = [tmp_path / f"go{number}" for number in range(CONCURRENCY)]
    held = [count_visit_after.enqueue(customer.pk, str(path)) for path in paths]
    count_visit_here.using(priority=-1).enqueue_many([(customer.pk,)] * JOBS)
    far = start_worker(*THREADS, "--queues", "default,far", before=host.run, **settings)
    for path in paths:
        wait_for_start(path)
    first = Worker.objects.get()
    near = start_worker(*THREADS, "--queues", "default", **settings)
    wait_until(lambda: Worker.objects.count() == 2)

    host.is_cut, cut_at = True, database_now()
    _wait_for_others(held, first)
    for path in paths:
        path.touch()  # the runs on either host go on
    wait_until(lambda: not _unfinished("default"), "the other host to do all jobs")
    far.wait_for_line(r"the database (has not answered|failed) the")
    end_at = cut_at + timedelta(seconds=seconds)
    wait_until(lambda: database_now() >= end_at, "the time to be over", seconds=2 * seconds + DEADLINE_SECONDS)
    position = log.stat().st_size
    host.is_cut, back_at = False, database_now()

    far.wait_for_line(rf"worker {first.pk} was declared lost", seconds=2 * DEADLINE_SECONDS)
    assert set(ended(*echo.using(queue_name="far").enqueue_many([(x,) for x in range(JOBS)]))) == {"succeeded"}
    again = Worker.objects.filter(pid=first.pid).latest("pk")
    interval = get_settings().worker.heartbeat_interval.total_seconds() if not settings else HEARTBEAT_SECONDS
    wait_until(lambda: _heartbeat(again) > back_at + timedelta(seconds=5 * interval), "more heartbeats")
    sent, opened = _sent(log, host, since=position)
    passed = (database_now() - back_at).total_seconds()
    print(f"{passed:.1f} s after the return: {dict(sent)}, {opened} connections")

    assert sent["django_jobs heartbeat"] <= STATEMENTS_OF_RETURN + STATEMENTS_PER_SECOND * (passed + 1)
    assert opened <= 2 * max_connections(WorkerOptions(concurrency=CONCURRENCY))
    assert _visits(customer) == CONCURRENCY + JOBS
    assert [outcomes(job) for job in held] == [["lost", "succeeded"]] * CONCURRENCY
    assert (near.stop(), far.stop()) == (0, 0), far.output


def test_rows_that_a_cut_off_transaction_has_locked_are_free_once_the_server_gives_it_up(
    host: Host, log: Path, start_worker: StartWorker, tmp_path: Path
) -> None:
    for name, value in (("idle", 1), ("interval", 1), ("count", 3)):
        _execute(f"ALTER SYSTEM SET tcp_keepalives_{name} = {value}")
    _execute("SELECT pg_reload_conf()")
    customer = Customer.objects.create(name="Ada")
    job = count_visit_before.enqueue(customer.pk, str(tmp_path / "go"))
    far = start_worker(before=host.run, **SHORT)
    wait_for_start(tmp_path / "go")
    first = Worker.objects.get()
    start_worker(**SHORT)
    wait_until(lambda: Worker.objects.count() == 2)

    host.is_cut = True
    _wait_for_others([job], first)
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    host.is_cut = False
    far.wait_for_line(rf"worker {first.pk} was declared lost")
    assert far.stop() == 0, far.output
    assert (_visits(customer), outcomes(job)) == (1, ["lost", "succeeded"])


@pytest.mark.release  # half a minute
def test_a_link_that_is_slow_and_loses_packets_costs_nothing_but_time(
    host: Host, log: Path, start_worker: StartWorker
) -> None:
    customer = Customer.objects.create(name="Ada")
    start_worker("--queues", "other", **SHORT)  # it would rescue the jobs of a worker without a heartbeat
    far = start_worker(*THREADS, before=host.run, **SHORT)
    wait_until(lambda: Worker.objects.count() == 2)
    short, long = [], []
    for delay, loss in ((0.0, 0.0), (0.1, 0.05)):
        host.delay_seconds, host.loss = delay, loss
        long.append(_statements_per_job(log, host, count_visit_once.using(queue_name="long"), [(customer.pk,)] * JOBS))
        short.append(_statements_per_job(log, host, echo.using(queue_name="short"), [(x,) for x in range(50 * JOBS)]))
    print(f"{host.lost} packets lost; statements of a job: long {long}, short {short}")

    assert host.lost > 0
    assert short[1] < short[0] + 0.25
    assert long[1] < long[0] + 4  # at worst each is claimed and saved for itself
    assert _visits(customer) == 2 * JOBS
    assert Worker.objects.filter(state="running").count() == 2
    assert not Attempt.objects.exclude(outcome="succeeded").exists()
    assert far.stop() == 0, far.output


def _statements_per_job(log: Path, host: Host, job: JobDefinition[..., Any], arguments: list[tuple[int]]) -> float:
    """Run such jobs and return how many statements each took, of what workers do for jobs."""
    position = log.stat().st_size
    jobs = job.enqueue_many(arguments)
    wait_until(lambda: not _unfinished(jobs[0].queue_name), "the jobs to end", seconds=3 * DEADLINE_SECONDS)
    sent, _ = _sent(log, host, since=position)
    return sum(sent[f"django_jobs {name}"] for name in ("claimer", "finisher", "job")) / len(jobs)


def _wait_for_others(jobs: list[Job], lost: Worker) -> None:
    """Wait until another worker runs these jobs."""
    running = Job.objects.filter(pk__in=[job.pk for job in jobs], state="running").exclude(worker=lost)
    wait_until(lambda: running.count() == len(jobs), "another worker to run them")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _unfinished(queue: str) -> bool:
    return Job.objects.filter(queue_name=queue).exclude(state="succeeded").exists()


def _heartbeat(worker: Worker) -> datetime:
    worker.refresh_from_db()
    return worker.heartbeat_at


def _visits(customer: Customer) -> int:
    customer.refresh_from_db()
    return customer.visits


def _sent(log: Path, host: Host, *, since: int) -> tuple[Counter[str], int]:
    """Count the statements that sessions of the host have sent after a position of the log, by names; and sessions."""
    with log.open("rb") as file:
        file.seek(since)
        text = file.read().decode()
    of_host = re.escape(host.own_address)
    sent = Counter(re.findall(rf"^{of_host}\|(.*)\|LOG:  (?:statement|execute)", text, re.MULTILINE))
    return sent, len(re.findall(rf"^{of_host}\|.*connection received", text, re.MULTILINE))
