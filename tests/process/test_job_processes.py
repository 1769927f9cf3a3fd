"""``--pool processes``: each job in a job process, which dies and is killed alone."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.process.conftest import StartWorker
from tests.process.running import ended, outcomes, wait_for_start
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def _is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_all_kinds_of_jobs_run_in_job_processes(start_worker: StartWorker) -> None:
    plain = misbehaving.tell_process.enqueue()
    jobs = [
        sample.add.enqueue(1, 2),
        misbehaving.note_metadata.using(metadata={"tenant": "acme"}).enqueue(),
        misbehaving.count_customers.enqueue(),
    ]
    failed = [misbehaving.hang_async.enqueue(), misbehaving.write_and_fail.enqueue("nobody")]
    ada = Customer.objects.create(name="Ada")
    atomic = sample.count_visit_once.enqueue(ada.pk)

    worker = start_worker("--burst", "--pool", "processes", "--concurrency", "2")
    assert worker.wait() == 0, worker.output

    assert [job.refresh().state for job in jobs] == ["succeeded"] * 3, worker.output
    assert jobs[0].result == 3
    assert jobs[1].refresh().metadata["seen_by"] == "default"
    assert (jobs[1].progress_done, jobs[1].progress_message) == (3, "three of seven")
    assert [outcomes(job) for job in failed] == [["timed_out"], ["failed"]]
    assert atomic.refresh().state == "succeeded"
    assert [(one.name, one.visits) for one in Customer.objects.all()] == [("Ada", 1)]
    assert plain.refresh().result != Worker.objects.get().pid


def test_a_crash_in_c_code_takes_no_neighbour_along(start_worker: StartWorker, tmp_path: Path) -> None:
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", "processes", "--concurrency", "2")
    pid = wait_for_start(tmp_path / "go")

    poison = misbehaving.crash_in_c.enqueue()
    assert ended(poison) == ["dead"]

    assert outcomes(poison) == ["lost"] * 3
    assert poison.dead_letters.get().reason == "quarantined"
    assert "killed by SIGSEGV" in (poison.refresh().error or "")
    assert not _is_gone(pid)
    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert outcomes(neighbour) == ["succeeded"]
    assert Worker.objects.count() == 1, "the worker itself went on"
    assert worker.stop() == 0


def test_a_hang_in_c_code_is_killed_hard_and_alone(
    start_worker: StartWorker, worker_environment: dict[str, str], tmp_path: Path
) -> None:
    # While an exception waits for a thread in C code, CPython 3.11 has all traced threads spin: measure no coverage.
    for name in [name for name in worker_environment if name.startswith("COVERAGE")]:
        del worker_environment[name]
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", "processes", "--concurrency", "2", TIMEOUT_GRACE=0.2)
    wait_for_start(tmp_path / "go")

    hung = misbehaving.hang_in_c.enqueue()
    assert ended(hung) == ["dead"]

    assert outcomes(hung) == ["timed_out"]
    worker.wait_for_line(r"went on after its timeout; its process \d+ was killed")
    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert outcomes(neighbour) == ["succeeded"]
    assert Worker.objects.count() == 1


def test_job_processes_die_with_a_killed_worker_and_their_jobs_run_again(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    deaf = misbehaving.hold_the_gil.enqueue(str(tmp_path / "deaf"))
    start_worker("--pool", "processes", "--concurrency", "2")
    pids = [wait_for_start(tmp_path / "go"), wait_for_start(tmp_path / "deaf")]
    deaf.refresh()

    os.kill(Worker.objects.get().pid, signal.SIGKILL)

    wait_until(lambda: all(_is_gone(pid) for pid in pids), "the job processes to die")
    (tmp_path / "go").touch()
    assert ended(job) == ["succeeded"]
    assert outcomes(job) == ["lost", "succeeded"]
    wait_until(lambda: deaf.attempts.count() == 1, "the deaf job to be rescued")


def test_a_stop_waits_for_what_runs_in_job_processes(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", "processes")
    wait_for_start(tmp_path / "go")

    os.killpg(worker.process.pid, signal.SIGTERM)
    wait_until(lambda: Worker.objects.get().state == "stopping", "the worker to stop")
    (tmp_path / "go").touch()

    assert worker.wait() == 0, worker.output
    assert (job.refresh().state, outcomes(job)) == ("succeeded", ["succeeded"])


def test_an_urgent_stop_releases_what_runs_in_job_processes(start_worker: StartWorker, tmp_path: Path) -> None:
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--pool", "processes")
    pid = wait_for_start(tmp_path / "go")

    worker.signal(signal.SIGQUIT)

    assert worker.wait() == 0, worker.output
    assert (job.refresh().state, job.attempt, outcomes(job)) == ("ready", 0, ["released"])
    assert _is_gone(pid)


def test_a_job_process_is_replaced_after_max_jobs_while_its_worker_goes_on(start_worker: StartWorker) -> None:
    jobs = [misbehaving.tell_process.enqueue() for _ in range(5)]

    worker = start_worker("--burst", "--pool", "processes", "--concurrency", "1", "--max-jobs", "2")
    assert worker.wait() == 0, worker.output

    pids = [job.refresh().result for job in jobs]
    assert (pids[0], pids[2]) == (pids[1], pids[3])
    assert len(set(pids)) == 3
    assert Worker.objects.count() == 1


def test_a_job_process_that_grew_too_large_is_replaced(start_worker: StartWorker) -> None:
    large = misbehaving.eat_memory.enqueue(300)
    after = misbehaving.tell_process.enqueue()

    worker = start_worker("--burst", "--pool", "processes", "--concurrency", "1", "--max-memory-mb", "250")
    assert worker.wait() == 0, worker.output

    assert after.refresh().result != large.refresh().result
    worker.wait_for_line(r"job process \d+ ends: \d+ MB of memory")


def test_a_suspect_dies_alone_also_among_threads(start_worker: StartWorker, tmp_path: Path) -> None:
    """What was there when two workers died is run in a process of its own, beside the threads."""
    suspect = misbehaving.exit_process.enqueue()
    Job.objects.filter(pk=suspect.pk).update(worker_deaths=2)
    neighbour = misbehaving.wait_for_file.using(priority=1).enqueue(str(tmp_path / "go"))

    worker = start_worker("--concurrency", "2")
    wait_for_start(tmp_path / "go")
    assert ended(suspect) == ["dead"]

    assert suspect.dead_letters.get().reason == "quarantined"
    assert "3 workers died while it ran" in (suspect.refresh().error or "")
    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert (outcomes(neighbour), neighbour.refresh().worker_deaths) == (["succeeded"], 0)
    assert worker.stop() == 0


def test_an_innocent_suspect_succeeds_in_its_own_process(start_worker: StartWorker) -> None:
    jobs = [misbehaving.tell_process.enqueue(), sample.echo_async.enqueue(5)]
    Job.objects.update(worker_deaths=2)

    worker = start_worker("--burst")
    assert worker.wait() == 0, worker.output

    assert [job.refresh().state for job in jobs] == ["succeeded"] * 2
    assert jobs[0].result != Worker.objects.get().pid
    assert jobs[1].result == 5
