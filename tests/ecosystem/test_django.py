"""Django's own tests of tasks, from its source distribution, on this package's backend.

The class and its module are Django's, unchanged. Replaced at run time: the path of DummyBackend in the settings that
they override, the base class (they assume that no database is needed), and ``setUp``, which clears DummyBackend's list.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import django
import pytest
from django.test import TestCase

from tests.ecosystem.sources import DJANGO, folder_of

DUMMY = "django.tasks.backends.dummy.DummyBackend"
OURS = "django_jobs.contrib.tasks.JobsBackend"

NUMBER_OF_TESTS = 39 if django.VERSION >= (6, 1) else 34

EXPECTED_FAILURES = {
    "test_using_correct_backend": "asserts that the backend is a DummyBackend",
    "test_get_backend": "asserts that the backend is a DummyBackend",
    "test_enqueue_task": "reads DummyBackend's list of results",
    "test_enqueue_task_async": "reads DummyBackend's list of results",
    "test_refresh_result": "calls refresh() in a coroutine, where Django refuses a query",
}

sys.path.insert(0, str(folder_of(DJANGO) / "tests"))
theirs = import_module("tasks.test_tasks")


def on_our_backend(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that their class overrides, with our backend in place of DummyBackend."""
    tasks = {
        alias: {**entry, "BACKEND": OURS} if entry["BACKEND"] == DUMMY else entry
        for alias, entry in settings["TASKS"].items()
    }
    return {**settings, "TASKS": tasks}


class TestTasks(theirs.TaskTestCase, TestCase):
    _overridden_settings = on_our_backend(theirs.TaskTestCase._overridden_settings)

    def setUp(self) -> None: ...


for _name, _reason in EXPECTED_FAILURES.items():
    pytest.mark.xfail(reason=_reason, strict=True)(getattr(TestTasks, _name))


def test_all_of_them_are_run() -> None:
    names = {name for name in dir(TestTasks) if name.startswith("test_")}

    assert len(names) == NUMBER_OF_TESTS
    assert set(EXPECTED_FAILURES) <= names
