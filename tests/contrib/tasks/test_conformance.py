"""The conformance suite: Django's backends and a complete one pass it; backends broken in one way do not."""

from __future__ import annotations

import unittest
from datetime import datetime
from typing import Any

import pytest
from django.test import SimpleTestCase

from django_jobs.contrib.tasks.conformance import Runs, TasksConformance

from .memory import PACKAGE, MemoryBackend, Status, base, exceptions, signals


class ImmediateBackendCase(TasksConformance, SimpleTestCase):
    __test__ = False
    tasks_package = PACKAGE
    backend_settings = {"BACKEND": f"{PACKAGE}.backends.immediate.ImmediateBackend"}
    runs = Runs.AT_ENQUEUE


class DummyBackendCase(TasksConformance, SimpleTestCase):
    __test__ = False
    tasks_package = PACKAGE
    backend_settings = {"BACKEND": f"{PACKAGE}.backends.dummy.DummyBackend"}
    runs = Runs.NEVER


class MemoryCase(TasksConformance, SimpleTestCase):
    """The backend in memory; its path is another one in each class that inherits this."""

    __test__ = False
    tasks_package = PACKAGE
    backend_settings = {"BACKEND": f"{MemoryBackend.__module__}.MemoryBackend"}

    def setUp(self) -> None:
        MemoryBackend.results = []

    def run_tasks(self) -> None:
        type(self.backend).run()

    def run_tasks_at(self, instant: datetime) -> None:
        type(self.backend).run(instant)


class SharesArguments(MemoryBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        result = self.new(task, [], {})
        self.change(result, args=args if isinstance(args, list) else list(args), kwargs=kwargs)
        MemoryBackend.results.append(result)
        signals.task_enqueued.send(type(self), task_result=result)
        return result


class TakesAnything(MemoryBackend):
    def dump(self, value: Any) -> str:
        import json

        return json.dumps(value, default=str)


class ValidatesNothing(MemoryBackend):
    def validate_task(self, task: Any) -> None: ...


class ValidatesAtDefinitionOnly(MemoryBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = self.new(task, args, kwargs)
        MemoryBackend.results.append(result)
        signals.task_enqueued.send(type(self), task_result=result)
        return self.get_result(result.id)


class CountsIds(MemoryBackend):
    def get_result(self, result_id: str) -> Any:
        return super().get_result(MemoryBackend.results[int(result_id)].id if result_id.isdigit() else result_id)


class ForgetsPriority(MemoryBackend):
    @staticmethod
    def order(result: Any) -> Any:
        return 0


class RunsEarly(MemoryBackend):
    @classmethod
    def is_due(cls, result: Any, now: Any) -> bool:
        return bool(result.status == Status.READY)


class RunsNothingDeferred(MemoryBackend):
    @classmethod
    def is_due(cls, result: Any, now: Any) -> bool:
        return bool(result.status == Status.READY and result.task.run_after is None)


class RunsOneQueue(MemoryBackend):
    @classmethod
    def is_due(cls, result: Any, now: Any) -> bool:
        return super().is_due(result, now) and result.task.queue_name == "default"


class RunsOneAlias(MemoryBackend):
    @classmethod
    def is_due(cls, result: Any, now: Any) -> bool:
        return super().is_due(result, now) and result.backend == "default"


class NamesErrorsBriefly(MemoryBackend):
    @classmethod
    def fail(cls, result: Any, error: BaseException) -> None:
        result.errors.append(base.TaskError(exception_class_path=type(error).__name__, traceback=repr(error)))
        cls.change(result, status=Status.FAILED)


class CallsFailureSuccess(MemoryBackend):
    @classmethod
    def fail(cls, result: Any, error: BaseException) -> None:
        cls.change(result, status=Status.SUCCESSFUL)


class ForgetsWorkers(MemoryBackend):
    @classmethod
    def run_one(cls, result: Any) -> None:
        super().run_one(result)
        result.worker_ids.clear()


class ForgetsTimes(MemoryBackend):
    @classmethod
    def run_one(cls, result: Any) -> None:
        super().run_one(result)
        cls.change(result, started_at=result.enqueued_at.replace(year=2000))


class RunsTwice(MemoryBackend):
    @classmethod
    def run(cls, until: Any = None) -> None:
        for result in cls.results:
            cls.change(result, status=Status.READY, finished_at=None)
        super().run(until)


class IsSilentAtTheStart(MemoryBackend):
    @classmethod
    def run_one(cls, result: Any) -> None:
        kept, signals.task_started.receivers = signals.task_started.receivers, []
        signals.task_started.sender_receivers_cache.clear()
        try:
            super().run_one(result)
        finally:
            signals.task_started.receivers = kept
            signals.task_started.sender_receivers_cache.clear()


class SignalsByItself(MemoryBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        result = self.new(task, args, kwargs)
        MemoryBackend.results.append(result)
        signals.task_enqueued.send(self, task_result=result)
        return self.get_result(result.id)


class FindsAnything(MemoryBackend):
    def get_result(self, result_id: str) -> Any:
        try:
            return super().get_result(result_id)
        except exceptions.TaskResultDoesNotExist:
            return None


class FindsTheNewest(MemoryBackend):
    def get_result(self, result_id: str) -> Any:
        super().get_result(result_id)
        return super().get_result(MemoryBackend.results[-1].id)


class LosesTheQueue(MemoryBackend):
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        return super().enqueue(task.using(queue_name="default"), args, kwargs)


class ChangesTheEnqueued(MemoryBackend):
    """Returns the object that the run changes."""

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        result = self.new(task, args, kwargs)
        MemoryBackend.results.append(result)
        signals.task_enqueued.send(type(self), task_result=result)
        return result


class GivesLongIds(MemoryBackend):
    def new(self, task: Any, args: Any, kwargs: Any) -> Any:
        result = super().new(task, args, kwargs)
        self.change(result, id=result.id * 2)
        return result


BROKEN = {
    SharesArguments: "test_arguments_are_copied",
    TakesAnything: "test_other_values_are_refused",
    ValidatesNothing: "test_function_must_be_at_module_level",
    ValidatesAtDefinitionOnly: "test_enqueue_validates_the_task",
    CountsIds: "test_unknown_result_does_not_exist",
    ForgetsPriority: "test_higher_priority_is_run_first",
    RunsEarly: "test_future_task_is_not_run_yet",
    RunsNothingDeferred: "test_past_task_is_run",
    RunsOneQueue: "test_other_queue_is_run",
    RunsOneAlias: "test_other_alias_is_run",
    NamesErrorsBriefly: "test_task_that_raises_has_failed",
    CallsFailureSuccess: "test_value_that_is_no_json_fails_the_task",
    ForgetsWorkers: "test_task_that_returns_is_successful",
    ForgetsTimes: "test_task_that_returns_is_successful",
    RunsTwice: "test_task_is_run_once",
    IsSilentAtTheStart: "test_run_is_signalled",
    SignalsByItself: "test_enqueue_is_signalled",
    FindsAnything: "test_unknown_result_does_not_exist",
    FindsTheNewest: "test_results_are_told_apart",
    LosesTheQueue: "test_options_are_in_the_result",
    ChangesTheEnqueued: "test_result_is_not_updated_by_itself",
    GivesLongIds: "test_enqueue_returns_a_result",
}
"""A backend that is broken in one way -> a test that must fail for it."""


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_broken_backend_fails(broken: type[MemoryBackend]) -> None:
    class Case(MemoryCase):
        backend_settings = {"BACKEND": f"{broken.__module__}.{broken.__name__}"}

    expected = BROKEN[broken]
    result = unittest.TestResult()
    unittest.TestSuite([Case(expected)]).run(result)

    assert result.testsRun == 1
    assert result.errors or result.failures, f"{expected} passed"


UNSUPPORTED = {
    "test_priority_is_refused_unless_supported",
    "test_results_are_not_retrieved_unless_supported",
    "test_run_after_is_refused_unless_supported",
}
"""Skipped for a backend that supports all."""

BY_VERSION = {"test_result_can_be_pickled", "test_task_can_be_pickled"}


def passed(case: type[unittest.TestCase]) -> set[str]:
    """Run all tests of ``case``, check that none failed, and return the names of those that were not skipped."""
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    names = {test.id().rpartition(".")[2] for test in suite if isinstance(test, unittest.TestCase)}
    result = unittest.TestResult()
    suite.run(result)
    assert [(failed.id(), text) for failed, text in [*result.errors, *result.failures]] == []
    return names - {skipped.id().rpartition(".")[2] for skipped, _ in result.skipped}


def test_complete_backend_has_nothing_skipped() -> None:
    everything = {name for name in dir(MemoryCase) if name.startswith("test_")}

    assert everything - passed(MemoryCase) - BY_VERSION == UNSUPPORTED - BY_VERSION


def test_immediate_backend_passes() -> None:
    names = passed(ImmediateBackendCase)

    assert {
        "test_run_is_signalled",
        "test_task_that_raises_has_failed",
        "test_run_after_is_refused_unless_supported",
    } <= names
    assert "test_higher_priority_is_run_first" not in names


def test_dummy_backend_passes() -> None:
    names = passed(DummyBackendCase)

    assert {"test_enqueue_returns_a_result", "test_other_values_are_refused", "test_enqueue_is_signalled"} <= names
    assert "test_run_is_signalled" not in names
