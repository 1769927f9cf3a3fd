"""Cancellation of running jobs, under real workers: in job processes, on the event loop, in threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import ended, outcomes, wait_for_start
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SLOTS = ("--pool", "processes", "--concurrency", "1")


def _is_cancelled(job: Job) -> None:
    assert job.cancel().requested
    assert ended(job) == ["cancelled"]
    assert outcomes(job) == ["cancelled"]
    assert (job.error or "").endswith(": cancellation was requested")


@pytest.mark.parametrize("sleep", [misbehaving.sleep_for_ever, misbehaving.sleep_for_ever_async])
def test_a_job_in_a_job_process_is_interrupted_and_the_process_goes_on(
    start_worker: StartWorker, tmp_path: Path, sleep: Any
) -> None:
    job = sleep.enqueue(str(tmp_path / "never"))
    worker = start_worker(*SLOTS)
    pid = wait_for_start(tmp_path / "never")

    _is_cancelled(job)

    after = misbehaving.tell_process.enqueue()
    assert ended(after) == ["succeeded"]
    assert after.result == pid
    assert worker.stop() == 0


def test_a_job_is_not_interrupted_in_the_middle_of_what_it_reports(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker(*SLOTS)
    pids = set()
    for number in range(3):
        path = tmp_path / f"never{number}"
        job = misbehaving.report_for_ever.enqueue(str(path))
        pids.add(wait_for_start(path))
        wait_until(lambda job=job: job.refresh().progress_done, "its first report")
        _is_cancelled(job)
    assert len(pids) == 1


@pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite has one writer at a time")
def test_what_an_atomic_job_wrote_is_rolled_back(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.write_and_sleep.enqueue(str(tmp_path / "never"))
    start_worker(*SLOTS)
    wait_for_start(tmp_path / "never")

    _is_cancelled(job)

    assert not Customer.objects.exists()
    after = sample.count_visit_once.enqueue(Customer.objects.create(name="Ada").pk)
    assert ended(after) == ["succeeded"]


@pytest.mark.skipif(chosen_vendor() != "postgresql", reason="the driver of the others waits in C code")
def test_a_job_is_interrupted_in_the_middle_of_a_statement_and_the_next_one_has_a_whole_connection(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.sleep_in_database.enqueue(str(tmp_path / "never"))
    start_worker(*SLOTS)
    pid = wait_for_start(tmp_path / "never")

    _is_cancelled(job)

    after = [misbehaving.count_customers.enqueue(), misbehaving.tell_process.enqueue()]
    assert ended(*after) == ["succeeded"] * 2
    assert after[1].refresh().result == pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(3600)' AND state = 'active'")
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize(
    ("go_on", "arguments"),
    [
        (misbehaving.hear_and_go_on, SLOTS),
        (misbehaving.hear_and_go_on_async, SLOTS),
        (misbehaving.hear_and_go_on_async, ()),
    ],
)
def test_a_job_that_ignores_it_runs_on(
    start_worker: StartWorker, tmp_path: Path, go_on: Any, arguments: tuple[str, ...]
) -> None:
    job = go_on.enqueue(str(tmp_path / "go"))
    start_worker(*arguments)
    wait_for_start(tmp_path / "go")

    assert job.cancel().requested
    wait_until((tmp_path / "go.heard").exists, "the job to hear of it")
    assert job.refresh().state == "running"
    (tmp_path / "go").touch()

    assert ended(job) == ["succeeded"]
    assert job.result == "went on"


def test_one_that_ignores_it_until_its_time_is_up_has_timed_out_and_is_not_tried_again(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.hear_and_hang_async.enqueue(str(tmp_path / "go"))
    start_worker()
    wait_for_start(tmp_path / "go")
    assert job.cancel().requested
    assert ended(job) == ["cancelled"]
    assert (tmp_path / "go.heard").exists()
    assert outcomes(job) == ["timed_out"]


def test_a_task_of_the_event_loop_is_cancelled_and_its_neighbours_are_not(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    neighbour = misbehaving.wait_for_file_async.enqueue(str(tmp_path / "go"))
    job = misbehaving.sleep_for_ever_async.enqueue(str(tmp_path / "never"))
    worker = start_worker()
    for name in ("go", "never"):
        wait_for_start(tmp_path / name)

    _is_cancelled(job)

    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert Worker.objects.count() == 1
    assert worker.stop() == 0


def test_a_job_in_a_thread_ends_when_it_looks(start_worker: StartWorker) -> None:
    job = sample.check_for_ever.enqueue()
    start_worker()
    wait_until(lambda: job.refresh().state == "running", "it to run")
    _is_cancelled(job)
