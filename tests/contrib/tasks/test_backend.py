"""Tasks as jobs: what an enqueue stores, what a result tells, what a run does."""

from __future__ import annotations

import pickle
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import wraps
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from django_jobs import Batch, chain, job, schedule
from django_jobs.context import JobContext
from django_jobs.contrib.tasks import JobsBackend, as_job, with_options
from django_jobs.contrib.tasks.ids import result_id
from django_jobs.contrib.tasks.roots import ROOTS, InvalidTask, Root, TaskResultDoesNotExist
from django_jobs.exceptions import ArgumentsError, SerializationError
from django_jobs.models import DeadLetter, Job
from django_jobs.policy.metadata import TASK
from django_jobs.policy.states import State
from django_jobs.store.search.arguments import filter_by_argument
from django_jobs.testing import drain
from django_jobs.uniqueness import Unique
from tests.contrib.tasks.conftest import TASKS

pytestmark = pytest.mark.django_db


@job
def plain(number: int) -> int:
    return number


def ended(result: Any) -> Any:
    """Run everything and return the result as it is then."""
    drain(run_scheduled=True)
    result.refresh()
    return result


def test_each_root_has_its_backend_with_all_that_tasks_may_use(root: Root) -> None:
    backend = root.handler["default"]
    assert isinstance(backend, JobsBackend)
    assert isinstance(backend, root.backend)
    assert backend.task_class is root.job_task
    assert all(
        (backend.supports_defer, backend.supports_async_task, backend.supports_get_result, backend.supports_priority)
    )


def test_a_task_runs_as_a_job(tasks: ModuleType, root: Root) -> None:
    result = tasks.add.enqueue(1, other=2)
    assert (result.status, result.args, result.kwargs) == ("READY", [1], {"other": 2})
    stored = Job.objects.get()
    assert (stored.name, stored.arguments) == (tasks.add.module_path, {"one": 1, "other": 2})
    assert result.pk == stored.pk
    assert ended(result).return_value == 3
    assert result.attempts == 1
    assert tasks.add.get_result(result.id) == result
    if hasattr(root.task, "_reconstruct"):  # the backport has no way to pickle a Task
        assert pickle.loads(pickle.dumps(result)) == result


def test_a_task_is_found_by_the_name_of_an_argument_given_by_position(tasks: ModuleType) -> None:
    first, _ = tasks.add.enqueue(1, 5), tasks.add.enqueue(2, 1)
    found = filter_by_argument(Job.objects.all(), "one", 1)
    assert [job.pk for job in found] == [first.pk]


def test_a_call_by_keywords_stores_nothing_besides(tasks: ModuleType) -> None:
    result = tasks.add.enqueue(one=1)
    assert Job.objects.get().metadata == {}
    assert (result.args, result.kwargs) == ([], {"one": 1})


def test_arguments_come_back_as_they_were_given(tasks: ModuleType) -> None:
    result = tasks.echo.enqueue(1, (2, 3), name={4: None, "$type": "x"}, big=2**70)
    expected = ([1, [2, 3]], {"name": {"4": None, "$type": "x"}, "big": 2**70})
    assert (result.args, result.kwargs) == expected
    assert ended(result).return_value == list(expected)
    assert (result.args, result.kwargs) == expected


@pytest.mark.parametrize(
    "value", [object(), {1, 2}, datetime.now(UTC), float("nan"), [float("inf")], b"\xff", {(1,): 2}]
)
def test_what_json_cannot_carry_is_refused_at_the_enqueue(tasks: ModuleType, value: object) -> None:
    with pytest.raises(TypeError):
        tasks.echo.enqueue(value)
    assert not Job.objects.exists()


def test_a_call_that_does_not_fit_is_dead_at_its_first_attempt(tasks: ModuleType) -> None:
    result = tasks.add.enqueue(1, 2, 3, extra=4)
    assert (result.args, result.kwargs) == ([1, 2, 3], {"extra": 4})
    assert ended(result).status == "FAILED"
    assert result.attempts == 1
    assert issubclass(result.errors[0].exception_class, TypeError)
    assert "too many positional arguments" in result.errors[0].traceback
    assert (result.args, result.kwargs) == ([1, 2, 3], {"extra": 4})


def test_the_context_cannot_be_given_by_its_name(tasks: ModuleType) -> None:
    result = ended(tasks.take_any.enqueue(context=1))
    assert (result.status, result.attempts, result.kwargs) == ("FAILED", 1, {"context": 1})
    assert "'context', which is the context that the worker passes" in result.errors[0].traceback
    assert ended(tasks.take_any.enqueue(job=1, run=2)).return_value == {"job": 1, "run": 2}


@pytest.mark.parametrize(
    ("args", "kwargs", "argument"),
    [((object(), 1), {}, "one"), ((1,), {"other": [object()]}, "other"), ((1, 2, object()), {}, "3")],
)
def test_an_argument_that_json_cannot_carry_is_named(
    tasks: ModuleType, args: tuple[Any, ...], kwargs: dict[str, Any], argument: str
) -> None:
    text = rf"^{re.escape(tasks.add.module_path)}: argument '{argument}': Unsupported type: <class 'object'>$"
    with pytest.raises(TypeError, match=text):
        tasks.add.enqueue(*args, **kwargs)
    with pytest.raises(SerializationError, match=text):
        tasks.add.s(*args, **kwargs).enqueue()


@pytest.mark.parametrize(("kind", "message"), [("nan", "Unsupported value"), ("object", "Unsupported type")])
def test_a_result_that_json_cannot_carry_fails_the_task_once(tasks: ModuleType, kind: str, message: str) -> None:
    result = ended(tasks.give.enqueue(kind))
    assert (result.status, result.attempts) == ("FAILED", 1)
    assert result.errors[0].exception_class is TypeError
    assert message in result.errors[0].traceback
    assert DeadLetter.objects.count() == 1


def test_a_result_is_what_json_makes_of_it(tasks: ModuleType) -> None:
    assert ended(tasks.give.enqueue("tuple")).return_value == [1, {"2": None}]


def test_an_async_task_runs(tasks: ModuleType) -> None:
    assert ended(tasks.add_later.enqueue(1, other=2)).return_value == 3


def test_each_attempt_is_in_the_result(tasks: ModuleType) -> None:
    task = with_options(tasks.fail, max_attempts=3)
    result = ended(task.enqueue("no"))
    assert (result.status, result.attempts, len(set(result.worker_ids))) == ("FAILED", 3, 1)
    assert [error.exception_class for error in result.errors] == [ValueError] * 3
    assert "ValueError: no" in result.errors[0].traceback
    assert result.started_at < result.last_attempted_at <= result.finished_at
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value


def test_a_retry_knows_the_attempt_before(tasks: ModuleType) -> None:
    result = ended(tasks.flaky.enqueue())
    (seen,) = tasks.seen
    assert (seen.status, seen.attempts, len(seen.errors)) == ("RUNNING", 2, 1)
    assert seen.started_at < seen.last_attempted_at
    assert (result.return_value, result.attempts, len(result.errors)) == ("done", 2, 1)
    assert result.started_at == seen.started_at


@pytest.mark.parametrize("name", ["look_later", "flaky"])
def test_the_context_counts_attempts(tasks: ModuleType, name: str) -> None:
    result = ended(getattr(tasks, name).enqueue())
    assert (result.status, result.attempts) == ("SUCCESSFUL", 2), result.errors


def test_the_context_has_result_and_metadata(tasks: ModuleType) -> None:
    result = tasks.look.using(metadata={"by": "me"}).enqueue(save=True)
    assert ended(result).return_value == [1, result.id, result.pk]
    stored = Job.objects.get().metadata
    assert (stored["by"], stored["attempts"]) == ("me", 1)


def test_saving_metadata_keeps_how_the_task_was_called(tasks: ModuleType) -> None:
    task = tasks.look.using(backend="slow", queue_name="slow", run_after=timedelta(hours=1))
    result = ended(task.enqueue(save=True))
    assert Job.objects.get().metadata["attempts"] == 1
    assert TASK not in Job.objects.get().metadata or result.backend == "slow"
    assert result.backend == "slow"


@pytest.mark.parametrize("moment", [timedelta(hours=1), 3600, datetime(2100, 1, 1, tzinfo=UTC)])
def test_the_result_has_the_task_as_it_was_enqueued(tasks: ModuleType, moment: Any) -> None:
    task = tasks.send.using(run_after=moment, priority=-100, queue_name="slow", backend="slow")
    result = task.enqueue()
    expected = moment if isinstance(moment, datetime) else result.enqueued_at + timedelta(hours=1)
    assert Job.objects.get().state == State.SCHEDULED
    for found in (result, ended(result), tasks.send.get_result(result.id)):
        assert (found.task.run_after, found.task.priority) == (expected, -100)
        assert (found.task.queue_name, found.task.backend, found.backend) == ("slow", "slow", "slow")
        assert found.task.func is tasks.send.func


@pytest.mark.parametrize("alias", ["default", "slow"])
def test_the_result_has_the_alias_of_its_enqueue(tasks: ModuleType, alias: str) -> None:
    for task in (tasks.add, tasks.add_slowly):
        assert as_job(task).name == task.module_path  # it is built before those by ``using``, as in a project
        for result in (task.using(backend=alias).enqueue(1), task.using(backend=alias).enqueue(one=1)):
            assert [found.backend for found in (result, ended(result), result.task)] == [alias] * 3


def test_a_result_whose_alias_is_gone_is_of_the_one_of_its_task(tasks: ModuleType, root: Root) -> None:
    assert as_job(tasks.add).options.queue_name == "default"  # it is built before the one by ``using``, as in a project
    result = tasks.add.using(backend="slow").enqueue(1)
    with override_settings(TASKS={"default": TASKS["default"]}):
        found = tasks.add.get_result(result.id)
        assert (found.backend, found.task.backend) == ("default", "default")
        assert ended(found).return_value == 1


def test_ids_of_others_are_refused(tasks: ModuleType, root: Root) -> None:
    backend = root.handler["default"]
    for foreign in ("123", "", "6fa459ea-ee8a-8ca4-894e-db77e160355e", None):
        with CaptureQueriesContext(connection) as queries, pytest.raises(root.does_not_exist):
            backend.get_result(foreign)
        assert not queries.captured_queries


def test_a_plain_job_is_no_result(tasks: ModuleType, root: Root) -> None:

    enqueued = plain.enqueue(1)
    with pytest.raises(TaskResultDoesNotExist):
        root.handler["default"].get_result(result_id(enqueued.pk))


def test_our_exceptions_are_those_of_every_root() -> None:
    for root in ROOTS:
        assert issubclass(InvalidTask, root.invalid_task)
        assert issubclass(TaskResultDoesNotExist, root.does_not_exist)


def test_a_result_takes_two_statements_at_most(tasks: ModuleType, django_assert_num_queries: Any) -> None:
    result = tasks.add.enqueue(1)
    with django_assert_num_queries(1):
        result.refresh()
    drain()
    with django_assert_num_queries(2):
        result.refresh()


def test_a_rolled_back_enqueue_leaves_nothing(tasks: ModuleType) -> None:
    with transaction.atomic():
        result = tasks.add.enqueue(1)
        transaction.set_rollback(True)
    with pytest.raises(TaskResultDoesNotExist):
        result.refresh()


@pytest.mark.parametrize("state", [State.DEAD, State.CANCELLED])
def test_a_job_that_failed_before_it_ran_has_an_error(tasks: ModuleType, state: State) -> None:
    result = tasks.add.enqueue(1)
    Job.objects.filter(pk=result.pk).update(state=state)
    result.refresh()
    assert result.status == "FAILED"
    assert issubclass(result.errors[0].exception_class, Exception)


def test_options_come_from_alias_task_and_settings(tasks: ModuleType) -> None:
    of_one = {tasks.add.module_path: {"max_attempts": 9}}
    options = {"MODULES": ["tests.contrib.tasks"], "max_attempts": 7, "timeout": 60, "TASKS": of_one}
    with override_settings(TASKS={"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "OPTIONS": options}}):
        assert as_job(tasks.add).options.max_attempts == 9
        assert as_job(tasks.echo).options.max_attempts == 7
        task = with_options(tasks.echo, max_attempts=2, timeout=5)
        assert as_job(task).options.max_attempts == 2
        assert as_job(tasks.echo).options.timeout == timedelta(seconds=5)


def test_arguments_can_be_redacted_by_an_option(tasks: ModuleType) -> None:
    assert as_job(tasks.add).options.redact == ()
    for task in (
        with_options(tasks.add, redact=["one"]),
        with_options(tasks.add, redact=["one"], max_attempts=2),
        with_options(tasks.add, redact=["other"]),
    ):
        assert as_job(task).options.redact == tuple(task.options["redact"])
        assert ended(task.using(priority=3).enqueue(1, other=2)).return_value == 3
    assert as_job(with_options(tasks.add, max_attempts=2)).options.redact == ()


def test_the_backoff_of_a_task_is_given_its_result(tasks: ModuleType) -> None:
    given: list[Any] = []

    def backoff(exception: BaseException, task_result: Any) -> int | None:
        given.append((type(exception), task_result.attempts, len(task_result.errors)))
        return None if task_result.attempts == 2 else 0

    result = ended(with_options(tasks.fail, backoff=backoff, max_attempts=5).enqueue("no"))
    assert given == [(ValueError, 1, 0), (ValueError, 2, 1)]
    assert (result.status, result.attempts) == ("FAILED", 2)


def test_a_backoff_of_the_settings_is_given_the_context_of_jobs(tasks: ModuleType) -> None:
    given: list[Any] = []

    def backoff(exception: BaseException, context: Any) -> int:
        given.append(context)
        return 0

    options = {"MODULES": ["tests.contrib.tasks"], "max_attempts": 2}
    with (
        override_settings(
            TASKS={"default": {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "OPTIONS": options}},
            DJANGO_JOBS={"JOB_DEFAULTS": {"backoff": backoff}},
        ),
    ):
        assert ended(tasks.flaky.enqueue()).attempts == 2
    assert [type(context) for context in given] == [JobContext]


@pytest.mark.parametrize(
    "options",
    [{"max_attempt": 3}, {"max_attempts": 0}, {"timeout": "soon"}, {"queue_name": "x"}, {"redact": ["unknown"]}],
)
def test_wrong_options_are_an_invalid_task(tasks: ModuleType, root: Root, options: dict[str, Any]) -> None:
    with pytest.raises(root.invalid_task) as caught:
        with_options(tasks.add, **options)
    assert next(iter(options)) in str(caught.value)


def test_a_schedule_without_the_arguments_is_an_invalid_task(tasks: ModuleType, root: Root) -> None:
    with pytest.raises(root.invalid_task, match="missing a required argument: 'one'"):
        with_options(tasks.add, cron="* * * * *")


@pytest.mark.parametrize("seconds", [0, 0.00001, 1])
def test_a_delay_of_any_length_is_read_back(tasks: ModuleType, seconds: float) -> None:
    result = tasks.add.using(run_after=timedelta(seconds=seconds)).enqueue(1)
    expected = result.enqueued_at + timedelta(seconds=seconds)
    assert [found.task.run_after for found in (result, ended(result))] == [expected] * 2


def test_graphs_batches_and_schedules_take_tasks(tasks: ModuleType) -> None:
    steps = chain(tasks.add.s(1, 2), tasks.add.s(4), plain.s()).enqueue()
    with Batch(on_success=tasks.send) as batch:
        tasks.add.enqueue(1)
    defined = schedule(f"nightly {tasks.__name__}", tasks.add, args={"one": 1}, cron="0 3 * * *")
    assert defined.job.name == tasks.add.module_path
    drain()
    assert steps[-1].refresh().result == 7
    assert batch.progress().done == 1
    assert Job.objects.get(name=tasks.send.module_path).queue_name == "mail"


def test_jobs_and_tasks_wait_for_results(tasks: ModuleType) -> None:
    first = tasks.add.enqueue(1)
    second = tasks.add.after(first).enqueue(2)
    third = plain.after(second).enqueue(3)
    assert (second.status, Job.objects.get(pk=second.pk).state, third.state) == ("READY", State.BLOCKED, State.BLOCKED)
    drain()
    assert third.refresh().state == State.SUCCEEDED


def test_a_job_of_a_task_refuses_what_the_task_would_store(tasks: ModuleType) -> None:
    """The ``enqueue`` of a Task takes calls that do not fit; graphs, schedules and the web refuse them at once."""
    with pytest.raises(ArgumentsError):
        chain(tasks.add.s(1), tasks.add.s(2, 3, 4)).enqueue()
    with pytest.raises(ArgumentsError):
        schedule(f"wrong {tasks.__name__}", tasks.add, args={"two": 1}, every=60)
    with pytest.raises(SerializationError):
        as_job(tasks.echo).enqueue(object())
    assert not Job.objects.exists()


def test_a_call_that_does_not_fit_needs_no_limit_and_no_key(tasks: ModuleType) -> None:
    task = with_options(tasks.add, ordering_key="one", unique=Unique(by=("one",)))
    assert ended(task.enqueue(other=1)).status == "FAILED"


def test_steps_of_a_graph_keep_their_positions(tasks: ModuleType) -> None:
    first, second = chain(tasks.add.s(1, other=2), tasks.add.s(4)).enqueue()
    drain()
    assert tasks.add.get_result(result_id(first.pk)).args == [1]
    assert tasks.add.get_result(result_id(second.pk)).args[1:] == [4]


@pytest.mark.parametrize("moment", [datetime(2100, 1, 1), timedelta(days=10_000), "soon"])  # noqa: DTZ001 - it is naive
def test_a_moment_that_no_job_can_have_is_an_invalid_task(tasks: ModuleType, moment: Any) -> None:
    with pytest.raises(InvalidTask, match="run_after"):
        tasks.add.using(run_after=moment)


def test_a_duplicate_of_a_unique_task_is_the_first_one(tasks: ModuleType, root: Root) -> None:
    sent: list[str] = []

    def receive(task_result: Any, **_: Any) -> None:
        sent.append(task_result.id)

    task = with_options(tasks.add, unique=Unique(by=("one",)))
    root.signals.task_enqueued.connect(receive)
    try:
        first, second = task.enqueue(1, other=2), task.enqueue(1, other=3)
    finally:
        root.signals.task_enqueued.disconnect(receive)
    assert (second.id, second.kwargs, sent) == (first.id, {"other": 2}, [first.id])


def test_an_idempotency_key_and_other_options_can_be_given_to_using(tasks: ModuleType) -> None:
    task = tasks.add.using(idempotency_key="one", max_attempts=2)
    assert task.enqueue(1).id == task.enqueue(1).id
    assert Job.objects.get().max_attempts == 2
    with pytest.raises(InvalidTask, match="idempotency_kez"):
        tasks.add.using(idempotency_kez="one")


class NoReplica:
    """A router of a project that reads from a replica, which has no jobs."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return "replica"


def test_results_are_read_from_the_jobs_database(tasks: ModuleType) -> None:
    result = ended(tasks.add.enqueue(1))
    with override_settings(DATABASE_ROUTERS=[NoReplica()]):
        assert tasks.add.get_result(result.id) == result


def test_tasks_are_used_in_async_code(tasks: ModuleType) -> None:
    async def use() -> None:
        result = await tasks.add.aenqueue(1, other=2)
        await sync_to_async(drain)()
        await result.arefresh()
        assert (result.return_value, await tasks.add.aget_result(result.id)) == (3, result)

    async_to_sync(use)()


def test_a_row_that_was_edited_by_hand_still_has_a_result(tasks: ModuleType) -> None:
    result = tasks.add.enqueue(1)
    Job.objects.filter(pk=result.pk).update(arguments=[1], metadata="text")
    result = tasks.add.get_result(result.id)
    assert (result.status, result.args, result.kwargs) == ("READY", [], {})


@pytest.mark.parametrize(
    "call",
    [
        5,
        {"alias": 5},
        {"args": 5},
        {"args": [1, {}, "one"]},
        {"run_after": "soon"},
        {"run_after": [1]},
        {"run_after": 1e300},
        {"$type": "nothing"},
    ],
)
def test_a_call_that_was_edited_by_hand_still_has_a_result(tasks: ModuleType, call: Any) -> None:
    result = tasks.add.enqueue(1)
    Job.objects.filter(pk=result.pk).update(metadata={TASK: call})
    result = tasks.add.get_result(result.id)
    assert (result.backend, [*result.args, *result.kwargs.values()], result.task.run_after) == ("default", [1], None)


@pytest.mark.parametrize("arguments", [{"*": 5}, {"**": 5}])
def test_surplus_arguments_that_were_edited_by_hand_still_have_a_result(tasks: ModuleType, arguments: Any) -> None:
    result = tasks.echo.enqueue(1)
    Job.objects.filter(pk=result.pk).update(arguments=arguments)
    result = tasks.echo.get_result(result.id)
    assert (result.args, result.kwargs) == ([], {})


def test_the_newest_task_of_a_function_says_whether_it_takes_a_context(tasks: ModuleType, root: Root) -> None:
    assert as_job(tasks.look).options.takes_context
    assert not as_job(replace(tasks.look, takes_context=False)).options.takes_context
    assert as_job(tasks.look).options.takes_context
    with pytest.raises(TypeError, match="missing keyword argument"):
        root.job_task(queue_name="mail")


def test_a_copy_by_staff_is_a_task_again(tasks: ModuleType) -> None:
    ended(tasks.add.enqueue(1, other=2))
    (copied,) = Job.objects.all().replay()
    copy = tasks.add.get_result(result_id(copied))
    assert (copy.status, copy.args, copy.kwargs) == ("READY", [1], {"other": 2})


def test_a_task_of_a_wrapper_takes_the_place_of_the_tasks_of_its_function(tasks: ModuleType) -> None:
    """As the monitors of Sentry that django-crontask puts around a Task, and a decorator below ``@cron``."""

    @wraps(tasks.add.func)
    def outer(one: int, other: int = 0) -> int:
        return 100 + int(tasks.add.func(one, other))

    assert ended(tasks.add.enqueue(1, other=2)).return_value == 3
    wrapped = replace(tasks.add, func=outer)
    assert ended(wrapped.enqueue(1, other=2)).return_value == 103
    assert ended(tasks.add.enqueue(1, other=2)).return_value == 103


def test_a_task_of_another_function_of_the_same_name_is_refused(tasks: ModuleType) -> None:
    def add(one: int, other: int = 0) -> int:
        return one

    add.__module__, add.__qualname__ = tasks.add.func.__module__, tasks.add.func.__qualname__
    tasks.add.enqueue(1)
    with pytest.raises(InvalidTask, match="two jobs are named"):
        replace(tasks.add, func=add)


@pytest.mark.parametrize("queue_name", ["fast,slow", "x" * 101, " "])
def test_a_queue_that_no_job_can_have_is_an_invalid_task(tasks: ModuleType, queue_name: str) -> None:
    with pytest.raises(InvalidTask, match="queue_name"):
        tasks.add.using(queue_name=queue_name)
