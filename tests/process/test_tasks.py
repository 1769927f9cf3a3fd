"""Tasks in real workers: found in ``<app>/tasks.py``, run in threads, job processes and the event loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_jobs import registry
from django_jobs.models import Job
from django_jobs.observers import observers
from tests.process.conftest import StartWorker
from tests.process.running import ended

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

OPTIONS = {"max_attempts": 2, "backoff": [0]}
TASKS = {"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "OPTIONS": OPTIONS}}


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch, worker_environment: dict[str, str]) -> Iterator[Any]:
    worker_environment["DJANGO_JOBS_TEST_TASKS"] = json.dumps(TASKS)
    monkeypatch.setattr(registry, "_definitions", dict(registry._definitions))
    with override_settings(TASKS=TASKS):
        from tests.sampleapp import tasks

        for signal in (tasks.root.signals.task_started, tasks.root.signals.task_finished):
            signal.disconnect(tasks.say)  # it is for workers: here, other tests count receivers
        yield tasks
    observers.clear()


@pytest.mark.parametrize("pool", ["threads", pytest.param("processes", marks=pytest.mark.release)])
def test_a_worker_runs_tasks_and_tells_their_ends(start_worker: StartWorker, tasks: Any, pool: str) -> None:
    results = [tasks.add.enqueue(1, other=2), tasks.try_twice.enqueue(), tasks.exit_from.enqueue(3)]
    jobs = [Job.objects.get(pk=result.pk) for result in results]

    worker = start_worker("--pool", pool)
    assert ended(*jobs) == ["succeeded", "succeeded", "dead"], worker.output
    for line in ("finished add SUCCESSFUL 1", "finished try_twice SUCCESSFUL 2", "finished exit_from FAILED 2"):
        worker.wait_for_line(f"TOLD {line}")
    assert worker.stop() == 0, worker.output

    for result in results:
        result.refresh()
    assert [result.return_value for result in results[:2]] == [3, [2, 1, True]]
    assert [error.exception_class for error in results[2].errors] == [SystemExit, SystemExit]
    told = [line.partition("TOLD ")[2] for line in worker.lines if "TOLD" in line]
    assert sorted(line for line in told if line.startswith("finished")) == [
        "finished add SUCCESSFUL 1",
        "finished exit_from FAILED 2",
        "finished try_twice SUCCESSFUL 2",
    ]
    assert [line for line in told if "started try_twice" in line] == [
        "started try_twice RUNNING 1",
        "started try_twice RUNNING 2",
    ]
