"""What a run does to the database, and gives to on_commit, ends with the run, inside the transactions of a test."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.test import TestCase, TransactionTestCase

from django_jobs import Snooze, current_job, job, signals
from django_jobs.models import Job, JobLog
from django_jobs.policy.states import State
from django_jobs.testing import drain, drained
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer, Document

KEY = "00000000-0000-0000-0000-000000000007"
called: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_called() -> None:
    called.clear()


def _insert(title: str) -> None:
    Document.objects.create(id=KEY, title=title)


def _insert_twice() -> None:
    sample.add.enqueue(1)
    transaction.on_commit(partial(called.append, "of the block"))
    _insert("first")
    _insert("second")


@job(name="unit.duplicate", max_attempts=1)
def duplicate() -> None:
    Customer.objects.create(name="before")
    transaction.on_commit(partial(called.append, "at once"))
    _insert("first")
    _insert("second")


@job(name="unit.duplicate_at_the_driver", max_attempts=1)
def duplicate_at_the_driver() -> None:
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute("INSERT INTO sampleapp_document (id, title) VALUES (%s, '')", [KEY.replace("-", "")])


@job(name="unit.caught", max_attempts=1)
def caught() -> str:
    Customer.objects.create(name="before")
    _insert("first")
    try:
        _insert("second")
    except IntegrityError:
        return "done"
    return "not unique"


@job(name="unit.handled")
def handled() -> str:
    Customer.objects.create(name="before")
    _insert("first")
    try:
        with transaction.atomic():
            _insert("second")
    except IntegrityError:
        return "done"
    return "not unique"


@job(name="unit.unfinished")
def unfinished(step: str) -> None:
    Customer.objects.create(name=step)
    transaction.on_commit(partial(called.append, step))
    if step == "fail":
        raise ValueError(step)
    if step == "snooze":
        raise Snooze(60)


@job(name="unit.left_open")
def left_open() -> None:
    Customer.objects.create(name="kept")
    transaction.atomic().__enter__()
    Customer.objects.create(name="left open")


@job(name="unit.rolled_back")
def rolled_back() -> None:
    with transaction.atomic():
        Customer.objects.create(name="taken back")
        transaction.on_commit(partial(called.append, "taken back"))
        transaction.set_rollback(True)


@job(name="unit.durable")
def durable() -> None:
    with transaction.atomic(durable=True):
        Customer.objects.create(name="durable")


@job(name="unit.closing")
def closing() -> int:
    connections.close_all()
    connection.close()
    return Customer.objects.count()


@job(name="unit.reporting", max_attempts=1)
def reporting() -> None:
    current_job().set_progress(1, 2, "half")
    current_job().log("so far")
    _insert("first")
    _insert("second")


def _nested(depth: int) -> None:
    called.append(depth)
    if depth:
        transaction.on_commit(partial(_nested, depth - 1))


@job(name="unit.callbacks")
def callbacks() -> None:
    with transaction.atomic():
        with transaction.atomic():
            transaction.on_commit(partial(_nested, 2))
        transaction.on_commit(partial(called.append, "last"))
        called.append("in the block")
    called.append("behind the block")


def _note_job(place: str) -> None:
    called.append((place, current_job().job_id))


@job(name="unit.in_context")
def in_context() -> None:
    transaction.on_commit(partial(_note_job, "at once"))
    with transaction.atomic():
        transaction.on_commit(partial(_note_job, "of a block"))


@job(name="unit.without_savepoint")
def without_savepoint() -> None:
    with transaction.atomic(savepoint=False):
        transaction.on_commit(partial(called.append, "of a deletion"))
    transaction.on_commit(partial(called.append, "last"))


def _fail() -> None:
    Customer.objects.create(name="by a callback")
    _insert("of a callback")
    _insert("once more")


@job(name="unit.robust")
def robust() -> None:
    transaction.on_commit(_fail, robust=True)
    transaction.on_commit(partial(called.append, "behind"))


@job(name="unit.failing_callback", max_attempts=1)
def failing_callback(place: str) -> str:
    Customer.objects.create(name=place)
    with transaction.atomic() if place == "of a block" else nullcontext():
        transaction.on_commit(_fail)
        transaction.on_commit(partial(called.append, "behind"))
    return "done"


@job(name="unit.failing_callback_of_atomic", max_attempts=1, atomic=True)
def failing_callback_of_atomic() -> str:
    Customer.objects.create(name="atomic")
    transaction.on_commit(_fail)
    return "done"


@job(name="unit.enqueueing")
def enqueueing() -> None:
    transaction.on_commit(partial(sample.echo.enqueue, "by a callback"))
    sample.echo.enqueue("by the function")


def _names() -> set[str]:
    return set(Customer.objects.values_list("name", flat=True))


class TestSavepoints(TestCase):
    """A run breaks neither the test's transaction nor the next run."""

    def test_a_database_error_is_the_jobs_failure_and_no_more(self) -> None:
        broken, next_one = duplicate.enqueue(), sample.add.enqueue(40, 2)
        result = drain()
        assert [type(error) for error in result.errors] == [IntegrityError]
        assert (broken.refresh().state, next_one.refresh().result) == (State.DEAD, 42)
        assert "IntegrityError" in (broken.error or "")
        assert (_names(), called) == (set(), ["at once"])

    def test_an_error_that_django_does_not_notice_is_the_jobs_failure(self) -> None:
        duplicate_at_the_driver.enqueue()
        assert [type(error) for error in drain().errors] == [IntegrityError]
        assert Job.objects.get().state == State.DEAD

    def test_a_caught_error_that_broke_the_transaction_is_told(self) -> None:
        lost = caught.enqueue()
        with self.assertLogs("django_jobs.testing", "WARNING") as logs:
            drain()
        assert lost.refresh().result == "done"
        assert "succeeded after a database error that it caught" in logs.output[0]
        assert "Put the statement that may fail into atomic()" in logs.output[0]
        assert _names() == set()

    def test_an_error_caught_around_a_block_takes_nothing_back(self) -> None:
        kept = handled.enqueue()
        drain()
        assert kept.refresh().result == "done"
        assert _names() == {"before"}

    def test_what_a_plain_job_did_before_it_failed_stays_as_in_a_worker(self) -> None:
        for step in ("fail", "snooze", "succeed"):
            unfinished.enqueue(step)
        drain()
        assert _names() == {"fail", "snooze", "succeed"}
        assert called == ["fail", "snooze", "succeed"]

    def test_a_block_that_was_left_open_is_rolled_back(self) -> None:
        left_open.enqueue()
        depth = len(connection.atomic_blocks)
        with self.assertLogs("django_jobs.testing", "WARNING") as logs:
            assert drain().succeeded == 1
        assert logs.output == [
            "WARNING:django_jobs.testing:a job left a transaction open on 'default'; it is rolled back"
        ]
        assert _names() == {"kept"}
        assert len(connection.atomic_blocks) == depth

    def test_a_block_that_the_job_rolled_back_is_that(self) -> None:
        rolled_back.enqueue()
        assert drain().succeeded == 1
        assert (_names(), called) == (set(), [])

    def test_a_durable_block_is_allowed(self) -> None:
        durable.enqueue()
        assert drain().succeeded == 1

    def test_a_connection_in_a_transaction_of_the_test_stays_open(self) -> None:
        Customer.objects.create(name="of the test")
        closed = closing.enqueue()
        drain()
        assert closed.refresh().result == 1
        assert "close" not in vars(connections["default"])

    def test_progress_and_log_outlive_a_broken_transaction(self) -> None:
        reported = reporting.enqueue()
        drain()
        assert reported.refresh().progress_message == "half"
        assert "so far" in str(JobLog.objects.get().data)


class Callbacks:
    """Callbacks that a run gives to on_commit: the same in a transaction of the test as in a worker."""

    def test_they_are_called_where_a_commit_calls_them(self) -> None:
        callbacks.enqueue()
        drain()
        assert called == ["in the block", 2, 1, 0, "last", "behind the block"]

    def test_they_are_called_in_the_context_of_the_job(self) -> None:
        job = in_context.enqueue()
        drain()
        assert called == [("at once", job.pk), ("of a block", job.pk)]

    def test_a_robust_callback_that_fails_stops_nothing(self) -> None:
        robust.enqueue()
        result = drain()
        assert (result.succeeded, result.errors, called) == (1, [], ["behind"])

    def test_any_other_is_the_failure_of_a_plain_job(self) -> None:
        for place in ("at once", "of a block"):
            failed = failing_callback.enqueue(place)
            result = drain()
            assert (result.dead, failed.refresh().state, failed.result) == (1, State.DEAD, None)
            assert [type(error) for error in result.errors] == [IntegrityError]
            assert (_names() & {place}, called) == ({place}, [])

    def test_an_atomic_job_stays_a_success_and_its_failed_callback_is_told(self) -> None:
        succeeded = failing_callback_of_atomic.enqueue()
        with self.assertLogs("django_jobs.worker", "ERROR") as logs:  # type: ignore[attr-defined]
            result = drain()
        assert (result.succeeded, succeeded.refresh().result) == (1, "done")
        assert [type(error) for error in result.errors] == [IntegrityError]
        assert "a callback that it gave to on_commit failed" in logs.output[0]
        assert "atomic" in _names()

    def test_what_callbacks_enqueue_is_run_and_announced(self) -> None:
        heard: list[int] = []

        def receive(job: Job, **_: object) -> None:
            heard.append(job.pk)

        parent = enqueueing.enqueue()
        signals.job_enqueued.connect(receive)
        self.addCleanup(signals.job_enqueued.disconnect, receive)  # type: ignore[attr-defined]
        result = drain()
        assert result.succeeded == 3
        assert heard == result.job_ids[1:]
        assert parent.pk not in heard

    def test_none_is_forgotten_that_belongs_to_a_block_without_a_savepoint(self) -> None:
        without_savepoint.enqueue()
        drain()
        assert called == ["of a deletion", "last"]


class TestCallbacks(Callbacks, TestCase):
    """In a transaction of the test."""

    def test_those_of_the_test_wait_for_its_own_commit(self) -> None:
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(partial(called.append, "of the test"))
            callbacks.enqueue()
            drain()
            assert "of the test" not in called
        assert called.count("last") == called.count("of the test") == 1

    def test_the_connection_is_as_it_was(self) -> None:
        for definition in (callbacks, robust, failing_callback_of_atomic):
            definition.enqueue()
        failing_callback.enqueue("of a block")
        wrapper = connections["default"]
        before, callbacks_of_the_test = set(vars(wrapper)), list(wrapper.run_on_commit)
        drain()
        assert set(vars(wrapper)) == before
        assert (wrapper.run_on_commit, wrapper.needs_rollback) == (callbacks_of_the_test, False)


class TestCallbacksWithoutTransaction(Callbacks, TransactionTestCase):
    """As in a worker."""


class TestDrainedBlock(TestCase):
    """``drained()``: a block, its callbacks, and then the jobs."""

    def test_callbacks_and_jobs_run_after_the_block(self) -> None:
        transaction.on_commit(partial(called.append, "before the block"))
        with drained() as result:
            transaction.on_commit(enqueueing.enqueue)
            assert not Job.objects.exists()
        assert result.succeeded == 3
        assert [job.result for job in result.jobs[1:]] == ["by a callback", "by the function"]
        assert called == []

    def test_a_block_that_raises_runs_nothing(self) -> None:
        transaction.on_commit(partial(called.append, "callback"))
        with pytest.raises(IntegrityError), transaction.atomic(), drained() as result:
            _insert_twice()
        assert (result.job_ids, called) == ([], [])

    def test_errors_are_raised_when_asked_for(self) -> None:
        with pytest.raises(RuntimeError, match="broken"), drained(raise_errors=True) as result:
            sample.fail.enqueue("broken")
        assert result.dead + result.retried == 1

    async def test_in_an_async_test(self) -> None:
        async with drained() as result:
            await sample.echo_async.aenqueue("async")
        assert [job.result for job in result.jobs] == ["async"]


@pytest.mark.django_db(transaction=True)
class TestWithoutTransaction:
    """Outside of a transaction a job's work commits by itself."""

    def test_a_job_is_in_autocommit_mode(self) -> None:
        seen = []

        @job(name="unit.autocommit")
        def look() -> None:
            transaction.on_commit(partial(called.append, "callback"))
            seen.append((connection.in_atomic_block, list(called)))

        look.enqueue()
        drain()
        assert seen == [(False, ["callback"])]

    def test_an_error_takes_back_its_statement_alone(self) -> None:
        duplicate.enqueue()
        drain()
        assert _names() == {"before"}
        assert called == ["at once"]

    def test_a_job_may_close_its_connection(self) -> None:
        driver_connection = connection.connection
        closed = closing.enqueue()
        drain()
        assert closed.refresh().result == 0
        assert connection.connection is not driver_connection

    def test_a_block_that_was_left_open_is_rolled_back(self, caplog: pytest.LogCaptureFixture) -> None:
        left_open.enqueue()
        drain()
        assert "a job left a transaction open on 'default'" in caplog.text
        assert not connection.in_atomic_block
        assert connection.get_autocommit()
        assert _names() == {"kept"}


def _note(text: str) -> None:
    with transaction.mark_for_rollback_on_error(using="other"), connections["other"].cursor() as cursor:
        cursor.execute("INSERT INTO note VALUES (%s)", [text])


def _notes() -> list[str]:
    with connections["other"].cursor() as cursor:
        cursor.execute("SELECT text FROM note ORDER BY text")
        return [text for (text,) in cursor.fetchall()]


@job(name="unit.elsewhere", max_attempts=1)
def elsewhere(text: str) -> None:
    Customer.objects.create(name=text)
    transaction.on_commit(partial(called.append, text), using="other")
    _note(text)


class TestEveryDatabase(TestCase):
    """A run has a savepoint on each database that the test may use."""

    databases = frozenset({"default", "other"})

    @classmethod
    def setUpClass(cls) -> None:
        name = Path(cls.enterClassContext(TemporaryDirectory())) / "other.sqlite3"
        defaults = connections.configure_settings({"default": {}, "other": {"ENGINE": "django.db.backends.sqlite3"}})
        connections.settings["other"] = {**defaults["other"], "NAME": str(name)}
        cls.addClassCleanup(connections.settings.pop, "other")
        cls.addClassCleanup(lambda: (connections["other"].close(), connections.__delitem__("other")))
        with connections["other"].cursor() as cursor:
            cursor.execute("CREATE TABLE note (text varchar(10) PRIMARY KEY)")
        super().setUpClass()

    def test_an_error_breaks_none_of_them(self) -> None:
        for text in ("once", "once", "twice"):
            elsewhere.enqueue(text)
        result = drain()
        assert (result.succeeded, result.dead) == (2, 1)
        assert isinstance(result.errors[0], DatabaseError)
        assert _notes() == ["once", "twice"]
        assert called == ["once", "once", "twice"]
        assert Customer.objects.filter(name="once").count() == 2
