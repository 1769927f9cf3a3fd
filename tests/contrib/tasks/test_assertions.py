"""Enqueued Tasks are found by ``assert_enqueued``."""

from __future__ import annotations

from datetime import timedelta
from types import ModuleType
from unittest import mock

import pytest

from django_jobs.contrib.tasks import with_options
from django_jobs.testing import JobFactory, assert_enqueued, assert_not_enqueued, enqueued, fake_context

pytestmark = pytest.mark.django_db


def test_a_task_is_found_by_itself_its_call_or_its_name(tasks: ModuleType) -> None:
    tasks.add.enqueue(1, other=2)
    add = with_options(tasks.add)
    made = assert_enqueued(tasks.add, count=1)
    assert made.name == tasks.add.module_path
    for job in (add.s(1, 2), add.s(one=1, other=mock.ANY), tasks.add.module_path):
        assert assert_enqueued(job, count=1) == made
    assert assert_enqueued(tasks.add, arguments={"other": 2}) == made
    assert_not_enqueued(add.s(1))
    assert_not_enqueued(tasks.send)


def test_the_options_of_a_task_are_compared(tasks: ModuleType) -> None:
    tasks.add.using(queue_name="mail", priority=5, backend="default").enqueue(1)
    slow = tasks.add.using(queue_name="slow", backend="slow")
    slow.enqueue(2)
    assert [job.arguments["one"] for job in enqueued(tasks.add, queue_name="slow")] == [2]
    assert [job.arguments["one"] for job in enqueued(with_options(slow).s(mock.ANY))] == [2]
    assert enqueued(with_options(tasks.add).using(run_after=timedelta(hours=1)).s(mock.ANY)) == []


def test_a_task_has_a_fake_context_and_rows(tasks: ModuleType) -> None:
    with fake_context(tasks.send) as context:
        assert (context.name, context.queue_name, context.priority) == (tasks.send.module_path, "mail", 7)
    made = JobFactory.create(with_options(tasks.add).s(1, other=2), state="dead")
    assert (made.name, made.arguments) == (tasks.add.module_path, {"one": 1, "other": 2})


def test_the_position_of_an_argument_makes_no_difference(tasks: ModuleType) -> None:
    tasks.echo.enqueue([1, 2], "b", key=(3, 4))
    assert_enqueued(with_options(tasks.echo).s((1, 2), "b", key=[3, mock.ANY]))
