"""The signals of Tasks: which is sent when, and what its result knows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from django.db import transaction
from django.test import override_settings
from django.utils.connection import ConnectionDoesNotExist
from django.utils.log import CallbackFilter, RequireDebugTrue

from django_jobs import registry, signals
from django_jobs.contrib.tasks import JobsBackend, with_options
from django_jobs.contrib.tasks.logging_handlers import is_heard
from django_jobs.contrib.tasks.roots import Root
from django_jobs.models import Job, Worker
from django_jobs.observers import observers
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.rescue import rescue
from django_jobs.store.lifecycle.signals import announce_ends
from django_jobs.testing import drain
from django_jobs.worker.execution.log_capture import JobLogHandler
from tests.factories import RULES, ended, make_worker, take

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver:
    """Keeps ``(signal, status, attempts, errors)`` of each result, and the results."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int, int]] = []
        self.results: list[Any] = []

    def connect(self, root: Root) -> Iterator[None]:
        receivers = {name: self._receiver(name) for name in ("enqueued", "started", "finished")}
        for name, receiver in receivers.items():
            getattr(root.signals, f"task_{name}").connect(receiver)
        yield
        for name, receiver in receivers.items():
            getattr(root.signals, f"task_{name}").disconnect(receiver)

    def _receiver(self, name: str) -> Any:
        def receive(sender: type, task_result: Any, **_: Any) -> None:
            assert sender is JobsBackend
            self.heard.append((name, str(task_result.status), task_result.attempts, len(task_result.errors)))
            self.results.append(task_result)
            raise ZeroDivisionError("a receiver's own bug")

        return receive


@pytest.fixture
def receiver(root: Root) -> Iterator[Receiver]:
    found = Receiver()
    yield from (found for _ in found.connect(root))


def test_a_success_sends_three_signals_with_the_result_as_it_is_then(tasks: ModuleType, receiver: Receiver) -> None:
    result = tasks.add.enqueue(1, other=2)
    drain()
    assert receiver.heard == [
        ("enqueued", "READY", 0, 0),
        ("started", "RUNNING", 1, 0),
        ("finished", "SUCCESSFUL", 1, 0),
    ]
    result.refresh()
    assert receiver.results[-1] == result
    assert receiver.results[-1].return_value == 3


def test_a_task_that_is_tried_again_finishes_once(tasks: ModuleType, receiver: Receiver) -> None:
    result = with_options(tasks.fail, max_attempts=2).enqueue("no")
    drain(run_scheduled=True)
    assert receiver.heard[1:] == [
        ("started", "RUNNING", 1, 0),
        ("started", "RUNNING", 2, 1),
        ("finished", "FAILED", 2, 2),
    ]
    result.refresh()
    assert receiver.results[-1] == result


def test_an_async_task_sends_them_too(tasks: ModuleType, receiver: Receiver) -> None:
    tasks.look_later.enqueue()
    drain(run_scheduled=True)
    assert [name for name, *_ in receiver.heard] == ["enqueued", "started", "started", "finished"]


def test_a_cancelled_task_has_finished(tasks: ModuleType, receiver: Receiver) -> None:
    result = tasks.add.enqueue(1)
    Job.objects.get().cancel()
    assert receiver.heard[1:] == [("finished", "FAILED", 0, 1)]
    result.refresh()
    assert receiver.results[-1] == result


def test_a_task_that_was_cancelled_where_nobody_knew_it_has_finished(tasks: ModuleType, receiver: Receiver) -> None:
    tasks.add.enqueue(1)
    registry._definitions.pop(tasks.add.module_path)
    observers.clear()
    Job.objects.get().cancel()
    assert receiver.heard[1:] == [("finished", "FAILED", 0, 1)]


def test_a_task_finishes_once_if_the_jobs_cannot_be_read_at_first(
    tasks: ModuleType, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tasks.add.enqueue(1)
    worker = make_worker()
    batch = [ended(claim, SUCCEEDED) for claim in take(worker)]
    finish(batch, worker_id=worker.pk)

    def listen(**_: Any) -> None:
        raise SystemExit

    signals.job_succeeded.connect(listen)
    try:
        with monkeypatch.context() as patch:
            patch.setattr("django_jobs.store.lifecycle.signals.open_dialect", lambda using: ("", _NoDatabase))
            with pytest.raises(ConnectionDoesNotExist):
                announce_ends(batch, worker_id=worker.pk)
        announce_ends(batch, worker_id=worker.pk)
    finally:
        signals.job_succeeded.disconnect(listen)
    assert receiver.heard[1:] == [("finished", "SUCCESSFUL", 1, 0)]
    assert "has a signal whose receiver exited" in caplog.text


class _NoDatabase:
    alias = "nowhere"


def test_a_task_whose_workers_died_has_finished(tasks: ModuleType, receiver: Receiver) -> None:
    result = tasks.add.enqueue(1)
    Job.objects.update(worker_deaths=RULES.max_worker_deaths - 1)
    worker = make_worker(state=Worker.State.LOST)
    take(worker=worker)
    rescue(rules=RULES)
    assert receiver.heard[1:] == [("finished", "FAILED", 1, 1)]
    result.refresh()
    assert receiver.results[-1] == result
    assert receiver.results[-1].args == [1]


def test_a_rolled_back_run_of_an_atomic_task_reports_its_failure(tasks: ModuleType, receiver: Receiver) -> None:
    with_options(tasks.fail, atomic=True, max_attempts=1).enqueue("no")
    drain()
    assert receiver.heard[1:] == [("started", "RUNNING", 1, 0), ("finished", "FAILED", 1, 1)]


def test_the_enqueue_is_told_inside_the_transaction(tasks: ModuleType, receiver: Receiver) -> None:
    with transaction.atomic():
        tasks.add.enqueue(1)
        assert [name for name, *_ in receiver.heard] == ["enqueued"]


def test_without_receivers_no_result_is_made(
    tasks: ModuleType, root: Root, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from django_jobs.contrib.tasks.results import TaskResults

    caplog.set_level(logging.WARNING, logger=root.signals.logger.name)
    made: list[str] = []
    for signal in (root.signals.task_started, root.signals.task_finished):
        # Any app of the project may have connected one when it was imported.
        own = [one for one in signal.receivers if one[0][0] in root.own_receivers]
        monkeypatch.setattr(signal, "receivers", own)
    for name in ("at_start", "at_end"):
        monkeypatch.setattr(TaskResults, name, lambda *_, name=name, **__: made.append(name))
    tasks.add.enqueue(1)
    drain()
    assert made == []


@pytest.mark.parametrize(
    ("level", "handler_level", "filters", "debug", "heard"),
    [
        (logging.WARNING, logging.NOTSET, [], False, False),
        (logging.INFO, logging.ERROR, [], False, False),
        (logging.INFO, logging.INFO, [], False, True),
        (logging.INFO, logging.INFO, [RequireDebugTrue()], False, False),
        (logging.INFO, logging.INFO, [RequireDebugTrue()], True, True),
        (logging.INFO, logging.INFO, [CallbackFilter(lambda record: False)], False, True),
    ],
)
@pytest.mark.parametrize("name", ["test_is_heard", "test_is_heard.below"])
def test_a_record_is_heard_if_a_handler_may_take_it(
    level: int, handler_level: int, filters: list[logging.Filter], debug: bool, heard: bool, name: str
) -> None:
    above, logger, handler = logging.getLogger("test_is_heard"), logging.getLogger(name), logging.StreamHandler()
    handler.setLevel(handler_level)
    for one in filters:
        handler.addFilter(one)
    above.handlers, above.propagate = [handler, JobLogHandler()], False
    above.setLevel(level)
    with override_settings(DEBUG=debug):
        assert is_heard(logger, logging.INFO) is heard
