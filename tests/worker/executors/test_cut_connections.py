"""A connection that was cut between two jobs is replaced before the second uses it, in whatever thread it is."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.worker.options import PROCESSES
from django_jobs.worker.threads import connections
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import leftovers

from .running import run_in_turn

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite has no connection that could be cut"),
]

SESSION_ID, CUT, COUNT = {
    "postgresql": (
        "SELECT pg_backend_pid()",
        "SELECT pg_terminate_backend(%s)",
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %s",
    ),
    "mysql": (
        "SELECT connection_id()",
        "KILL %s",
        "SELECT count(*) FROM information_schema.processlist WHERE id = %s",
    ),
    "sqlite": ("", "", ""),
}[chosen_vendor()]

JOBS = [leftovers.send_sql, leftovers.send_sql_async, leftovers.send_sql_in_a_thread_async]
IDS = ["thread", "event loop", "thread of the loop"]


def _cut(run: Any) -> None:
    """Cut the session whose id the run returned, and wait for its end."""
    assert isinstance(run, FinishedRun)
    number = int(run.decision.result or 0)
    with connection.cursor() as cursor:
        cursor.execute(CUT, [number])

        def is_gone() -> bool:
            cursor.execute(COUNT, [number])
            return bool(cursor.fetchone() == (0,))

        wait_until(is_gone, "the session to end")


def _different(jobs: list[Any]) -> bool:
    assert [job.error for job in jobs] == [None] * len(jobs)
    return len({job.result for job in jobs}) == len(jobs)


@pytest.mark.parametrize("job", JOBS, ids=IDS)
def test_a_connection_that_was_cut_is_replaced_for_the_next_job(job: Any) -> None:
    assert _different(run_in_turn(job.enqueue(SESSION_ID), job.enqueue(SESSION_ID), after_each=_cut))


@pytest.mark.parametrize("job", JOBS, ids=IDS)
def test_one_that_was_cut_without_a_sign_is_found_after_some_idle_seconds(
    job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(connections, "_has_unread", lambda connection: False)
    assert _different(run_in_turn(job.enqueue(SESSION_ID), job.enqueue(SESSION_ID), after_each=_cut))


def test_one_of_a_job_process_is_replaced(worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    jobs = [job.enqueue(SESSION_ID) for job in JOBS for _ in range(2)]
    assert _different(run_in_turn(*jobs, pool=PROCESSES, after_each=_cut))
