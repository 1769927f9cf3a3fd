"""Tests for any backend of django.tasks, to inherit: they hold it to what Django documents about tasks and results.

    from django.test import TransactionTestCase
    from django_jobs.contrib.tasks.conformance import TasksConformance

    class MyBackendTest(TasksConformance, TransactionTestCase):
        backend_settings = {"BACKEND": "my_backend.Backend"}

        def run_tasks(self) -> None:
            run_my_worker_until_nothing_is_due()

It imports nothing of django_jobs outside of this folder.
"""

from .case import ConformanceCase, Runs
from .definition import DefinitionConformance
from .enqueueing import EnqueueConformance
from .execution import ExecutionConformance
from .results import ResultConformance

__all__ = ["ConformanceCase", "Runs", "TasksConformance"]


class TasksConformance(DefinitionConformance, EnqueueConformance, ExecutionConformance, ResultConformance):
    """All tests of the suite; ``ConformanceCase`` tells which attributes and methods to set.

    Inherit it before one of Django's test cases: SimpleTestCase for a backend without a database, else TestCase or
    TransactionTestCase. Tests of what the backend does not support, by its ``supports_*``, are skipped; others test
    that it refuses that.
    """
