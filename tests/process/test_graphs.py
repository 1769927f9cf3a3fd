"""Batches and graphs under workers that are killed at any moment: callbacks exactly once, nothing stuck."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest
from django.db import connection

from django_jobs import Batch, chain, chord, group
from django_jobs.models import Batch as BatchRow
from django_jobs.models import BatchCountDelta, Dependency, Job, RollupPosition
from django_jobs.store.lifecycle.redrive import redrive
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.lock_waits import session, wait_for_waiters, waiters
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample

from .conftest import StartWorker
from .running import ended, wait_for_start

pytestmark = pytest.mark.timeout(240)

# Jobs in the hands of several workers that were killed are not to be quarantined: how many is chance.
QUICKLY = {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 1, "MAX_WORKER_DEATHS": 1000}


def test_a_batch_a_chain_and_a_chord_are_worked_off(start_worker: StartWorker) -> None:
    with Batch(on_success=sample.tell_batch) as batch:
        sample.echo.enqueue_many([(number,) for number in range(300)])
        flags = chain(sample.add.s(0, 1), *[sample.add.s(1)] * 29).enqueue()
        *_, last = chord(group(sample.echo.s(n) for n in range(20)), sample.add_all.s()).enqueue()
        sample.grow.enqueue(10)
    assert start_worker("--burst").wait() == 0
    assert (flags[-1].refresh().result, last.refresh().result) == (30, sum(range(20)))
    seen = batch.progress()
    assert (seen.state, seen.total, seen.succeeded) == ("succeeded", 362, 362)
    callback = Job.objects.get(name=sample.tell_batch.name)
    assert (callback.state, callback.result) == ("succeeded", batch.id)
    assert not BatchCountDelta.objects.exists()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="other servers do not tell who waits for a table")
def test_a_batch_ends_with_its_last_job_while_maintenance_is_kept_up(start_worker: StartWorker, tmp_path: Path) -> None:
    """It does not need the next round of maintenance."""
    with Batch(on_success=sample.tell_batch) as batch:
        last = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    start_worker(HEARTBEAT_INTERVAL=0.2)
    wait_for_start(tmp_path / "go")
    with session() as other:
        other.execute(f"LOCK TABLE {RollupPosition._meta.db_table}")  # each round reads it
        wait_for_waiters(other.number)
        (tmp_path / "go").touch()
        assert ended(last) == ["succeeded"]
        assert batch.wait(DEADLINE_SECONDS).state == "succeeded"
        callback = wait_until(lambda: Job.objects.filter(name=sample.tell_batch.name).first())
        assert ended(callback) == ["succeeded"]
        assert waiters(other.number)


def test_workers_killed_at_random_fire_each_callback_once_and_leave_no_graph_stuck(
    start_worker: StartWorker,
) -> None:
    seed = int(os.environ.get("DJANGO_JOBS_TEST_SEED", random.randrange(10_000)))
    print(f"DJANGO_JOBS_TEST_SEED={seed}")
    chance = random.Random(seed)
    batches, graphs = [], []
    for number in range(6):
        with Batch(
            description=f"batch {number}",
            on_success=sample.named.s(number),
            on_complete=sample.named.s(100 + number),
        ) as batch:
            sample.echo.enqueue_many([(at,) for at in range(200)])
            sample.grow.enqueue(5)
            graphs.append(
                chain(
                    sample.echo.s(1),
                    group(sample.add.s(n) for n in range(15)),
                    group(sample.add_all.s() for _ in range(15)),
                    sample.add_all.s(),
                    *[sample.add.s(1)] * 20,
                ).enqueue()
            )
        batches.append(batch)
    pause = threading.Event()
    for _ in range(5):
        worker = start_worker("--concurrency", "2", **QUICKLY)
        worker.wait_for_line("Ctrl-C|processes? of|queues")
        pause.wait(chance.uniform(0.3, 1.5))
        worker.kill()
    start_worker(**QUICKLY)
    for batch in batches:
        wait_until(lambda batch=batch: batch.row.state == "succeeded", f"{batch} to end", seconds=90)
    wait_until(lambda: not Job.objects.exclude(state="succeeded").exists(), "all jobs to succeed")
    for number, batch in enumerate(batches):
        row = batch.row
        assert row.total == row.succeeded == batch.jobs.count()
        for value in (number, 100 + number):
            assert Job.objects.filter(name="sample.named", arguments__value=value).count() == 1
    expected = 15 * sum(1 + n for n in range(15)) + 20
    assert [jobs[-1].refresh().result for jobs in graphs] == [expected] * 6
    assert not Dependency.objects.filter(is_met=False).exists()
    wait_until(lambda: not BatchCountDelta.objects.exists(), "all tallies to be summed")


def test_a_worker_killed_while_a_predecessor_runs_leaves_the_rest_to_others(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    first, second = chain(misbehaving.wait_for_file.s(str(tmp_path / "go"), leave="done"), sample.echo.s()).enqueue()
    start_worker(HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    pid = wait_for_start(tmp_path / "go")
    late = sample.echo.after(first).enqueue()
    os.kill(pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    assert ended(first, second, late) == ["succeeded"] * 3
    assert second.result == "done"


def test_a_dead_chain_that_is_redriven_goes_on_to_its_end(start_worker: StartWorker, tmp_path: Path) -> None:
    with Batch(on_failure=sample.named.s(1), on_success=sample.named.s(2)) as batch:
        first, second = chain(sample.fail_unless.s(str(tmp_path / "it")), sample.echo.s()).enqueue()
        beside = sample.echo.enqueue()
    start_worker()
    assert ended(first, beside) == ["dead", "succeeded"]
    assert second.refresh().state == "blocked"
    (tmp_path / "it").touch()
    redrive(first)
    assert ended(second) == ["succeeded"]
    batch.wait(10)
    assert list(Job.objects.filter(name="sample.named").values_list("arguments", flat=True)) == [{"value": 2}]


def test_a_builder_that_was_killed_leaves_a_batch_that_ends_as_a_failure(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    if connection.vendor == "sqlite":
        connection.close()
    builder = misbehaving.build_and_wait.enqueue(str(tmp_path / "go"))
    worker = start_worker("--concurrency", "2", BATCH_ABANDONED_AFTER=1, **QUICKLY)
    pid = wait_for_start(tmp_path / "go")
    os.kill(pid, signal.SIGKILL)
    builder.cancel()
    worker.wait_for_line("was not closed by its builder, which has been inactive for")
    row = wait_until(lambda: BatchRow.objects.filter(state="failed").first())
    assert row.abandoned_at is not None
    assert Job.objects.filter(name="sample.named").count() == 1
