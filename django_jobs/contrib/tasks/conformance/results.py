"""The result: found by its id, compared, refreshed and pickled."""

from __future__ import annotations

import dataclasses
import pickle

from .case import ConformanceCase, Runs


class ResultConformance(ConformanceCase):
    """Tests of ``get_result``, ``refresh`` and their asynchronous variants."""

    def test_result_is_found(self) -> None:
        """get_result() of the backend and of the task return what enqueue() returned."""
        self.require_later()
        task = self.task_of("echo").using(queue_name="mail")
        result = task.enqueue(1, b=[2])
        self.assertEqual(self.backend.get_result(result.id), result)
        self.assertEqual(task.get_result(result.id), result)

    async def test_result_is_found_asynchronously(self) -> None:
        """aget_result() returns the same."""
        self.require_later()
        task = self.task_of("echo")
        result = await task.aenqueue(1)
        self.assertEqual(await self.backend.aget_result(result.id), result)
        self.assertEqual(await task.aget_result(result.id), result)

    def test_unknown_result_does_not_exist(self) -> None:
        """TaskResultDoesNotExist for any text that is no id, and for an id that nothing has."""
        self.require("supports_get_result")
        for unknown in self.unknown_ids():
            with self.subTest(unknown):
                with self.assertRaises(self.error("TaskResultDoesNotExist")):
                    self.backend.get_result(unknown)
                with self.assertRaises(self.error("TaskResultDoesNotExist")):
                    self.task_of("echo").get_result(unknown)

    async def test_unknown_result_does_not_exist_asynchronously(self) -> None:
        """TaskResultDoesNotExist from aget_result() too."""
        self.require("supports_get_result")
        with self.assertRaises(self.error("TaskResultDoesNotExist")):
            await self.backend.aget_result("123")

    def test_results_are_not_retrieved_unless_supported(self) -> None:
        """NotImplementedError, or TaskResultDoesNotExist, with supports_get_result = False."""
        if self.backend.supports_get_result:
            self.skipTest("the backend supports get_result")
        with self.assertRaises((NotImplementedError, self.error("TaskResultDoesNotExist"))):
            self.backend.get_result("123")

    def test_result_of_another_task_does_not_match(self) -> None:
        """TaskResultMismatch from get_result() of another task."""
        self.require("supports_get_result")
        result = self.task_of("take_one").enqueue(1)
        with self.assertRaises(self.error("TaskResultMismatch")):
            self.task_of("echo").get_result(result.id)
        self.assertEqual(self.task_of("take_one").using(priority=None).get_result(result.id).id, result.id)

    async def test_result_of_another_task_does_not_match_asynchronously(self) -> None:
        """TaskResultMismatch from aget_result() of another task."""
        self.require("supports_get_result")
        result = await self.task_of("take_one").aenqueue(1)
        with self.assertRaises(self.error("TaskResultMismatch")):
            await self.task_of("echo").aget_result(result.id)

    def test_result_is_not_updated_by_itself(self) -> None:
        """A result tells of the time at which it was retrieved; refresh() makes it that of now."""
        self.require_later()
        result = self.task_of("take_one").enqueue(9)
        earlier = self.backend.get_result(result.id)
        before = dataclasses.asdict(result)
        self.run_tasks()
        self.assertEqual(dataclasses.asdict(result), before)
        with self.assertRaisesMessage(ValueError, "Task has not finished yet"):
            _ = result.return_value
        result.refresh()
        self.assertEqual(result.return_value, 9)
        self.assertEqual(result, self.backend.get_result(result.id))
        self.assertEqual(earlier.status, self.status("READY"))

    def test_failed_result_is_refreshed(self) -> None:
        """refresh() shows the errors, the times and the workers."""
        self.require_later()
        result = self.task_of("fail").enqueue("ValueError", "no")
        self.run_tasks()
        result.refresh()
        with self.assertRaisesMessage(ValueError, "Task failed"):
            _ = result.return_value
        self.assertEqual(len(result.errors), self.failing_attempts)
        self.assertEqual(len(result.worker_ids), self.failing_attempts)
        self.assertIsNotNone(result.finished_at)

    async def test_result_is_refreshed_asynchronously(self) -> None:
        """arefresh() of what has not changed changes nothing."""
        self.require_later()
        result = await self.task_of("take_one").aenqueue(1)
        before = dataclasses.asdict(result)
        await result.arefresh()
        self.assertEqual(dataclasses.asdict(result), before)

    def test_results_are_told_apart(self) -> None:
        """Each id leads to its own result."""
        self.require_later()
        results = [self.task_of("take_one").enqueue(value) for value in range(4)]
        self.run_tasks()
        self.assertEqual([self.backend.get_result(result.id).return_value for result in results], [0, 1, 2, 3])

    def test_attributes_of_a_result_are_constant(self) -> None:
        """A TaskResult cannot be modified."""
        result = self.task_of("take_one").enqueue(1)
        with self.assertRaises(AttributeError):
            result.status = self.status("RUNNING")

    def test_result_can_be_pickled(self) -> None:
        """A TaskResult is equal to its copy from pickle (Django 6.1)."""
        result = self.task_of("take_one").enqueue(1)
        if not hasattr(result.task, "_reconstruct"):
            self.skipTest("tasks can be pickled from Django 6.1 on")
        self.assertEqual(pickle.loads(pickle.dumps(result)), result)  # noqa: S301 - made here

    def test_result_of_a_run_is_complete(self) -> None:
        """A result that was run has its arguments, alias and task as enqueued."""
        self.require_runs(Runs.LATER)
        task = self.task_of("echo").using(queue_name="other")
        result = self.finished(task, 1, b={"c": [2]})
        self.assertEqual((result.args, result.kwargs), ([1], {"b": {"c": [2]}}))
        self.assertEqual((result.task, result.backend), (task, "default"))
