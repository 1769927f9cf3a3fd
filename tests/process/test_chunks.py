"""Chunks in real workers: many jobs a call, a death in the midst of one, a stop while one fills."""

from __future__ import annotations

from pathlib import Path

import pytest

from django_jobs.models import Job
from tests.concurrency import wait_until
from tests.sampleapp import chunked

from .conftest import StartWorker
from .running import ended, outcomes


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_a_death_in_a_chunk_is_survived_and_its_jobs_then_run_alone(
    pool: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    paths = [str(tmp_path / "killed"), *[""] * 19]
    jobs = chunked.gather.enqueue_many([(path,) for path in paths])
    start_worker("--concurrency", "1", "--pool", pool, PREFETCH_HORIZON=60)
    assert ended(*jobs) == ["succeeded"] * 20
    lost = [job for job in jobs if outcomes(job) == ["lost", "succeeded"]]
    assert jobs[0] in lost
    assert {job.refresh().result for job in lost} == {1}
    assert {tuple(outcomes(job)) for job in jobs if job not in lost} <= {("succeeded",)}


def test_a_stopping_worker_releases_a_chunk_that_fills(start_worker: StartWorker) -> None:
    job = chunked.gather_long.enqueue("")
    worker = start_worker("--concurrency", "1")
    wait_until(lambda: job.refresh().state == "running", "the claim")
    assert worker.stop() == 0
    assert (job.refresh().state, job.attempt, Job.objects.filter(state="running").exists()) == ("ready", 0, False)


def test_async_jobs_are_called_in_chunks_and_burst_ends(start_worker: StartWorker) -> None:
    jobs = chunked.mark_async.enqueue_many([("a",)] * 300)
    worker = start_worker("--burst")
    assert worker.wait() == 0
    assert {job.refresh().state for job in jobs} == {"succeeded"}
    assert max(job.result for job in jobs) > 1


def test_a_process_calls_no_more_jobs_than_max_jobs(start_worker: StartWorker) -> None:
    jobs = chunked.tell_process.enqueue_many([("",)] * 6)
    start_worker("--max-jobs", "3", "--concurrency", "1")
    assert ended(*jobs) == ["succeeded"] * 6
    pids = [job.refresh().result for job in jobs]
    assert sorted(map(pids.count, set(pids))) == [3, 3]
