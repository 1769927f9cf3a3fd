"""What a worker process holds does not grow with the jobs that it has run: memory, threads, files, connections."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.db import connection

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker

ROUNDS = 5
MIB = 1 << 20


def _held(pid: int) -> dict[str, int]:
    """Return what the process holds now: resident bytes, threads, open files."""
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return {
        "memory": int(status["VmRSS"].split()[0]) * 1024,
        "threads": int(status["Threads"]),
        "files": len(list((process / "fd").iterdir())),
    }


def _connections() -> int:
    if connection.vendor == "sqlite":
        return 0
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            if connection.vendor == "postgresql"
            else "SELECT count(*) FROM information_schema.processlist WHERE db = database()"
        )
        return int(cursor.fetchone()[0])


def _run(number: int) -> None:
    """Run so many jobs of several kinds to their end, then forget them."""
    sample.echo.enqueue_many([("x" * 100,)] * (number // 2))
    sample.echo_async.enqueue_many([(7,)] * (number // 4))
    misbehaving.write_and_fail.using(max_attempts=1).enqueue_many([("nobody",)] * 100)
    sample.do_nothing.enqueue_many([()] * (number - number // 2 - number // 4 - 100))
    waiting = Job.objects.exclude(state__in=["succeeded", "dead"])
    wait_until(lambda: not waiting.exists(), "all to end", seconds=100)
    Job.objects.all()._raw_delete("default")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("jobs", [8_000, pytest.param(20_000, marks=pytest.mark.release)])
def test_rounds_of_jobs_leave_a_worker_as_it_was(start_worker: StartWorker, jobs: int) -> None:
    worker = start_worker("--concurrency", "4")
    _run(jobs)
    pid = Worker.objects.get().pid
    before, connected = _held(pid), _connections()
    for _ in range(ROUNDS - 1):
        _run(jobs)
    after = _held(pid)
    assert (after["threads"], after["files"], _connections()) == (
        before["threads"],
        before["files"],
        connected,
    )
    assert after["memory"] < before["memory"] + 8 * MIB, (before, after)
    assert Worker.objects.get().pid == pid, "it is still the same process"
    assert worker.stop() == 0
