"""The smallest complete backend of django.tasks: a list in memory. Broken copies of it must fail the suite."""

from __future__ import annotations

import copy
import json
import uuid
from importlib import import_module
from importlib.util import find_spec
from traceback import format_exception
from typing import Any

from django.utils import timezone

PACKAGE = "django.tasks" if find_spec("django.tasks") else "django_tasks"
tasks = import_module(PACKAGE)
base = import_module(f"{PACKAGE}.base")
exceptions = import_module(f"{PACKAGE}.exceptions")
signals = import_module(f"{PACKAGE}.signals")

Backend = import_module(f"{PACKAGE}.backends.base").BaseTaskBackend
Status = tasks.TaskResultStatus


class MemoryBackend(Backend):
    """Keeps results in a list of the class, which all aliases and threads share."""

    supports_defer = True
    supports_async_task = True
    supports_get_result = True
    supports_priority = True

    results: list[Any] = []

    def new(self, task: Any, args: Any, kwargs: Any) -> Any:
        return base.TaskResult(
            task=task,
            id=str(uuid.uuid4()),
            status=Status.READY,
            enqueued_at=timezone.now(),
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=json.loads(self.dump(args)),
            kwargs=json.loads(self.dump(kwargs)),
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    def dump(self, value: Any) -> str:
        return json.dumps(value)

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
        self.validate_task(task)
        result = self.new(task, args, kwargs)
        MemoryBackend.results.append(result)
        signals.task_enqueued.send(type(self), task_result=copy.deepcopy(result))
        return copy.deepcopy(result)

    def get_result(self, result_id: str) -> Any:
        for result in MemoryBackend.results:
            if result.id == result_id:
                return copy.deepcopy(result)
        raise exceptions.TaskResultDoesNotExist(result_id)

    @classmethod
    def run(cls, until: Any = None) -> None:
        while due := [one for one in cls.results if cls.is_due(one, until or timezone.now())]:
            cls.run_one(min(due, key=cls.order))

    @classmethod
    def is_due(cls, result: Any, now: Any) -> bool:
        return result.status == Status.READY and (result.task.run_after is None or result.task.run_after <= now)

    @staticmethod
    def order(result: Any) -> Any:
        return -result.task.priority

    @classmethod
    def change(cls, result: Any, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(result, name, value)

    @classmethod
    def run_one(cls, result: Any) -> None:
        now = timezone.now()
        cls.change(result, status=Status.RUNNING, started_at=now, last_attempted_at=now)
        result.worker_ids.append("worker")
        backend = result.task.get_backend()
        signals.task_started.send(type(backend), task_result=copy.deepcopy(result))
        try:
            context = (base.TaskContext(task_result=copy.deepcopy(result)),) if result.task.takes_context else ()
            value = result.task.call(*context, *result.args, **result.kwargs)
            cls.change(result, _return_value=json.loads(json.dumps(value)), status=Status.SUCCESSFUL)
        except BaseException as error:  # noqa: BLE001 - SystemExit too
            cls.fail(result, error)
        cls.change(result, finished_at=timezone.now())
        signals.task_finished.send(type(backend), task_result=copy.deepcopy(result))

    @classmethod
    def fail(cls, result: Any, error: BaseException) -> None:
        path = f"{type(error).__module__}.{type(error).__qualname__}"
        result.errors.append(base.TaskError(exception_class_path=path, traceback="".join(format_exception(error))))
        cls.change(result, status=Status.FAILED)
