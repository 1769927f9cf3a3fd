"""The connection breaks between COMMIT and the engine's callbacks: what the caller did is committed, and no error."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

import django_jobs
from django_jobs import Batch, operations, signals
from django_jobs.models import Batch as BatchRow
from django_jobs.models import CronSchedule, Job
from django_jobs.policy.states import State
from django_jobs.store import notify, transactions
from tests import factories
from tests.sampleapp import jobs as sample
from tests.sources import parse

pytestmark = pytest.mark.django_db(transaction=True)


def _enqueue() -> None:
    sample.echo.enqueue("kept")


def _enqueue_many() -> None:
    sample.echo.enqueue_many([("kept",)] * 3)


def _batch() -> None:
    with Batch(on_success=sample.named.s(1)):
        sample.echo.enqueue("kept")


def _cancel() -> None:
    operations.cancel(Job.objects.all())


def _cancel_batch() -> None:
    operations.cancel_batch(BatchRow.objects.get().pk)


def _replay() -> None:
    operations.replay(Job.objects.all())


def _resume() -> None:
    operations.resume("default")


def _pause_schedule() -> None:
    operations.pause_schedule(CronSchedule.objects.get())


OPERATIONS = [_enqueue, _enqueue_many, _batch, _cancel, _cancel_batch, _replay, _resume, _pause_schedule]


@pytest.fixture(autouse=True)
def _ready(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have something for each operation to act on, receivers for all signals, and no notification left out."""

    def hear(**_: Any) -> None:
        Job.objects.count()

    with Batch():
        sample.echo.enqueue("before")
    factories.make_schedule(next_due_at=factories.ago(hours=-1))
    operations.pause("default")
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0.0)
    for signal in (signals.job_enqueued, signals.job_cancelled):
        signal.connect(hear)
    yield
    for signal in (signals.job_enqueued, signals.job_cancelled):
        signal.disconnect(hear)


def _lose_connection() -> None:
    """Cut the driver's connection behind Django's back."""
    connection.connection.close()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_a_connection_lost_after_the_commit_is_no_error_of_the_caller(operation: Callable[[], None]) -> None:
    called: list[str] = []
    try:
        with transaction.atomic():
            transaction.on_commit(_lose_connection)
            operation()
            transaction.on_commit(lambda: called.append("the caller's own callback"))
    finally:
        connection.connection = None  # it is closed, and closing it again is an error of some drivers
    assert called == ["the caller's own callback"]


def test_what_fails_after_a_commit_is_said_and_committed(caplog: pytest.LogCaptureFixture) -> None:
    def fail(number: int) -> None:
        raise ZeroDivisionError(number)

    with transaction.atomic():
        job = sample.echo.enqueue("kept")
        transactions.after_commit(partial(fail, 7), using="default")
    transactions.after_commit(partial(fail, 8), using="default")
    assert job.refresh().state == State.READY
    said = [record.message for record in caplog.records if record.name == "django_jobs.store"]
    assert len(said) == 2
    assert "fail failed after a commit on 'default'; workers make up for it" in said[0]


def test_nobody_else_registers_callbacks() -> None:
    """``after_commit`` is where a partial, or an error, is made harmless.

    A drained run hands on what a job gives, and Celery's ``delay_on_commit`` raises what its enqueue raises.
    """
    package = Path(django_jobs.__file__).parent
    calls = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute | ast.Name)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id) == "on_commit"
    ]
    assert [call.partition(":")[0] for call in sorted(calls)] == [
        "contrib/celery/task.py", "store/transactions.py", "testing/autocommit.py",
    ]  # fmt: skip
