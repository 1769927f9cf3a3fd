"""A project written for Celery, its imports changed, in real workers: its package has the settings and the app."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from django_jobs.models import CronSchedule, Job
from tests.concurrency import wait_until
from tests.contrib.celery.conftest import _fresh_tasks, bakery  # noqa: F401 - fixtures
from tests.contrib.celery.recorded import recorded
from tests.process.conftest import StartWorker
from tests.process.running import ended

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

SETTINGS = 'from testproject.test_settings import *\n\nINSTALLED_APPS = [*INSTALLED_APPS, "bakery"]\n'


@pytest.fixture
def project(bakery: ModuleType, tmp_path: Path, worker_environment: dict[str, str]) -> Iterator[ModuleType]:  # noqa: F811
    """The sample project, with settings inside of its package, as startproject makes them."""
    (tmp_path / "bakery" / "settings.py").write_text(SETTINGS)
    worker_environment["PYTHONPATH"] = os.pathsep.join([str(tmp_path), worker_environment["PYTHONPATH"]])
    worker_environment["DJANGO_SETTINGS_MODULE"] = "bakery.settings"
    return bakery


def test_workers_run_the_tasks_of_a_project_and_its_beat_schedule(
    project: ModuleType, start_worker: StartWorker
) -> None:
    results = {label: call() for label, call in project.CASES.items()}
    groups = {label: call() for label, call in project.GROUPS.items()}

    worker = start_worker()
    ended(*Job.objects.all())
    seen = {label: f"{result.state} {result.result!r}" for label, result in results.items()}
    seen |= {label: repr(result.get(timeout=60)) for label, result in groups.items()}
    assert seen == {label: lines[-1] for label, lines in recorded().items()}, worker.output
    wait_until(lambda: CronSchedule.objects.filter(name="open the shop").exists())
    assert worker.stop() == 0, worker.output
    stored = CronSchedule.objects.order_by("name").values_list("name", "job_name", "queue_name")
    assert list(stored) == [
        ("bake at night", "bakery.tasks.bake", "night"),
        ("count", "bakery.reports.count", "reports"),
        ("open the shop", "bakery.tasks.open_shop", "bakery"),
    ]


def test_the_system_check_lists_what_has_no_effect(project: ModuleType, start_worker: StartWorker) -> None:
    check = start_worker(command=("check",))
    warning = check.wait_for_line(r"django_jobs\.W201\) Without effect in django_jobs: (.+)")[1]
    assert "acks_late of bakery.tasks.sell" in warning
    assert "ignore_result of bakery.celery.debug_task, bakery.total" in warning
    assert "the settings accept_content, broker, task_serializer" in warning
    assert check.process.wait(timeout=60) == 0, check.output
    assert "W006" not in check.output, "workers know the tasks"
