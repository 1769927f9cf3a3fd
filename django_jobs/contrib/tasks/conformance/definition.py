"""Tests of a Task: a backend accepts the valid ones, and each is a value."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from django.test import override_settings

from . import functions
from .case import ConformanceCase

HOUR = timedelta(hours=1)


def needs_context(context: Any) -> None:
    """Take the context."""


def needs_no_context(value: Any) -> None:
    """Take no context."""


async def coroutine() -> None:
    """Do nothing."""


class DefinitionConformance(ConformanceCase):
    """Tests of ``validate_task``, ``using`` and of a Task's attributes."""

    def test_supports_flags_are_booleans(self) -> None:
        """Each supports_* is True or False, and the alias, the queues and the options are there."""
        for flag in ("supports_defer", "supports_async_task", "supports_get_result", "supports_priority"):
            with self.subTest(flag):
                self.assertIsInstance(getattr(self.backend, flag), bool)
        self.assertEqual(self.backend.alias, "default")
        self.assertEqual(set(self.backend.queues), set())
        self.assertEqual(self.backend.options, self.backend_settings.get("OPTIONS", {}))
        self.assertEqual(set(self.tasks.task_backends["strict"].queues), {"default", "mail"})

    def test_backend_is_a_task_backend(self) -> None:
        """A backend inherits BaseTaskBackend, and its task_class inherits Task."""
        base = import_module(f"{self.tasks_package}.backends.base")
        task_class = import_module(f"{self.tasks_package}.base").Task
        self.assertIsInstance(self.backend, base.BaseTaskBackend)
        self.assertTrue(issubclass(getattr(self.backend, "task_class", task_class), task_class))

    def test_check_returns_a_list(self) -> None:
        """check() returns a list of messages, none of them an error for settings that are right."""
        messages = list(self.backend.check())
        self.assertEqual([message for message in messages if message.is_serious()], [])

    def test_task_has_the_defaults(self) -> None:
        """A plain task has priority 0, the queue and the alias "default", no time and no context."""
        task = self.task(self.task_of("take_one").func)
        self.assertEqual((task.priority, task.queue_name, task.backend), (0, "default", "default"))
        self.assertIsNone(task.run_after)
        self.assertIs(task.takes_context, False)
        self.assertEqual(task.name, "take_one")
        self.assertEqual(task.module_path, f"{functions.__name__}.take_one")
        self.assertIs(task.get_backend(), self.backend)

    def test_function_must_be_at_module_level(self) -> None:
        """InvalidTask for a lambda, an inner function, a method and a builtin."""

        def inner() -> None: ...

        for function in (lambda: None, inner, self.test_function_must_be_at_module_level, any):
            with self.subTest(function), self.assertRaises(self.error("InvalidTask")):
                self.task(function)

    def test_context_is_the_first_argument(self) -> None:
        """InvalidTask for takes_context=True and a function whose first argument is not "context"."""
        with self.assertRaises(self.error("InvalidTask")):
            self.task(needs_no_context, takes_context=True)
        self.assertIs(self.task(needs_context, takes_context=True).takes_context, True)

    def test_priority_is_a_whole_number_from_minus_100_to_100(self) -> None:
        """InvalidTask for a priority beyond that, or a fraction."""
        for priority in (-101, 101, 3.1):
            with self.subTest(priority), self.assertRaises(self.error("InvalidTask")):
                self.task_of("echo").using(priority=priority)
        if self.backend.supports_priority:
            for priority in (-100, 0, 100):
                with self.subTest(priority):
                    self.assertEqual(self.task_of("echo").using(priority=priority).priority, priority)

    def test_priority_is_refused_unless_supported(self) -> None:
        """InvalidTask for a priority other than 0, from a backend with supports_priority = False."""
        if self.backend.supports_priority:
            self.skipTest("the backend supports priorities")
        with self.assertRaises(self.error("InvalidTask")):
            self.task_of("echo").using(priority=1)

    def test_run_after_is_refused_unless_supported(self) -> None:
        """InvalidTask for a time, from a backend with supports_defer = False."""
        if self.backend.supports_defer:
            self.skipTest("the backend supports run_after")
        with self.assertRaises(self.error("InvalidTask")):
            self.task_of("echo").using(run_after=datetime.now(UTC) + HOUR)

    def test_run_after_is_aware(self) -> None:
        """InvalidTask for a naive datetime where USE_TZ is True."""
        self.require("supports_defer")
        instant = datetime.now(UTC) + HOUR
        with override_settings(USE_TZ=True):
            with self.assertRaises(self.error("InvalidTask")):
                self.task_of("echo").using(run_after=instant.replace(tzinfo=None))
            self.assertEqual(self.task_of("echo").using(run_after=instant).run_after, instant)

    def test_coroutine_is_refused_unless_supported(self) -> None:
        """InvalidTask for a coroutine, from a backend with supports_async_task = False."""
        if self.backend.supports_async_task:
            self.assertEqual(self.task(coroutine).name, "coroutine")
            return
        with self.assertRaises(self.error("InvalidTask")):
            self.task(coroutine)

    def test_queue_is_one_of_the_settings(self) -> None:
        """InvalidTask for a queue that QUEUES does not list; any queue where QUEUES is empty."""
        self.assertEqual(self.task_of("echo").using(queue_name="other").queue_name, "other")
        self.assertEqual(self.task_of("echo").using(backend="strict", queue_name="mail").queue_name, "mail")
        with self.assertRaises(self.error("InvalidTask")):
            self.task_of("echo").using(backend="strict", queue_name="other")

    def test_queues_are_the_default_one_unless_configured(self) -> None:
        """A backend without QUEUES accepts the queue "default" only."""
        settings = {name: value for name, value in self.backend_settings.items() if name != "QUEUES"}
        with override_settings(TASKS={"default": settings}):
            self.assertEqual(self.task_of("echo").using(queue_name="default").queue_name, "default")
            with self.assertRaises(self.error("InvalidTask")):
                self.task_of("echo").using(queue_name="mail")

    def test_enqueue_validates_the_task(self) -> None:
        """InvalidTask at enqueue() for a task that the settings of now do not allow."""
        task = self.task_of("echo").using(queue_name="other")
        with override_settings(TASKS={"default": {**self.backend_settings, "QUEUES": ["default"]}}):
            with self.signals() as sent, self.assertRaises(self.error("InvalidTask")):
                task.enqueue()
            self.assertEqual(sent, [])

    async def test_asynchronous_enqueue_validates_the_task(self) -> None:
        """InvalidTask at aenqueue() for a task that the settings of now do not allow."""
        task = self.task_of("echo").using(queue_name="other")
        strict = override_settings(TASKS={"default": {**self.backend_settings, "QUEUES": ["default"]}})
        with strict, self.assertRaises(self.error("InvalidTask")):
            await task.aenqueue()

    def test_using_makes_another_task(self) -> None:
        """using() returns a changed copy and leaves the task as it is."""
        task = self.task_of("echo")
        same, other = task.using(), task.using(queue_name="other")
        self.assertEqual(same, task)
        self.assertIsNot(same, task)
        self.assertNotEqual(other, task)
        self.assertEqual(other.using(backend="second").queue_name, "other")
        self.assertEqual((task.queue_name, task.backend), ("default", "default"))

    def test_unknown_alias_is_refused(self) -> None:
        """InvalidTaskBackend for an alias that TASKS does not have."""
        with self.assertRaises(self.error("InvalidTaskBackend")):
            self.task_of("echo").using(backend="unknown")

    def test_attributes_of_a_task_are_constant(self) -> None:
        """A Task cannot be modified."""
        with self.assertRaises(AttributeError):
            self.task_of("echo").priority = 5

    def test_task_can_be_called(self) -> None:
        """call() calls the function here, a coroutine too."""
        self.assertEqual(self.task_of("take_one").call(7), 7)
        self.assertEqual(self.task_of("echo_async").call(1, a=2), {"args": [1], "kwargs": {"a": 2}})

    async def test_task_can_be_called_asynchronously(self) -> None:
        """acall() calls the function, a coroutine too."""
        self.assertEqual(await self.task_of("take_one").acall(7), 7)
        self.assertEqual(await self.task_of("echo_async").acall(1), {"args": [1], "kwargs": {}})

    def test_task_can_be_pickled(self) -> None:
        """A Task is equal to its copy from pickle (Django 6.1)."""
        task = self.task_of("echo").using(queue_name="other")
        if not hasattr(task, "_reconstruct"):
            self.skipTest("tasks can be pickled from Django 6.1 on")
        self.assertEqual(pickle.loads(pickle.dumps(task)), task)  # noqa: S301 - made here
