"""Staff ask a worker to stop: it ends in good order, and nobody takes its place."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from django_jobs.models import Worker
from django_jobs.store.workers import set_worker_state, stop_worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving

from .conftest import StartWorker
from .running import outcomes, wait_for_start

SOON = {"HEARTBEAT_INTERVAL": 0.1}


def test_a_worker_that_is_asked_to_stop_lets_what_runs_finish_and_runworker_ends(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="finished")
    worker = start_worker(**SOON)
    wait_for_start(tmp_path / "go")

    assert stop_worker(Worker.objects.get().pk, by="ada")
    wait_until(lambda: Worker.objects.get().state == "stopping")
    (tmp_path / "go").touch()

    assert worker.wait() == 0, worker.output
    assert (job.refresh().state, outcomes(job)) == ("succeeded", ["succeeded"])
    assert [(one.state, one.stop_requested_by) for one in Worker.objects.all()] == [("stopped", "ada")]
    assert "staff requested a stop" in worker.output


def test_of_two_processes_the_other_one_goes_on_alone(start_worker: StartWorker) -> None:
    worker = start_worker("--processes", "2", **SOON)
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2)
    first, second = Worker.objects.order_by("pk")

    assert stop_worker(first.pk, by="ada")
    wait_until(lambda: Worker.objects.get(pk=first.pk).state == "stopped")
    job = misbehaving.tell_process.enqueue()

    assert job.wait(30).result == second.pid
    assert worker.process.poll() is None
    assert worker.stop() == 0
    assert Worker.objects.count() == 2


def test_a_process_that_recycles_already_is_not_replaced_once_it_was_asked(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="finished")
    worker = start_worker("--concurrency", "2", "--max-memory-mb", "300", **SOON)
    wait_for_start(tmp_path / "go")
    misbehaving.eat_memory.enqueue(300)
    wait_until(lambda: Worker.objects.get().state == "stopping")

    assert stop_worker(Worker.objects.get().pk, by="ada")
    (tmp_path / "go").touch()

    assert worker.wait() == 0, worker.output
    assert (job.refresh().state, outcomes(job)) == ("succeeded", ["succeeded"])
    assert [(one.state, one.stop_requested_by) for one in Worker.objects.all()] == [("stopped", "ada")]
    assert "MB of memory" in worker.output


def test_a_worker_that_was_declared_lost_before_it_heard_stops_under_its_new_row(
    start_worker: StartWorker,
) -> None:
    worker = start_worker(HEARTBEAT_INTERVAL=1, STALE_AFTER=60)
    wait_until(lambda: Worker.objects.filter(state="running").exists())
    first = Worker.objects.get()
    with transaction.atomic():
        assert stop_worker(first.pk, by="ada")
        assert set_worker_state(first.pk, Worker.State.LOST)

    assert worker.wait() == 0, worker.output
    assert list(Worker.objects.order_by("pk").values_list("state", flat=True)) == ["lost", "stopped"]
