"""The run: what the function gets, and what becomes of what it returns or raises."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from . import functions
from .case import ConformanceCase, Runs

HOUR = timedelta(hours=1)
ROUNDING = timedelta(milliseconds=1)
"""Some databases' clocks have no more digits."""


class ExecutionConformance(ConformanceCase):
    """Tests of what a backend runs."""

    def test_task_that_returns_is_successful(self) -> None:
        """SUCCESSFUL, with the value, the times in their order, one attempt and its worker."""
        result = self.finished(self.task_of("echo"), 1, b=2)
        self.assertEqual(result.status, self.status("SUCCESSFUL"))
        self.assertIs(result.is_finished, True)
        self.assertEqual(result.return_value, {"args": [1], "kwargs": {"b": 2}})
        self.assertEqual(list(result.errors), [])
        self.check_times(result)
        self.assertEqual(result.attempts, 1)
        self.assertEqual(result.last_attempted_at, result.started_at)

    def check_times(self, result: Any) -> None:
        """Check the times and the workers of a finished result."""
        times = [result.enqueued_at, result.started_at, result.last_attempted_at, result.finished_at]
        for earlier, later in pairwise(times):
            self.assertLessEqual(earlier - ROUNDING, later)
        self.assertEqual(len(result.worker_ids), result.attempts)
        self.assertTrue(all(isinstance(worker, str) and worker for worker in result.worker_ids), result.worker_ids)

    def test_coroutine_is_run(self) -> None:
        """A coroutine is awaited."""
        result = self.finished(self.task_of("echo_async"), 1, b=2)
        self.assertEqual(result.return_value, {"args": [1], "kwargs": {"b": 2}})

    async def test_task_enqueued_asynchronously_is_run(self) -> None:
        """A task enqueued by aenqueue() is run, and arefresh() shows it."""
        self.require_later()
        result = await self.task_of("take_one").aenqueue(5)
        await self._in_thread(self.run_tasks)
        await result.arefresh()
        self.assertEqual(result.return_value, 5)

    @staticmethod
    async def _in_thread(function: Any) -> None:
        from asgiref.sync import sync_to_async

        await sync_to_async(function, thread_sensitive=True)()

    def test_none_is_a_value(self) -> None:
        """The value of a function that returns nothing is None."""
        self.assertIsNone(self.finished(self.task_of("take_one"), None).return_value)

    def test_value_is_json(self) -> None:
        """A tuple that is returned is a list in the result."""
        self.assertEqual(self.finished(self.task_of("return_pair")).return_value, [1, 2])

    def test_value_that_is_no_json_fails_the_task(self) -> None:
        """FAILED, with an error, if the returned value cannot be JSON."""
        self.check_failed(self.finished(self.task_of("return_function")))

    def check_failed(self, result: Any, error: type[BaseException] | None = None, message: str = "") -> None:
        """Check a result of a task that failed."""
        self.assertEqual(result.status, self.status("FAILED"))
        self.assertIs(result.is_finished, True)
        with self.assertRaises(ValueError):
            _ = result.return_value
        self.check_times(result)
        self.assertTrue(result.errors)
        for one in result.errors:
            self.assertTrue(issubclass(one.exception_class, BaseException))
            self.assertIn("Traceback (most recent call last)", one.traceback)
        if error is not None:
            self.assertEqual(len(result.errors), self.failing_attempts)
            self.assertEqual(result.attempts, self.failing_attempts)
            self.assertIs(result.errors[-1].exception_class, error)
            self.assertEqual(result.errors[-1].traceback.rstrip().splitlines()[-1].rsplit(": ")[-1], message)

    def test_task_that_raises_has_failed(self) -> None:
        """FAILED, with the class of the exception and its traceback, of any exception that a module defines."""
        for name, error in functions.ERRORS.items():
            if name == "SystemExit":
                continue
            with self.subTest(name):
                result = self.finished(self.task_of("fail"), name, f"no {name}")
                self.check_failed(result, error, f"no {name}")
                self.assertIn("in fail\n", result.errors[-1].traceback)

    def test_coroutine_that_raises_has_failed(self) -> None:
        """FAILED, the same for a coroutine."""
        self.check_failed(self.finished(self.task_of("fail_async"), "no"), ValueError, "no")

    def test_exit_fails_the_task_alone(self) -> None:
        """FAILED for a task that calls sys.exit(); the next one is run."""
        result = self.finished(self.task_of("fail"), "SystemExit", "leaving")
        self.check_failed(result)
        self.assertIs(result.errors[-1].exception_class, SystemExit)
        self.assertEqual(self.finished(self.task_of("take_one"), 1).return_value, 1)

    def test_traceback_has_the_cause(self) -> None:
        """The traceback tells the exception that caused another one."""
        result = self.finished(self.task_of("fail_from"), "the effect")
        self.assertIn("KeyError: 'the cause'", result.errors[-1].traceback)
        self.check_failed(result, functions.RefusedError, "the effect")

    def test_call_that_does_not_fit_fails(self) -> None:
        """FAILED, or TypeError at the enqueue, if the arguments do not fit the function."""
        self.require_runs()
        try:
            result = self.finished(self.task_of("take_one"), 1, 2, 3)
        except TypeError:
            return
        self.check_failed(result)

    def test_context_tells_of_the_run(self) -> None:
        """A task that takes the context gets the result of this run: RUNNING, attempt 1; then its arguments."""
        task = self.task_of("describe")
        result = self.finished(task, 1, "b")
        self.assertEqual(
            result.return_value,
            {
                "id": result.id,
                "status": "RUNNING",
                "attempt": 1,
                "attempts": 1,
                "is_finished": False,
                "has_started_at": True,
                "args": [1, "b"],
                "result_args": [1, "b"],
                "path": task.module_path,
            },
        )
        self.assertEqual(result.args, [1, "b"])

    def test_coroutine_takes_the_context(self) -> None:
        """A coroutine gets the context too."""
        result = self.finished(self.task_of("describe_async"))
        self.assertEqual(result.return_value, result.id)

    def test_task_may_enqueue_another(self) -> None:
        """A task that a task enqueues is run too."""
        self.require_later()
        result = self.finished(self.task_of("enqueue_another"), "inner")
        self.assertEqual(self.backend.get_result(result.return_value).return_value, "inner")

    def test_other_alias_is_run(self) -> None:
        """A task of a second alias of the same backend is run, and keeps its alias."""
        result = self.finished(self.task_of("take_one").using(backend="second"), 3)
        self.assertEqual((result.return_value, result.backend, result.task.backend), (3, "second", "second"))

    def test_other_queue_is_run(self) -> None:
        """A task of another queue is run, and keeps its queue."""
        result = self.finished(self.task_of("take_one").using(queue_name="other"), 3)
        self.assertEqual((result.return_value, result.task.queue_name), (3, "other"))

    def test_higher_priority_is_run_first(self) -> None:
        """Tasks start by priority, the highest first."""
        self.require_later()
        self.require("supports_priority")
        order = [0, 100, -100, 50]
        enqueued = {priority: self.task_of("take_one").using(priority=priority).enqueue(1) for priority in order}
        self.run_tasks()
        stored = {priority: self.backend.get_result(result.id) for priority, result in enqueued.items()}
        self.assertEqual(sorted(order, key=lambda one: stored[one].started_at), [100, 50, 0, -100])
        self.assertEqual({one: stored[one].task.priority for one in order}, {one: one for one in order})

    def test_future_task_is_not_run_yet(self) -> None:
        """A task whose run_after is in the future stays READY, without an attempt."""
        self.require_later()
        self.require("supports_defer")
        instant = datetime.now(UTC) + HOUR
        result = self.task_of("take_one").using(run_after=instant).enqueue(1)
        self.assertEqual(result.task.run_after, instant)
        self.run_tasks()
        stored = self.backend.get_result(result.id)
        self.assertEqual((stored.status, stored.attempts, stored.started_at), (self.status("READY"), 0, None))
        self.assertEqual(stored.task.run_after, instant)

    def test_past_task_is_run(self) -> None:
        """A task whose run_after is in the past is run."""
        self.require("supports_defer")
        task = self.task_of("take_one").using(run_after=datetime.now(UTC) - HOUR)
        self.assertEqual(self.finished(task, 1).status, self.status("SUCCESSFUL"))

    def test_future_task_is_run_when_it_is_due(self) -> None:
        """A task whose run_after has come is run."""
        self.require_later()
        self.require("supports_defer")
        instant = datetime.now(UTC) + HOUR
        result = self.task_of("take_one").using(run_after=instant).enqueue(1)
        self.run_tasks_at(instant + timedelta(minutes=1))
        self.assertEqual(self.backend.get_result(result.id).return_value, 1)

    def test_run_is_signalled(self) -> None:
        """task_started with RUNNING, then task_finished once with the end, sent by the backend's class."""
        self.require_runs()
        if not self.in_process:
            self.skipTest("the backend runs tasks in another process")
        ends: list[tuple[str, str, list[Any]]] = [
            ("SUCCESSFUL", "take_one", [1]),
            ("FAILED", "fail", ["ValueError", "no"]),
        ]
        for status, name, args in ends:
            with self.subTest(status), self.signals() as sent:
                result = self.task_of(name).enqueue(*args)
                self.run_all()
                expected = [("task_enqueued", "READY"), *[("task_started", "RUNNING")] * len(self._attempts(status))]
                self.assertEqual(
                    [(one.signal, one.status) for one in sent if one.id == result.id],
                    [*expected, ("task_finished", status)],
                )
                self.assertEqual({one.sender for one in sent}, {type(self.backend)})
                self.assertTrue(all(one.result.task.name == name for one in sent))

    def _attempts(self, status: str) -> range:
        return range(self.failing_attempts if status == "FAILED" else 1)

    def test_finished_signal_has_the_end(self) -> None:
        """The result of task_finished has the value or the errors, and the time."""
        self.require_runs()
        if not self.in_process:
            self.skipTest("the backend runs tasks in another process")
        with self.signals() as sent:
            self.task_of("take_one").enqueue(5)
            self.task_of("fail").enqueue("ValueError", "no")
            self.run_all()
        ended = {one.status: one.result for one in sent if one.signal == "task_finished"}
        self.assertEqual(ended["SUCCESSFUL"].return_value, 5)
        self.assertIs(ended["FAILED"].errors[-1].exception_class, ValueError)
        for result in ended.values():
            self.assertIsNotNone(result.finished_at)

    def test_task_is_run_once(self) -> None:
        """A task that has finished is not run a second time."""
        self.require_runs(Runs.LATER)
        result = self.finished(self.task_of("take_one"), 1)
        with self.signals() as sent:
            self.run_tasks()
        self.assertEqual(sent, [])
        if self.backend.supports_get_result:
            self.assertEqual(self.backend.get_result(result.id), result)
