"""``jobs import-django-tasks-db``: rows of django-tasks-db become jobs, each once, and are found by their old ids."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import modify_settings, override_settings
from django.utils import timezone

from django_jobs.contrib.tasks.conformance import functions
from django_jobs.contrib.tasks.importing import import_waiting_tasks
from django_jobs.contrib.tasks.old_ids import find_imported
from django_jobs.models import EnqueueKey, Job
from django_jobs.signals import job_enqueued
from django_jobs.testing import drain
from tests.concurrency import elsewhere, run_together

from .memory import PACKAGE, exceptions, tasks

pytestmark = pytest.mark.django_db(transaction=True)

OURS = {"BACKEND": "django_jobs.contrib.tasks.JobsBackend", "QUEUES": []}


@pytest.fixture(autouse=True)
def _tasks() -> Iterator[None]:
    with override_settings(TASKS={"default": OURS, "second": OURS}):
        functions.bind(PACKAGE, "default")
        yield


@pytest.fixture
def model(_tasks: None) -> Iterator[Any]:
    """The model of django-tasks-db, with its table as its newest migration leaves it."""
    with modify_settings(INSTALLED_APPS={"append": "django_tasks_db"}):
        found = apps.get_model("django_tasks_database", "DBTaskResult")
        with connection.schema_editor() as editor:
            editor.create_model(found)
        try:
            yield found
        finally:
            if admin.site.is_registered(found):  # as their app did when it was installed
                admin.site.unregister(found)
            with connection.schema_editor() as editor:
                editor.delete_model(found)


def waiting(model: Any, function: str = "take_one", *args: Any, **values: Any) -> Any:
    """Make a row as their backend does."""
    given = {"args": list(args or (1,)), "kwargs": values.pop("kwargs", {})}
    defaults = {"queue_name": "default", "backend_name": "default", "run_after": None, "priority": 0}
    path = f"{functions.__name__}.{function}"
    return model.objects.create(task_path=path, args_kwargs=given, **{**defaults, **values})


def jobs_command(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", "import-django-tasks-db", *arguments, stdout=out)
    return out.getvalue()


def test_waiting_task_becomes_a_job(model: Any) -> None:
    instant = timezone.now() + timedelta(hours=1)
    row = waiting(
        model,
        "echo",
        1,
        [2],
        kwargs={"a": {"b": 3}},
        queue_name="mail",
        backend_name="second",
        priority=5,
        run_after=instant,
    )

    assert import_waiting_tasks().moved == 1

    assert not model.objects.exists()
    result = tasks.task_backends["default"].get_result(str(row.pk))
    assert (result.args, result.kwargs) == ([1, [2]], {"a": {"b": 3}})
    assert (result.task.queue_name, result.task.priority, result.backend) == ("mail", 5, "second")
    assert (result.status.name, result.task.run_after) == ("READY", instant)
    assert result.task.func == functions.echo.func  # type: ignore[attr-defined] - a Task


def test_imported_task_is_run_and_found_by_both_ids(model: Any) -> None:
    row = waiting(model, "take_one", 7)
    import_waiting_tasks()

    drain()

    backend = tasks.task_backends["default"]
    result = backend.get_result(row.pk.hex)
    assert result.return_value == 7
    assert backend.get_result(result.id) == result
    with pytest.raises(exceptions.TaskResultMismatch):
        functions.echo.get_result(str(row.pk))  # type: ignore[attr-defined] - a Task


def test_what_has_started_or_ended_stays(model: Any) -> None:
    rows = [waiting(model, status=status) for status in ("RUNNING", "FAILED", "SUCCESSFUL")]

    assert import_waiting_tasks().moved == 0

    assert set(model.objects.values_list("pk", flat=True)) == {row.pk for row in rows}
    assert find_imported(str(rows[0].pk)) is None


def test_task_without_code_stays_and_is_told(model: Any) -> None:
    rows = [waiting(model, "gone"), waiting(model, "gone"), waiting(model, "ERRORS"), waiting(model)]

    said = jobs_command()

    assert "1 task moved" in said
    assert f"2 left: {functions.__name__}.gone" in said
    assert f"1 left: {functions.__name__}.ERRORS" in said
    assert set(model.objects.values_list("pk", flat=True)) == {row.pk for row in rows[:3]}
    assert Job.objects.count() == 1


def test_task_whose_call_does_not_fit_is_moved_and_fails(model: Any) -> None:
    row, other = waiting(model, "take_one", 1, 2, 3), waiting(model)

    assert import_waiting_tasks().moved == 2

    drain()
    results = [tasks.task_backends["default"].get_result(str(one.pk)) for one in (row, other)]
    assert [(result.status.name, result.args) for result in results] == [("FAILED", [1, 2, 3]), ("SUCCESSFUL", [1])]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"queue_name": "mail,news"}, id="queue"),
        pytest.param({"args_kwargs": {"args": ["x" * 2_000_000], "kwargs": {}}}, id="size"),
        pytest.param({"args_kwargs": {}}, id="form"),
    ],
)
def test_task_that_cannot_be_a_job_stays_alone(model: Any, values: Any, caplog: pytest.LogCaptureFixture) -> None:
    bad, other = waiting(model), waiting(model)
    model.objects.filter(pk=bad.pk).update(**values)

    imported = import_waiting_tasks()

    assert (imported.moved, sum(imported.left.values())) == (1, 1)
    assert [row.pk for row in model.objects.all()] == [bad.pk]
    assert find_imported(str(other.pk)) is not None
    assert f"task {bad.pk} of django-tasks-db cannot be a job and stays there: " in caplog.text


def test_alias_that_is_gone_is_that_of_the_task(model: Any) -> None:
    row = waiting(model, backend_name="database")

    import_waiting_tasks()

    assert tasks.task_backends["default"].get_result(str(row.pk)).backend == "default"


def test_dry_run_counts_and_changes_nothing(model: Any) -> None:
    waiting(model)
    waiting(model, "gone")

    said = json.loads(jobs_command("--dry-run", "--json"))

    assert said == {"moved": 1, "left": {f"{functions.__name__}.gone": 1}, "dry_run": True}
    assert "1 task would be moved" in jobs_command("--dry-run")
    assert (model.objects.count(), Job.objects.count()) == (2, 0)


def test_all_batches_are_moved_in_the_order_of_the_enqueue(model: Any) -> None:
    rows = [waiting(model, "take_one", number) for number in range(205)]
    del rows

    assert import_waiting_tasks().moved == 205

    found = list(Job.objects.order_by("pk").values_list("arguments__value", flat=True))
    assert found == list(range(205))


def test_two_imports_at_once_move_each_task_once(model: Any) -> None:
    rows = [waiting(model, "take_one", number) for number in range(150)]

    first, second = run_together(import_waiting_tasks, import_waiting_tasks)

    assert first.moved + second.moved == len(rows)
    assert Job.objects.count() == EnqueueKey.objects.count() == len(rows)
    assert not model.objects.exists()


def claim(model: Any, pk: uuid.UUID) -> None:
    """Lock and claim a row, as ``db_worker`` does."""
    row = model.objects.select_for_update(skip_locked=True).get(pk=pk)
    row.claim("a worker")


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_task_that_a_db_worker_is_claiming_stays(model: Any) -> None:
    claimed, free = waiting(model), waiting(model)

    with elsewhere(lambda: claim(model, claimed.pk)):
        assert import_waiting_tasks().moved == 1

    assert [row.pk for row in model.objects.all()] == [claimed.pk]
    assert find_imported(str(free.pk)) is not None


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_task_that_is_let_go_while_others_are_moved_is_moved_too(model: Any) -> None:
    first, _second = waiting(model), waiting(model)
    with ExitStack() as holder:
        holder.enter_context(elsewhere(lambda: claim(model, first.pk)))

        def let_go(**_: Any) -> None:
            holder.close()

        job_enqueued.connect(let_go)
        try:
            assert import_waiting_tasks().moved == 2
        finally:
            job_enqueued.disconnect(let_go)

    assert not model.objects.exists()


def test_task_whose_job_was_committed_before_a_crash_is_not_moved_twice(model: Any) -> None:
    row = waiting(model)
    import_waiting_tasks()
    model.objects.create(
        **{field.attname: getattr(row, field.attname) for field in model._meta.fields if field.attname != "enqueued_at"}
    )

    assert import_waiting_tasks().moved == 0

    assert not model.objects.exists()
    assert Job.objects.count() == 1


def test_rolled_back_import_leaves_all(model: Any) -> None:
    waiting(model)

    with transaction.atomic():
        import_waiting_tasks()
        transaction.set_rollback(True)

    assert (model.objects.count(), Job.objects.count(), EnqueueKey.objects.count()) == (1, 0, 0)


def test_without_their_app_the_command_says_so() -> None:
    with pytest.raises(CommandError, match="expected 'django_tasks_db' in INSTALLED_APPS"):
        jobs_command()


def test_unknown_uuid_is_no_result() -> None:
    assert find_imported(str(uuid.uuid4())) is None
    assert find_imported("123") is None
