"""``run_job()``: one run by the engine, without the queue."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

from django_jobs import Retry, Snooze, current_job, job, signals
from django_jobs.context import JobContext
from django_jobs.exceptions import ArgumentsError, ConfigurationError, JobTimeoutError, SerializationError
from django_jobs.limits import Concurrency
from django_jobs.models import Attempt, DeadLetter, Job, JobLog, Permit
from django_jobs.operations import pause
from django_jobs.testing import arun_job, run_job
from django_jobs.uniqueness import Unique
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer, Document

called: list[str] = []


@job(name="run_job.described", takes_context=True, max_attempts=3)
def described(context: JobContext, value: Any) -> Any:
    current_job().set_progress(1, 2, "half way")
    current_job().log("here")
    row = Job.objects.get(pk=context.job_id)
    return [value, context.attempt, context.max_attempts, context.queue_name, context.metadata, row.progress_done]


@job(name="run_job.raising", max_attempts=3)
def raising(error: str) -> None:
    Customer.objects.create(name="before")
    if error == "retry":
        raise Retry(timedelta(minutes=1))
    if error == "snooze":
        raise Snooze(60)
    raise LookupError(error)


@job(name="run_job.atomic", atomic=True, max_attempts=2)
def atomic(fails: bool) -> bool:
    Customer.objects.create(name="atomic")
    transaction.on_commit(partial(called.append, "callback"))
    if fails:
        raise LookupError("atomic")
    return connection.in_atomic_block


@job(name="run_job.with_callback")
def with_callback() -> str:
    transaction.on_commit(partial(_fail, "of a callback"))
    return "done"


@job(name="run_job.restricted", concurrency=Concurrency(1, key="customer"), unique=Unique(), expires=60)
def restricted(customer: str) -> str:
    return customer


@job(name="run_job.endless", timeout=0.05)
async def endless() -> None:
    import asyncio

    await asyncio.Event().wait()


@job(name="run_job.parent")
def parent() -> None:
    sample.add.enqueue(1)


def _fail(text: str) -> None:
    raise LookupError(text)


class TestRunJob(TestCase):
    """One run of a call."""

    def test_it_returns_what_json_makes_of_the_result(self) -> None:
        assert run_job(described.using(queue_name="mail", metadata={"a": 1}).s((1, {"b": (2,)})), attempt=2) == [
            [1, {"b": [2]}], 2, 3, "mail", {"a": 1}, 1,
        ]  # fmt: skip

    def test_arguments_are_checked_as_at_the_enqueue(self) -> None:
        with pytest.raises(SerializationError, match=r"run_job.described: argument 'value'"):
            run_job(described.s(object()))
        with pytest.raises(ArgumentsError):
            run_job(sample.add.s())

    def test_it_raises_what_the_function_raises(self) -> None:
        with pytest.raises(LookupError, match="broken") as caught:
            run_job(raising.s("broken"), attempt=3)
        assert caught.traceback[-1].name == "raising"
        with pytest.raises(Retry):
            run_job(raising.s("retry"))
        with pytest.raises(Snooze):
            run_job(raising.s("snooze"))
        assert Customer.objects.count() == 3

    def test_it_raises_what_a_callback_raises(self) -> None:
        with pytest.raises(LookupError, match="of a callback"):
            run_job(with_callback.s())

    def test_a_job_is_atomic_and_timed_out_as_in_a_worker(self) -> None:
        called.clear()
        with pytest.raises(LookupError, match="atomic"):
            run_job(atomic.s(True))
        assert (Customer.objects.count(), called) == (0, [])
        assert run_job(atomic.s(False)) is True
        assert (Customer.objects.count(), called) == (1, ["callback"])
        with pytest.raises(JobTimeoutError):
            run_job(endless.s())

    def test_nothing_but_its_work_is_left(self) -> None:
        heard = []
        signals.job_enqueued.connect(heard.append, weak=False, dispatch_uid="test")
        self.addCleanup(signals.job_enqueued.disconnect, dispatch_uid="test")
        run_job(described.s(1))
        with pytest.raises(LookupError):
            run_job(raising.using(max_attempts=1).s("broken"))
        assert heard == []
        for model in (Job, Attempt, DeadLetter, JobLog):
            assert not model.objects.exists(), model

    def test_what_it_enqueues_waits(self) -> None:
        run_job(parent.s())
        assert [(job.name, job.state) for job in Job.objects.all()] == [(sample.add.name, "ready")]

    def test_queue_limits_and_keys_do_not_count(self) -> None:
        first = restricted.enqueue("ada")
        pause(first.queue_name)
        assert run_job(restricted.s("ada")) == "ada"
        assert run_job(restricted.using(run_after=timedelta(days=1), expires_at=timedelta(days=2)).s("ada")) == "ada"
        assert Permit.objects.count() == 1
        assert first.refresh().state == "blocked"

    def test_an_instance_is_read_anew(self) -> None:
        document = Document.objects.create(title="before")
        Document.objects.update(title="after")
        result = run_job(sample.echo.s(document))
        assert (result, result.title) == (document, "after")

    def test_wrong_calls_are_refused(self) -> None:
        with pytest.raises(TypeError, match=r"expected a call such as send_welcome.s\(7\), got <job "):
            run_job(sample.add)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"expected 1 to 3, the attempts of run_job.raising, got 4"):
            run_job(raising.s("a"), attempt=4)
        with pytest.raises(ConfigurationError, match=r"expected 1 to 3, .*, got '2'"):
            run_job(raising.s("a"), attempt="2")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"waits for no others"):
            run_job(sample.add.after(sample.add.enqueue(1)).s(1))

    async def test_in_an_async_test(self) -> None:
        assert await arun_job(sample.echo_async.s("async")) == "async"


@pytest.mark.django_db(transaction=True)
def test_without_a_transaction_of_the_test() -> None:
    assert run_job(atomic.s(False)) is True
    assert not Job.objects.exists()
