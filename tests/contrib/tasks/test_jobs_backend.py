"""This package's backend passes the conformance suite, with each package of tasks that is installed."""

from __future__ import annotations

from datetime import datetime
from importlib.util import find_spec

import pytest
from django.test import TestCase, override_settings

from django_jobs.contrib.tasks.conformance import TasksConformance, functions
from django_jobs.contrib.tasks.roots import ROOTS
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain

OPTIONS = {"max_attempts": 1}


class JobsBackendCase(TasksConformance, TestCase):
    __test__ = False
    backend_settings = {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "OPTIONS": OPTIONS}

    def run_tasks(self) -> None:
        drain()

    def run_tasks_at(self, instant: datetime) -> None:
        drain(run_scheduled=True)


@pytest.mark.skipif(not find_spec("django.tasks"), reason="Django 5.2 has no django.tasks")
class TestOnDjango(JobsBackendCase):
    __test__ = True


@pytest.mark.skipif(not find_spec("django_tasks"), reason="the backport is not installed")
class TestOnTheBackport(JobsBackendCase):
    __test__ = True
    tasks_package = "django_tasks"


@pytest.mark.skipif(not find_spec("django_tasks"), reason="the backport is not installed")
class TestRetriesOnTheBackport(JobsBackendCase):
    """A task that fails is run three times; each attempt leaves an error."""

    __test__ = True
    tasks_package = "django_tasks"
    backend_settings = {**JobsBackendCase.backend_settings, "OPTIONS": {"max_attempts": 3, "backoff": [1]}}
    failing_attempts = 3

    def run_tasks(self) -> None:
        retries = Job.objects.filter(state=State.SCHEDULED, attempt__gt=0)
        drain()
        while retries.run_now():
            drain()


@pytest.mark.django_db
@pytest.mark.skipif(len(ROOTS) < 2, reason="one package of tasks is installed")
def test_function_that_is_built_by_both_packages_is_of_the_newest() -> None:
    with override_settings(TASKS={"default": JobsBackendCase.backend_settings}):
        for root in [*ROOTS, ROOTS[0]]:
            functions.bind(root.name, "default")

            result = functions.take_one.enqueue(1)  # type: ignore[attr-defined] - a Task

            assert isinstance(result, root.job_result)
            assert result.task == functions.take_one
