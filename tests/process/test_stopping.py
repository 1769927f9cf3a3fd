"""Signals: a worker that is told to stop loses nothing and uses up no try."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from django.db import transaction

from django_jobs.models import Attempt, Job, Worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start


def test_sigterm_lets_what_runs_finish(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="finished")
    worker = start_worker()
    wait_for_start(tmp_path / "go")
    worker.signal(signal.SIGTERM)
    worker.wait_for_line("stopping: no new jobs")
    wait_until(lambda: Worker.objects.get().state == "stopping")
    late = misbehaving.tell_process.enqueue()
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert (job.refresh().state, job.result) == ("succeeded", "finished")
    assert late.refresh().state == "ready"
    assert Worker.objects.get().state == "stopped"


def test_what_does_not_end_within_the_grace_time_is_given_back(start_worker: StartWorker, tmp_path: Path) -> None:
    running = misbehaving.wait_for_file.enqueue(str(tmp_path / "never"))
    on_loop = misbehaving.wait_for_file_async.using(queue_name="async").enqueue(str(tmp_path / "never async"))
    worker = start_worker("--concurrency", "1", SHUTDOWN_GRACE=0.2)
    wait_for_start(tmp_path / "never")
    wait_for_start(tmp_path / "never async")
    assert worker.stop() == 0
    for job in (running, on_loop):
        assert (job.refresh().state, job.attempt) == ("ready", 0)
        assert outcomes(job) == ["released"]


UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def _can_unshare() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run([*UNSHARE, "true"], check=False).returncode == 0


def test_the_first_process_of_a_container_stops_in_good_order(start_worker: StartWorker, tmp_path: Path) -> None:
    if not _can_unshare():
        pytest.skip("a process namespace needs root and unshare")
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="finished")
    worker = start_worker(before=UNSHARE)
    wait_for_start(tmp_path / "go")
    outer = worker.process.pid
    first = int(Path(f"/proc/{outer}/task/{outer}/children").read_text())
    assert Path(f"/proc/{first}/status").read_text().split("NSpid:")[1].split()[1] == "1"

    os.kill(first, signal.SIGTERM)
    worker.wait_for_line("stopping: no new jobs")
    (tmp_path / "go").touch()

    assert worker.wait() == 0, worker.output
    assert (job.refresh().state, outcomes(job)) == ("succeeded", ["succeeded"])
    assert Worker.objects.get().state == "stopped"


def test_a_rolling_restart_under_load_loses_nothing_and_uses_up_no_try(start_worker: StartWorker) -> None:
    customer = Customer.objects.create(name="Ada")
    jobs: list[Job] = []

    def enqueue_some() -> None:
        jobs.extend(sample.count_visit_once.enqueue_many([(customer.pk,)] * 100))

    enqueue_some()
    worker = start_worker("--concurrency", "2")
    for round_ in range(3):
        enqueue_some()
        done = Job.objects.filter(state="succeeded").count
        before = done()
        wait_until(lambda before=before, done=done: done() > before, "the worker to be in the middle of it")
        worker.signal(signal.SIGTERM)
        successor = start_worker("--concurrency", "2")
        assert worker.wait() == 0, f"round {round_}:\n{worker.output}"
        worker = successor

    assert set(ended(*jobs)) == {"succeeded"}
    assert worker.stop() == 0
    assert Customer.objects.get().visits == 400
    tries = Attempt.objects.values_list("outcome", "number").distinct()
    assert {number for outcome, number in tries if outcome == "succeeded"} == {1}
    assert {outcome for outcome, _ in tries} <= {"succeeded", "released"}


def test_a_second_signal_stops_at_once_and_gives_back(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "never"))
    worker = start_worker(SHUTDOWN_GRACE=3600)
    wait_for_start(tmp_path / "never")
    worker.signal(signal.SIGINT)
    worker.wait_for_line("stopping: no new jobs")
    worker.signal(signal.SIGINT)
    assert worker.wait() == 0
    assert (job.refresh().state, job.attempt) == ("ready", 0)
    assert outcomes(job) == ["released"]


def test_jobs_claimed_and_not_begun_are_given_back_without_a_trace(start_worker: StartWorker, tmp_path: Path) -> None:
    worker = start_worker("--concurrency", "1")
    blocker, waiting = _claim_behind_a_blocker(tmp_path)
    worker.signal(signal.SIGTERM)
    wait_until(lambda: Worker.objects.get().state == "stopping")
    (tmp_path / "go").touch()
    assert worker.wait() == 0
    assert blocker.refresh().state == "succeeded"
    for job in waiting:
        assert (job.refresh().state, job.attempt, outcomes(job)) == ("ready", 0, [])


def test_jobs_held_up_behind_a_long_run_are_given_back_for_others(start_worker: StartWorker, tmp_path: Path) -> None:
    start_worker("--concurrency", "1")
    blocker, waiting = _claim_behind_a_blocker(tmp_path)
    ids = [job.pk for job in waiting]
    wait_until(lambda: not Job.objects.filter(pk__in=ids, state="running").exists())
    assert start_worker("--burst").wait() == 0
    assert ended(*waiting) == ["succeeded"] * len(waiting)
    (tmp_path / "go").touch()
    assert ended(blocker) == ["succeeded"]
    assert outcomes(blocker) == ["succeeded"]


def _claim_behind_a_blocker(tmp_path: Path) -> tuple[Job, list[Job]]:
    """Have a worker of one thread, used to short jobs, claim a long one and others behind it."""
    assert set(ended(*sample.do_nothing.enqueue_many([{}] * 200))) == {"succeeded"}
    with transaction.atomic():
        blocker = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
        waiting = sample.do_nothing.enqueue_many([{}] * 20)
    wait_for_start(tmp_path / "go")
    return blocker, waiting


def test_a_signal_to_the_whole_group_is_one_stop(start_worker: StartWorker, tmp_path: Path) -> None:
    """Service managers and terminals signal every process of a group, not the first one only."""
    for number in (signal.SIGTERM, signal.SIGINT):
        job = misbehaving.wait_for_file.enqueue(str(tmp_path / number.name))
        worker = start_worker("--processes", "2")
        wait_for_start(tmp_path / number.name)
        os.killpg(worker.process.pid, number)
        worker.wait_for_line("stopping: no new jobs")
        (tmp_path / number.name).touch()
        assert worker.wait() == 0
        assert job.refresh().state == "succeeded"


def test_workers_stop_when_their_supervisor_was_killed(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker()
    wait_for_start(tmp_path / "go")
    worker.signal(signal.SIGKILL)
    worker.process.wait()
    wait_until(lambda: Worker.objects.get().state == "stopping")
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    wait_until(lambda: Worker.objects.get().state == "stopped")


def test_a_worker_process_that_is_told_to_stop_is_replaced(start_worker: StartWorker) -> None:
    start_worker()
    first = Worker.objects.get(pk=wait_until(lambda: Worker.objects.values_list("pk", flat=True).first()))
    job = misbehaving.tell_process.enqueue()
    assert ended(job) == ["succeeded"]
    os.kill(first.pid, signal.SIGTERM)
    wait_until(lambda: Worker.objects.filter(state="running").exclude(pk=first.pk).exists())
    again = misbehaving.tell_process.enqueue()
    assert ended(again) == ["succeeded"]
    assert again.result != job.result
    assert Job.objects.filter(state="running").count() == 0
