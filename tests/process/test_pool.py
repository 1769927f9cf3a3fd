"""With psycopg's pool in the project's settings a worker takes connections of its own: it needs more than four."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections

from django_jobs.worker.threads.connections import use_own_connections
from tests.concurrency import DEADLINE_SECONDS, Background
from tests.databases import POOL, chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.misbehaving import leftovers

from .conftest import StartWorker
from .running import ended

pytestmark = pytest.mark.skipif(chosen_vendor() != "postgresql", reason="the pool is psycopg's")
THREADS = 12


@pytest.mark.django_db(transaction=True)
def test_each_thread_has_a_connection_outside_of_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "pool", {"min_size": 1, "max_size": 1})
    use_own_connections()
    all_open = threading.Barrier(THREADS)

    def session() -> int:
        number: int = leftovers.send(["SELECT pg_backend_pid()"])
        all_open.wait(DEADLINE_SECONDS)
        return number

    threads = [Background(session) for _ in range(THREADS)]
    assert len({thread.result() for thread in threads}) == THREADS
    assert "pool" not in connection.settings_dict["OPTIONS"]


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_worker_does_its_work_with_the_pool_in_the_settings(
    start_worker: StartWorker, worker_environment: dict[str, str], pool: str
) -> None:
    worker_environment[POOL] = "1"
    worker = start_worker("--concurrency", "6", "--pool", pool)
    jobs = [misbehaving.count_customers.enqueue() for _ in range(12)]
    jobs += [leftovers.send_sql_async.enqueue("SELECT 1"), leftovers.write_atomic.enqueue("Ada")]
    assert ended(*jobs) == ["succeeded"] * len(jobs)
    assert worker.stop() == 0
