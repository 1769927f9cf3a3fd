"""Workers that die, and jobs that would have them die."""

from __future__ import annotations

import os
import signal
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from django_jobs.models import Job, Worker
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.rescue import rescue_worker
from django_jobs.store.queues import pause
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.factories import RULES
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start


def test_the_claims_of_a_killed_process_run_again_at_once(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    worker = start_worker(HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    pid = wait_for_start(tmp_path / "go")
    killed_at = database_now()
    os.kill(pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["lost", "succeeded"]
    lost = job.attempts.get(outcome="lost")
    assert lost.finished_at - killed_at < timedelta(seconds=DEADLINE_SECONDS), "long before STALE_AFTER"
    assert lost.error_message == f"worker process {pid} died: killed by SIGKILL"
    worker.wait_for_line("died: killed by SIGKILL")
    worker.wait_for_line(r"worker process \d+ started")
    assert set(Worker.objects.values_list("state", flat=True)) == {"lost", "running"}


def test_the_claims_of_a_dead_host_are_rescued_by_another(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    dead = start_worker(HEARTBEAT_INTERVAL=0.2, STALE_AFTER=1)
    wait_for_start(tmp_path / "go")
    dead.kill()
    (tmp_path / "go").touch()
    start_worker(HEARTBEAT_INTERVAL=0.2, STALE_AFTER=1)
    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["lost", "succeeded"]


def test_a_frozen_worker_finds_its_claim_lost_and_goes_on(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="whose?")
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.2, STALE_AFTER=600)
    pid = wait_for_start(tmp_path / "go")
    first = Worker.objects.get()
    _freeze(pid)
    rescue_worker(first.pk, rules=RULES)
    assert job.refresh().state == "ready"
    job.cancel()
    os.kill(pid, signal.SIGCONT)
    (tmp_path / "go").touch()
    worker.wait_for_line("has lost claim 1; the outcome of this run is not saved")
    worker.wait_for_line(f"worker {first.pk} was declared lost")
    assert (job.refresh().state, job.result, outcomes(job)) == ("cancelled", None, ["lost"])
    again = sample.add.enqueue(1, 1)
    assert ended(again) == ["succeeded"]


def _states_of_threads(pid: int) -> set[str]:
    stats = [task.read_text() for task in Path(f"/proc/{pid}/task").glob("*/stat")]
    return {stat.rpartition(")")[2].split()[0] for stat in stats}


def _freeze(pid: int) -> None:
    """Stop a process at a moment in which it does not hold SQLite's only lock."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        # Threads stop one by one: one that has not yet may still take the lock.
        wait_until(lambda: _states_of_threads(pid) == {"T"}, "all its threads to stop")
        if connection.vendor != "sqlite" or _can_write(within=0.2):
            return
        os.kill(pid, signal.SIGCONT)
        assert _can_write(within=DEADLINE_SECONDS), "it goes on, and lets go of the lock"


def _can_write(*, within: float) -> bool:
    other = sqlite3.connect(connection.settings_dict["NAME"], timeout=within, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        other.close()
    return True


def test_an_atomic_job_that_lost_its_claim_leaves_no_write(start_worker: StartWorker, tmp_path: Path) -> None:
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer: while the job's transaction is open nobody can take its claim")
    job = misbehaving.write_and_lose_claim.enqueue("must not stay", str(tmp_path / "go"))
    worker = start_worker(HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    wait_until((tmp_path / "go.started").exists)
    pause("default")  # it is well and would take the job again
    rescue_worker(Worker.objects.get().pk, rules=RULES)
    job.refresh().cancel()
    (tmp_path / "go").touch()
    worker.wait_for_line("has lost claim 1; the outcome of this run is not saved")
    assert not Customer.objects.filter(name="must not stay").exists()
    assert job.refresh().state == "cancelled"


def test_a_failed_atomic_job_leaves_no_write(start_worker: StartWorker) -> None:
    job = misbehaving.write_and_fail.enqueue("must not stay")
    assert start_worker("--burst").wait() == 0
    assert job.refresh().state == "dead"
    assert Customer.objects.count() == 0


def test_an_atomic_job_commits_its_writes_with_its_finish(start_worker: StartWorker) -> None:
    customer = Customer.objects.create(name="Ada")
    job = sample.count_visit_once.enqueue(customer.pk)
    assert start_worker("--burst").wait() == 0
    assert job.refresh().state == "succeeded"
    customer.refresh_from_db()
    assert customer.visits == 1
    assert outcomes(job) == ["succeeded"]


def test_a_job_that_ends_the_process_is_dead_and_its_neighbours_are_done(start_worker: StartWorker) -> None:
    poison = misbehaving.exit_process.enqueue()
    others = sample.echo.enqueue_many([(number,) for number in range(50)])
    worker = start_worker("--burst")
    assert worker.wait() == 0
    assert poison.refresh().state == "dead"
    assert outcomes(poison) == ["lost"] * 3
    letter = poison.dead_letters.get()
    assert letter.reason == "quarantined"
    assert "died: exit code 9 (3 workers died while it ran)" in letter.error_message
    assert Job.objects.filter(pk__in=[job.pk for job in others], state="succeeded").count() == 50
    worker.wait_for_line("died: exit code 9", number=3)


def test_jobs_that_had_not_begun_when_their_process_died_are_given_back_without_a_trace(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker("--concurrency", "1", HEARTBEAT_INTERVAL=60, STALE_AFTER=600)
    assert set(ended(*sample.do_nothing.enqueue_many([{}] * 200))) == {"succeeded"}
    with transaction.atomic():
        blocker = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
        behind = sample.do_nothing.enqueue_many([{}] * 20)
    os.kill(wait_for_start(tmp_path / "go"), signal.SIGKILL)
    (tmp_path / "go").touch()
    assert ended(blocker, *behind) == ["succeeded"] * 21
    assert outcomes(blocker) == ["lost", "succeeded"]
    assert [outcomes(job) for job in behind] == [["succeeded"]] * 20


def test_a_crash_in_c_code_is_survived(start_worker: StartWorker) -> None:
    poison, other = misbehaving.crash_in_c.enqueue(), sample.add.enqueue(1, 2)
    worker = start_worker("--burst", "--concurrency", "1")
    assert worker.wait() == 0
    assert poison.refresh().state == "dead"
    assert other.refresh().result == 3
    worker.wait_for_line("died: killed by SIGSEGV")


@pytest.mark.parametrize("definition", [misbehaving.hang_in_c, misbehaving.block_the_event_loop])
def test_a_hang_that_no_timeout_reaches_costs_its_process_and_no_neighbour(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path, definition: Any
) -> None:
    # While an exception waits for a thread in C code, CPython 3.11 has all traced threads spin: measure no coverage.
    for name in [name for name in worker_environment if name.startswith("COVERAGE")]:
        del worker_environment[name]
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    worker = start_worker("--concurrency", "2", TIMEOUT_GRACE=0.2)
    first = wait_for_start(tmp_path / "go")
    hanging = definition.enqueue()
    worker.wait_for_line(rf"ends: job {hanging.pk} .* goes on after its timeout")
    (tmp_path / "go").touch()
    assert ended(neighbour, hanging) == ["succeeded", "dead"]
    assert (outcomes(neighbour), outcomes(hanging)) == (["succeeded"], ["timed_out"])
    again = misbehaving.tell_process.enqueue()
    assert ended(again) == ["succeeded"]
    assert again.result != first


def test_a_process_is_replaced_after_max_jobs(start_worker: StartWorker) -> None:
    jobs = [misbehaving.tell_process.enqueue() for _ in range(6)]
    start_worker("--max-jobs", "2", "--concurrency", "1")
    assert ended(*jobs) == ["succeeded"] * 6
    assert [outcomes(job) for job in jobs] == [["succeeded"]] * 6
    pids = [job.result for job in jobs]
    assert len(set(pids)) == 3
    assert all(pids.count(pid) == 2 for pid in pids)


def test_a_process_that_grew_too_large_is_replaced(start_worker: StartWorker) -> None:
    job = misbehaving.eat_memory.enqueue(300)
    worker = start_worker("--max-memory-mb", "250", HEARTBEAT_INTERVAL=0.1)
    assert ended(job) == ["succeeded"]
    worker.wait_for_line(r"ends: \d+ MB of memory")
    again = misbehaving.tell_process.enqueue()
    assert ended(again) == ["succeeded"]
    assert again.result != job.result


def test_reload_starts_the_workers_anew_with_the_changed_code(
    start_worker: StartWorker, tmp_path: Path, worker_environment: dict[str, str]
) -> None:
    app = tmp_path / "reloaded"
    app.mkdir()
    (app / "__init__.py").touch()
    code = "from django_jobs import job\n\n@job(name='reloaded.answer')\ndef answer() -> int:\n    return {}\n"
    (app / "jobs.py").write_text(code.format(41))
    worker_environment["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{worker_environment['PYTHONPATH']}"
    worker_environment["DJANGO_JOBS_TEST_APPS"] = "reloaded"
    worker_environment["PYTHONDONTWRITEBYTECODE"] = "1"
    worker = start_worker("--reload")
    import django_jobs

    first = django_jobs.find_job("reloaded.answer", unknown="allow").enqueue()
    assert ended(first) == ["succeeded"]
    (app / "jobs.py").write_text(code.format("40 + 2"))
    worker.wait_for_line("jobs.py changed; restarting the workers")
    wait_until(lambda: Worker.objects.filter(state="stopped").exists())
    second = django_jobs.find_job("reloaded.answer", unknown="allow").enqueue()
    assert ended(second) == ["succeeded"]
    assert (first.result, second.result) == (41, 42)
