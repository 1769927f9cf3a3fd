"""What one ``runworker`` holds with its defaults: processes, and connections to the server."""

from __future__ import annotations

import pytest
from django.db import connection

from django_jobs.models import Worker
from django_jobs.worker.options import WorkerOptions
from django_jobs.worker.process.startup_message import max_connections
from tests.benchmarks.proc import PROC, descendants
from tests.concurrency import wait_until
from tests.process.conftest import StartWorker
from tests.process.running import ended
from tests.process.sessions import sessions
from tests.sampleapp import jobs as sample

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

PROCESSES = 3
"""Supervisor, fork server and worker. Whoever makes do with fewer lowers the number here."""
IDLE_CONNECTIONS = 3
"""Claimer, heartbeat and maintenance. Whoever makes do with fewer lowers the number here."""
FINISHER = 1
"""While jobs end, and a few seconds longer."""
THREADS = 4
"""Each thread whose job has used the database holds one more."""


@pytest.mark.skipif(not PROC.exists(), reason="processes are counted by /proc")
def test_a_worker_is_few_processes_with_few_connections(start_worker: StartWorker) -> None:
    # Elsewhere nothing wakes a scheduler: it looks so often that it keeps its connection.
    idle = IDLE_CONNECTIONS if connection.vendor == "postgresql" else IDLE_CONNECTIONS + 1
    before = sessions()
    worker = start_worker()
    wait_until(Worker.objects.exists)
    wait_until(lambda: len(sessions() - before) <= idle)
    assert set(ended(*(sample.echo.enqueue(x) for x in range(20)))) == {"succeeded"}

    # The process that has checked the database may not have ended yet.
    wait_until(lambda: len(descendants(worker.process.pid)) <= PROCESSES)
    own = 0 if connection.vendor == "sqlite" else 1
    assert own <= len(sessions() - before) <= idle + FINISHER

    assert set(ended(*(sample.count_visit.enqueue(x) for x in range(20)))) == {"succeeded"}
    assert own <= len(sessions() - before) <= idle + FINISHER + THREADS
    assert len(sessions() - before) <= max_connections(WorkerOptions(concurrency=THREADS))


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a session of PostgreSQL has a name")
def test_sessions_of_a_worker_are_named_by_what_uses_them(start_worker: StartWorker) -> None:
    start_worker()
    assert ended(sample.count_visit.enqueue(1)) == ["succeeded"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT application_name FROM pg_stat_activity WHERE datname = current_database()")
        names = {name for (name,) in cursor.fetchall()}
    assert names >= {f"django_jobs {role}" for role in ("claimer", "heartbeat", "maintenance", "finisher", "job")}
