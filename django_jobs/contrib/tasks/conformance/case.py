"""The base of the suite: what a backend's test sets (the backend, how its tasks are run), and what the tests share."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from django.test import override_settings

from . import functions

if TYPE_CHECKING:
    from django.test import SimpleTestCase
else:
    SimpleTestCase = object


class Runs(Enum):
    """When a backend runs a task."""

    LATER = "later"
    AT_ENQUEUE = "at enqueue"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A signal as it was received: the result may change afterwards, so its status is kept."""

    signal: str
    sender: Any
    result: Any
    id: str
    status: str


class ConformanceCase(SimpleTestCase):
    """Attributes and methods that a backend's test sets, and what the tests share.

    backend_settings: the entry of TASKS; its QUEUES are replaced. Required.
    tasks_package: ``django.tasks``, or ``django_tasks`` for the backport.
    runs: LATER if ``run_tasks`` runs what was enqueued; AT_ENQUEUE and NEVER as ImmediateBackend and DummyBackend.
    in_process: whether ``run_tasks`` runs in this process, so that the signals of a run can be received here.
    failing_attempts: how often the backend runs a task that fails; 1 unless ``backend_settings`` ask for more.
    """

    backend_settings: ClassVar[Mapping[str, Any]]
    tasks_package: ClassVar[str] = "django.tasks"
    runs: ClassVar[Runs] = Runs.LATER
    in_process: ClassVar[bool] = True
    failing_attempts: ClassVar[int] = 1

    tasks: ClassVar[Any]
    """The module ``tasks_package``."""

    @classmethod
    def setUpClass(cls) -> None:
        """Configure the aliases ``default``, ``second`` and ``strict`` and bind the tasks to the first."""
        cls.tasks = import_module(cls.tasks_package)
        super().setUpClass()
        cls.enterClassContext(override_settings(TASKS=cls.aliases()))
        functions.bind(cls.tasks_package, "default")

    @classmethod
    def aliases(cls) -> dict[str, Any]:
        """Return the setting TASKS of the tests."""
        anything = {**cls.backend_settings, "QUEUES": []}
        return {
            "default": anything,
            "second": anything,
            "strict": {**cls.backend_settings, "QUEUES": ["default", "mail"]},
        }

    def run_tasks(self) -> None:
        """Run the tasks that are due, one after another by priority, with all that they enqueue, on every alias.

        Returns when none is left. Override it if ``runs`` is LATER.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.run_tasks: run what was enqueued, as the backend's worker does"
        )

    def run_tasks_at(self, instant: datetime) -> None:
        """Run the tasks that are due at ``instant``, which is in the future. Without it, that test is skipped."""
        self.skipTest(f"{type(self).__name__}.run_tasks_at is not overridden")

    @property
    def backend(self) -> Any:
        """The backend under the alias ``default``."""
        return self.tasks.task_backends["default"]

    def error(self, name: str) -> type[Exception]:
        """Return a class of the package's exceptions by its name in django.tasks."""
        module = import_module(f"{self.tasks_package}.exceptions")
        found: type[Exception] = getattr(module, name, None) or getattr(module, f"{name}Error")
        return found

    def status(self, name: str) -> Any:
        """Return a member of the package's TaskResultStatus."""
        return self.tasks.TaskResultStatus[name]

    def task(self, function: Callable[..., Any], **options: Any) -> Any:
        """Return ``function`` as a Task of the alias ``default``."""
        return self.tasks.task(**options)(function)

    def task_of(self, name: str) -> Any:
        """Return the Task of this name; skip the test if it is a coroutine and the backend does not support those."""
        if name.endswith("_async"):
            self.require("supports_async_task")
        return getattr(functions, name)

    def require(self, flag: str) -> None:
        """Skip the test unless the backend says that it supports this."""
        if not getattr(self.backend, flag):
            self.skipTest(f"the backend's {flag} is false")

    def require_runs(self, *when: Runs) -> None:
        """Skip the test unless the backend runs tasks, at one of these times if any is named."""
        if self.runs not in (when or (Runs.LATER, Runs.AT_ENQUEUE)):
            self.skipTest(f"the backend runs tasks {self.runs.value}")

    def require_later(self) -> None:
        """Skip the test unless tasks wait, and their results can be retrieved."""
        self.require_runs(Runs.LATER)
        self.require("supports_get_result")

    def run_all(self) -> None:
        """Run what waits."""
        if self.runs is Runs.LATER:
            self.run_tasks()

    def finished(self, task: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Return the result of a call that was enqueued and run. Skips the test if it cannot be known."""
        self.require_runs()
        with self.signals() as sent:
            result = task.enqueue(*args, **kwargs)
            self.run_all()
        if self.runs is Runs.AT_ENQUEUE:
            return result
        if self.backend.supports_get_result:
            return task.get_backend().get_result(result.id)
        ended = [one.result for one in sent if one.signal == "task_finished" and one.id == result.id]
        if not ended:
            self.skipTest("the backend supports no get_result, and no task_finished was received in this process")
        return ended[-1]

    @contextmanager
    def signals(self) -> Iterator[list[Sent]]:
        """Collect the signals about tasks that are sent in the block."""
        module = import_module(f"{self.tasks_package}.signals")
        sent: list[Sent] = []
        receivers = {name: self._receiver(name, sent) for name in ("task_enqueued", "task_started", "task_finished")}
        for name, receiver in receivers.items():
            getattr(module, name).connect(receiver, weak=False)
        try:
            yield sent
        finally:
            for name, receiver in receivers.items():
                getattr(module, name).disconnect(receiver)

    @staticmethod
    def _receiver(name: str, sent: list[Sent]) -> Callable[..., None]:
        def receive(*, sender: Any, task_result: Any, **_kwargs: Any) -> None:
            status = task_result.status.name
            sent.append(Sent(signal=name, sender=sender, result=task_result, id=task_result.id, status=status))

        return receive

    @staticmethod
    def unknown_ids() -> list[str]:
        """Return texts that are no id of a result."""
        return ["123", "", "no-such-id", "x" * 63, str(uuid.uuid4()), str(uuid.UUID(int=1)), "-1", "0", "None"]
