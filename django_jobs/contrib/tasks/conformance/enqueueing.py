"""The enqueue: the result that it returns, and the arguments that it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .case import ConformanceCase, Runs

JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -7, 2**53, 0.1, -1e300, "", "text", "Zoë 🦒 \u2028", "x" * 100_000),
    *([], {}, [1, [2, [3]], {"a": None}], {"a": {"b": [{"c": "d"}]}, "e": ""}),
)


class EnqueueConformance(ConformanceCase):
    """Tests of ``enqueue`` and ``aenqueue``."""

    def check_new(self, result: Any, task: Any) -> None:
        """Check what an enqueue returns."""
        self.assertIsInstance(result, self.tasks.TaskResult)
        self.assertIsInstance(result.id, str)
        self.assertTrue(0 < len(result.id) < 64, result.id)
        self.assertEqual(result.task, task)
        self.assertEqual(result.backend, "default")
        self.assertIsNotNone(result.enqueued_at)
        if self.runs is not Runs.AT_ENQUEUE:
            self.assertEqual(result.status, self.status("READY"))
            self.assertEqual((result.started_at, result.last_attempted_at, result.finished_at), (None, None, None))
            self.assertEqual((list(result.errors), list(result.worker_ids), result.attempts), ([], [], 0))
            self.assertIs(result.is_finished, False)

    def test_enqueue_returns_a_result(self) -> None:
        """enqueue() returns a TaskResult: READY, with the task, the alias and the arguments as given."""
        task = self.task_of("echo")
        result = task.enqueue(1, "two", three=[3])
        self.check_new(result, task)
        self.assertEqual(result.args, [1, "two"])
        self.assertEqual(result.kwargs, {"three": [3]})

    async def test_aenqueue_returns_a_result(self) -> None:
        """aenqueue() returns the same."""
        task = self.task_of("echo")
        result = await task.aenqueue(1, "two", three=[3])
        self.check_new(result, task)
        self.assertEqual((result.args, result.kwargs), ([1, "two"], {"three": [3]}))

    def test_backend_enqueues_a_task(self) -> None:
        """The backend's enqueue(task, args, kwargs) does the same."""
        task = self.task_of("echo")
        for args in ((1,), [1]):
            result = self.backend.enqueue(task, args, {"b": 2})
            self.check_new(result, task)
            self.assertEqual((result.args, result.kwargs), ([1], {"b": 2}))

    def test_coroutine_is_enqueued(self) -> None:
        """A coroutine is enqueued as a function is."""
        task = self.task_of("echo_async")
        self.check_new(task.enqueue(), task)

    def test_ids_are_different(self) -> None:
        """Each result has an id of its own, equal calls too."""
        ids = [self.task_of("take_one").enqueue(1).id for _ in range(5)]
        self.assertEqual(len(set(ids)), 5)

    def test_enqueued_at_is_the_time_of_the_enqueue(self) -> None:
        """enqueued_at is aware where USE_TZ is True, and now."""
        before = datetime.now(UTC)
        at = self.task_of("take_one").enqueue(1).enqueued_at
        self.assertIsNotNone(at.utcoffset())
        self.assertLess(abs(at - before), timedelta(minutes=1))

    def test_json_is_taken_as_it_is(self) -> None:
        """Any JSON is returned in args and kwargs as it was given, and reaches the function."""
        task = self.task_of("take_one")
        for value in JSON_VALUES:
            with self.subTest(str(value)[:40]):
                result = task.enqueue(value)
                self.assertEqual(result.args, [value])
                self.assertEqual(task.enqueue(value=value).kwargs, {"value": value})
                if self.runs is not Runs.NEVER:
                    self.assertEqual(self.finished(task, value).return_value, value)

    def test_sequences_become_lists(self) -> None:
        """A tuple is a list for the function, and in args and kwargs."""
        task = self.task_of("echo")
        result = task.enqueue((1, (2,)), a=({"b": (3,)},))
        self.assertEqual(result.args, [[1, [2]]])
        self.assertEqual(result.kwargs, {"a": [{"b": [3]}]})
        if self.runs is not Runs.NEVER:
            value = self.finished(task, (1, (2,)), a=({"b": (3,)},)).return_value
            self.assertEqual(value, {"args": [[1, [2]]], "kwargs": {"a": [{"b": [3]}]}})

    def test_keys_become_text(self) -> None:
        """A number as a key is text for the function, after the round trip through JSON."""
        self.require_later()
        self.assertEqual(self.finished(self.task_of("take_one"), {1: "a"}).return_value, {"1": "a"})

    def test_other_values_are_refused(self) -> None:
        """TypeError for what is no JSON, before anything is enqueued."""
        for value in (datetime.now(UTC), object(), {1, 2}, timedelta(1), [object()], {"a": object()}):
            with self.subTest(value), self.signals() as sent:
                with self.assertRaises(TypeError):
                    self.task_of("echo").enqueue(value)
                with self.assertRaises(TypeError):
                    self.task_of("echo").enqueue(a=value)
                self.assertEqual(sent, [])

    async def test_other_values_are_refused_asynchronously(self) -> None:
        """TypeError from aenqueue() too."""
        with self.assertRaises(TypeError):
            await self.task_of("echo").aenqueue(datetime.now(UTC))

    def test_arguments_are_copied(self) -> None:
        """A list that is changed after the enqueue is not changed for the task."""
        self.require_runs(Runs.LATER)
        self.require("supports_get_result")
        given: list[Any] = [1, {"a": 2}]
        result = self.task_of("take_one").enqueue(given)
        given.append(3)
        given[1]["a"] = 4
        result.args.append("changed")
        self.run_tasks()
        stored = self.backend.get_result(result.id)
        self.assertEqual((stored.args, stored.return_value), ([[1, {"a": 2}]], [1, {"a": 2}]))

    def test_arguments_may_be_named_like_the_interface(self) -> None:
        """Arguments called task, args, kwargs, backend, priority, queue_name or run_after are the function's."""
        names = ("task", "args", "kwargs", "backend", "priority", "queue_name", "run_after")
        given = {name: f"a {name}" for name in names}
        task = self.task_of("take_options")
        self.assertEqual(task.enqueue(**given).kwargs, given)
        if self.runs is not Runs.NEVER:
            self.assertEqual(self.finished(task, **given).return_value, list(given.values()))

    def test_enqueue_is_signalled(self) -> None:
        """task_enqueued is sent once by the backend's class, with the result."""
        with self.signals() as sent:
            result = self.task_of("take_one").enqueue(1)
        enqueued = [one for one in sent if one.signal == "task_enqueued"]
        self.assertEqual(
            [(one.sender, one.id, one.status) for one in enqueued], [(type(self.backend), result.id, "READY")]
        )
        self.assertIsNotNone(enqueued[0].result.enqueued_at)

    async def test_asynchronous_enqueue_is_signalled(self) -> None:
        """task_enqueued is sent once by aenqueue() too."""
        with self.signals() as sent:
            result = await self.task_of("take_one").aenqueue(1)
        self.assertEqual([one.id for one in sent if one.signal == "task_enqueued"], [result.id])

    def test_options_are_in_the_result(self) -> None:
        """The result's task has the priority, the queue and the alias of this enqueue."""
        task = self.task_of("take_one").using(queue_name="mail", backend="second")
        if self.backend.supports_priority:
            task = task.using(priority=-5)
        result = task.enqueue(1)
        self.assertEqual(result.task, task)
        self.assertEqual(result.backend, "second")
        if self.runs is not Runs.NEVER:
            self.assertEqual(self.finished(task, 1).task, task)
