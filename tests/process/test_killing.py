"""Staff end a worker at once, for a job that does not look whether it should end."""

from __future__ import annotations

from pathlib import Path

from django_jobs.models import Worker
from django_jobs.operations import kill_worker
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

SOON = {"HEARTBEAT_INTERVAL": 0.1}


def is_running(pid: int) -> bool:
    """Tell whether there is such a process; one that its parent has not waited for has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_endless_loop_is_cancelled_its_neighbours_run_again_and_another_process_takes_over(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    neighbours = [misbehaving.wait_for_file.enqueue(str(tmp_path / f"go{at}")) for at in range(3)]
    looping = misbehaving.loop_for_ever.enqueue(str(tmp_path / "loop"))
    worker = start_worker("--concurrency", "4", **SOON)
    pid = wait_for_start(tmp_path / "loop")
    for at in range(3):
        assert wait_for_start(tmp_path / f"go{at}") == pid
        (tmp_path / f"go{at}.started").unlink()

    assert kill_worker(Worker.objects.get().pk, job_id=looping.pk, by="ada")

    assert ended(looping) == ["cancelled"]
    assert outcomes(looping) == ["cancelled"]
    new_pids = {wait_for_start(tmp_path / f"go{at}") for at in range(3)}
    assert len(new_pids) == 1
    assert pid not in new_pids
    for at in range(3):
        (tmp_path / f"go{at}").touch()
    assert ended(*neighbours) == ["succeeded"] * 3
    assert [(outcomes(job), job.attempt) for job in neighbours] == [(["released", "succeeded"], 1)] * 3
    assert list(Worker.objects.order_by("pk").values_list("state", flat=True)) == ["stopped", "running"]
    assert worker.stop() == 0
    assert "staff requested an end at once" in worker.output


def test_c_code_that_holds_the_interpreter_is_killed_by_the_supervisor(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    worker = start_worker("--concurrency", "2", HEARTBEAT_INTERVAL=0.3, STALE_AFTER=1.5)
    pid = wait_for_start(tmp_path / "go")
    holder = misbehaving.hold_the_gil.enqueue(str(tmp_path / "holder"))
    wait_for_start(tmp_path / "holder")
    (tmp_path / "go.started").unlink()

    assert kill_worker(Worker.objects.get().pk, job_id=holder.pk, by="ada")

    assert ended(holder) == ["cancelled"]
    assert outcomes(holder) == ["cancelled"]
    assert wait_for_start(tmp_path / "go") != pid
    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert outcomes(neighbour) == ["released", "succeeded"]
    assert neighbour.refresh().worker_deaths == 0
    assert "staff requested an end at once, and C code" in worker.output


def test_job_processes_end_with_their_worker_and_the_neighbour_runs_again(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    neighbour = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"))
    looping = misbehaving.loop_for_ever.enqueue(str(tmp_path / "loop"))
    worker = start_worker("--pool", "processes", "--concurrency", "2", **SOON)
    pids = {wait_for_start(tmp_path / name) for name in ("loop", "go")}
    assert len(pids) == 2
    (tmp_path / "go.started").unlink()

    assert kill_worker(Worker.objects.get().pk, job_id=looping.pk, by="ada")

    assert ended(looping) == ["cancelled"]
    assert outcomes(looping) == ["cancelled"]
    assert wait_for_start(tmp_path / "go") not in pids
    wait_until(lambda: not any(is_running(pid) for pid in pids), "the job processes to end")
    (tmp_path / "go").touch()
    assert ended(neighbour) == ["succeeded"]
    assert outcomes(neighbour) == ["released", "succeeded"]
    assert neighbour.refresh().worker_deaths == 0
    assert worker.stop() == 0
    assert "staff requested an end at once" in worker.output
