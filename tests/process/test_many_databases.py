"""Real workers that serve several databases, here files: one set of slots, each job's effect in its own database."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_jobs.models import Job, Worker
from tests.concurrency import wait_until
from tests.misbehaving.jobs import wait_for_file
from tests.more_databases import environment, known, migrated_file
from tests.sampleapp.jobs import count_running, count_visit_here, name_database

from .conftest import StartWorker
from .running import wait_for_start
from .shards import enqueue_visits, settings_of, unfinished, visits

ALIASES = ("default", "eu", "us")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None, django_db_blocker: Any) -> Path:
    with django_db_blocker.unblock():
        return migrated_file(tmp_path_factory.mktemp("databases") / "template.sqlite3")


@pytest.fixture
def _databases(template: Path, tmp_path: Path, worker_environment: dict[str, str]) -> Iterator[None]:
    entries = {
        alias: {"ENGINE": "django.db.backends.sqlite3", "NAME": str(shutil.copy(template, tmp_path / alias))}
        for alias in ("eu", "us")
    }
    worker_environment |= environment(entries)
    with known(entries):
        yield


pytestmark = pytest.mark.usefixtures("_databases")


@pytest.mark.parametrize("pool", ["threads", "processes"])
def test_one_process_runs_the_jobs_of_all_in_the_same_slots(start_worker: StartWorker, pool: str) -> None:
    customers = enqueue_visits(10, *ALIASES)
    named = [name_database.using(database=alias).enqueue() for alias in ALIASES]
    worker = start_worker("--concurrency", "2", "--pool", pool, "--burst", settings=settings_of(*ALIASES))

    assert worker.wait() == 0, worker.output
    assert unfinished(*ALIASES) == 0
    assert visits(customers) == [10, 10, 10]
    for alias in ALIASES:
        counted = Job.objects.using(alias).filter(name=count_visit_here.name)
        assert {found.result for found in counted} == {alias}
        assert Job.objects.using(alias).filter(name__endswith="do_nothing").count() == 11
        row = Worker.objects.using(alias).get()
        assert (row.state, row.concurrency) == ("stopped", 2)
    assert [enqueued.refresh().result for enqueued in named] == [[alias, alias] for alias in ALIASES]
    assert len(re.findall(r"  database   (default|eu|us): SQLite", worker.output)) == 3


def test_no_more_jobs_run_at_once_than_there_are_slots(start_worker: StartWorker, tmp_path: Path) -> None:
    folder = tmp_path / "running"
    folder.mkdir()
    for alias in ALIASES:
        count_running.using(database=alias).enqueue_many([(str(folder),)] * 20)
    settings = {"DATABASES": list(ALIASES)}  # no heartbeat is overdue, however slow the machine is
    worker = start_worker("--concurrency", "3", "--burst", settings=settings)

    assert worker.wait() == 0, worker.output
    counts = [found.result for alias in ALIASES for found in Job.objects.using(alias).all()]
    assert len(counts) == 60
    assert max(counts) == 3


def test_some_of_them_have_a_worker_of_their_own(start_worker: StartWorker) -> None:
    customers = enqueue_visits(3, *ALIASES)
    worker = start_worker("--databases", "eu,us", settings=settings_of(*ALIASES))
    wait_until(lambda: unfinished("eu", "us") == 0, "the jobs to end")

    assert visits(customers) == [0, 3, 3]
    assert worker.stop() == 0, worker.output
    assert "schedules  not fired here" in worker.output


def test_a_process_that_is_killed_has_its_jobs_rescued_in_each(start_worker: StartWorker) -> None:
    customers = enqueue_visits(60, *ALIASES)
    worker = start_worker("--concurrency", "2", settings=settings_of(*ALIASES))
    wait_until(lambda: min(visits(customers)) > 3, "jobs of all to run")

    os.kill(Worker.objects.latest("pk").pid, signal.SIGKILL)
    wait_until(lambda: unfinished(*ALIASES) == 0, "all jobs to end", seconds=60)
    assert visits(customers) == [60, 60, 60]
    assert worker.stop() == 0, worker.output


def test_one_that_is_killed_while_it_stops_has_its_jobs_rescued_before_the_end(
    start_worker: StartWorker, tmp_path: Path
) -> None:
    jobs = {alias: wait_for_file.using(database=alias).enqueue(str(tmp_path / f"{alias}.go")) for alias in ALIASES}
    worker = start_worker("--concurrency", "3", settings=settings_of(*ALIASES))
    pids = {wait_for_start(tmp_path / f"{alias}.go") for alias in ALIASES}
    worker.signal(signal.SIGTERM)
    wait_until(lambda: Worker.objects.get().state == "stopping", "it to stop")

    os.kill(pids.pop(), signal.SIGKILL)
    assert worker.wait() == 0, worker.output
    assert [jobs[alias].refresh().state for alias in ALIASES] == ["ready"] * 3
