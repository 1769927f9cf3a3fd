"""C code that holds the interpreter: the process lives, is not taken for dead, and obeys its time-outs."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

STALE_SECONDS = 2.5
"""The supervisor renews a heartbeat at 1.4 s: more than a second is left where the machine is busy."""
SHORT = {"HEARTBEAT_INTERVAL": 0.3, "STALE_AFTER": STALE_SECONDS}


def _wait_for_heartbeat_after(job: Job, seconds: float) -> None:
    """Wait until the job's worker has a heartbeat that is so much later than the job's start."""
    job.refresh()
    assert job.started_at is not None
    late = job.started_at + timedelta(seconds=seconds)
    wait_until(lambda: Worker.objects.filter(pk=job.worker_id, heartbeat_at__gt=late).exists(), "its heartbeat")


def test_a_process_that_c_code_holds_is_not_taken_for_dead(start_worker: StartWorker, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    holding = start_worker("--concurrency", "2", **SHORT)
    wait_for_start(tmp_path / "go")
    holder = misbehaving.hold_the_gil_until.enqueue(str(fifo))
    wait_for_start(fifo)
    start_worker("--queues", "other", **SHORT)  # would rescue the jobs of the first
    wait_until(lambda: Worker.objects.count() == 2)

    _wait_for_heartbeat_after(holder, 1.2 * STALE_SECONDS)
    (tmp_path / "go").touch()
    fifo.write_text("x")

    assert ended(holder, neighbour) == ["succeeded"] * 2
    assert [outcomes(job) for job in (holder, neighbour)] == [["succeeded"]] * 2
    assert "declared lost" not in holding.output


def test_a_frozen_process_is_lost_although_its_supervisor_lives(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    frozen = start_worker(**SHORT)
    pid = wait_for_start(tmp_path / "go")
    start_worker("--queues", "other", **SHORT)
    wait_until(lambda: Worker.objects.count() == 2)
    first = Worker.objects.get(pk=job.refresh().worker_id)

    with transaction.atomic():
        Worker.objects.filter(pk=0).update(pid=0)  # SQLite's one lock, which a frozen process would keep
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: job.refresh().state == "ready", "another worker to rescue the job")
    finally:
        os.kill(pid, signal.SIGCONT)
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    frozen.wait_for_line(f"worker {first.pk} was declared lost")
    assert (outcomes(job)[0], outcomes(job)[-1], job.refresh().worker_deaths) == ("lost", "succeeded", 1)


@pytest.mark.parametrize(
    "definition", [misbehaving.hold_the_gil_too_long, misbehaving.hold_the_gil_too_long_async], ids=["plain", "async"]
)
def test_a_timeout_ends_a_job_that_holds_the_interpreter(
    start_worker: StartWorker, tmp_path: Path, definition: Any
) -> None:
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--concurrency", "2", TIMEOUT_GRACE=0.2)
    pid = wait_for_start(tmp_path / "go")
    holder = definition.enqueue(str(tmp_path / "holder"))

    worker.wait_for_line(rf"worker process {pid} was killed: job {holder.pk} went on after its timeout")
    (tmp_path / "go").touch()

    assert ended(neighbour) == ["succeeded"]
    assert (outcomes(neighbour), neighbour.refresh().worker_deaths) == (["released", "succeeded"], 0)
    wait_until(lambda: outcomes(holder) == ["timed_out"])
    assert (holder.refresh().state, holder.attempt, holder.worker_deaths) == ("scheduled", 1, 0)
