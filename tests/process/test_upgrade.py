"""The version before on today's tables: its workers and web processes run beside today's, in either order of deploy.

The version before is the newest tag ``v...`` that today's commit descends from, its whole tree: package, settings
and jobs of its tests.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest

from django_jobs.models import Job, Tick, Worker
from django_jobs.store.lifecycle.cancel import cancel
from tests.concurrency import wait_until
from tests.databases import ROOT
from tests.factories import make_schedule
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes, wait_for_start

SETTINGS = {
    "WORKER": {"HEARTBEAT_INTERVAL": 0.2, "STALE_AFTER": 2},
    "JOB_DEFAULTS": {"backoff": [0.1]},
}
ENQUEUE = """
from datetime import timedelta
from tests.sampleapp import jobs as sample
jobs = [
    *sample.echo.using(queue_name="{queue}").enqueue_many([(at,) for at in range(20)]),
    sample.echo.using(queue_name="{queue}", run_after=timedelta(seconds=0.5)).enqueue("late"),
]
print(*[job.pk for job in jobs])
"""


def _git(*arguments: str) -> bytes:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"no version before is known here: git {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout


@pytest.fixture(scope="module")
def version_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tree of the newest tag; skips the test where there is none."""
    tags = _git("tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname").decode().split()
    if not tags:
        pytest.skip("nothing was released yet: no tag v* (a shallow clone has none: git fetch --tags --unshallow)")
    folder = tmp_path_factory.mktemp("before") / tags[0]
    with tarfile.open(fileobj=BytesIO(_git("archive", "--format=tar", tags[0]))) as tree:
        tree.extractall(folder, filter="data")
    return folder


def _in_tree(folder: Path) -> tuple[str, ...]:
    """Return the program that starts another in ``folder``, with the code that is there."""
    return ("env", f"--chdir={folder}", f"PYTHONPATH={folder}")


def _say(environment: dict[str, str], folder: Path, code: str) -> str:
    """Run Python code as a web process of that version does, and return what it prints."""
    command = [*_in_tree(folder), sys.executable, "-c", f"import django; django.setup()\n{code}"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _is_the_other_code(worker_environment: dict[str, str], version_before: Path) -> None:
    where = _say(worker_environment, version_before, "import django_jobs; print(django_jobs.__file__)")
    assert Path(where).is_relative_to(version_before)


def _of_every_kind(queue: str, customer: Customer) -> dict[str, list[Job]]:
    """Enqueue, by today's code, jobs that take every way through the states; return them by their last state."""
    to = {"queue_name": queue}
    cancelled = sample.echo.using(**to, run_after=timedelta(hours=1)).enqueue()
    jobs = {
        "succeeded": [
            *sample.echo.using(**to).enqueue_many([(at,) for at in range(20)]),
            *sample.count_visit_once.using(**to).enqueue_many([(customer.pk,)] * 5),
            sample.echo_async.using(**to).enqueue("async"),
            sample.greet.using(**to).enqueue(customer),
            sample.echo.using(**to, run_after=timedelta(seconds=0.5)).enqueue("late"),
            misbehaving.retry_soon.using(**to).enqueue(),
            sample.report.using(**to).enqueue(3),
        ],
        "dead": [sample.fail.using(**to).enqueue(), misbehaving.raise_strange_text.using(**to).enqueue()],
        "cancelled": [cancelled],
    }
    assert cancel(cancelled).cancelled == 1
    return jobs


def test_both_versions_enqueue_and_both_run_what_the_other_enqueued(
    start_worker: StartWorker, worker_environment: dict[str, str], version_before: Path
) -> None:
    customer = Customer.objects.create(name="Ada")
    schedule = make_schedule()
    workers = [
        start_worker("--queues", "before,default", before=_in_tree(version_before), settings=SETTINGS),
        start_worker("--queues", "today", settings=SETTINGS),
    ]
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2, "both versions' workers to serve")

    for queue in ("before", "today"):
        told = _say(worker_environment, version_before, ENQUEUE.format(queue=queue))
        by_before = list(Job.objects.filter(pk__in=map(int, told.split())))
        assert ended(*by_before) == ["succeeded"] * 21, workers[0].output
        for state, jobs in _of_every_kind(queue, customer).items():
            assert set(ended(*jobs)) == {state}, workers[0].output
            tries = {"dead": None, "cancelled": []}.get(state, ["succeeded"])
            assert all(outcomes(job)[-1:] == tries for job in jobs if tries is not None)
    assert Customer.objects.get().visits == 10, "exactly once in effect"

    tick = wait_until(Tick.objects.filter(schedule=schedule, job_id__isnull=False).first, "one of them to fire it")
    assert ended(Job.objects.get(pk=tick.job_id)) == ["succeeded"]

    assert [worker.stop() for worker in workers] == [0, 0]
    for worker in workers:
        assert "the database failed" not in worker.output, worker.output
        assert "died" not in worker.output, worker.output
    assert set(Worker.objects.values_list("state", flat=True)) == {"stopped"}


@pytest.mark.parametrize("victim", ["before", "today"])
def test_each_version_rescues_the_other(
    start_worker: StartWorker, version_before: Path, tmp_path: Path, victim: str
) -> None:
    how = {"before": {"before": _in_tree(version_before)}, "today": {}}
    job = misbehaving.wait_for_file.enqueue(str(tmp_path / "go"), leave="done")
    dies = start_worker(**how.pop(victim), settings=SETTINGS)
    wait_for_start(tmp_path / "go")
    ((_, other),) = how.items()
    rescuer = start_worker(**other, settings=SETTINGS)
    wait_until(lambda: Worker.objects.filter(state="running").count() == 2)

    dies.kill()
    (tmp_path / "go").touch()

    assert ended(job) == ["succeeded"], rescuer.output
    assert (job.refresh().result, outcomes(job)) == ("done", ["lost", "succeeded"])
    assert rescuer.stop() == 0, rescuer.output
