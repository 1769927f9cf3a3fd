"""What a drain tells about its runs: counts, jobs, errors with their tracebacks, kept logs."""

from __future__ import annotations

import gc
import logging
import weakref

import pytest
from _pytest._io.saferepr import saferepr
from django.test import TestCase

from django_jobs import Cancel, Retry, Snooze, current_job, find_job, job
from django_jobs.exceptions import UnknownJobError
from django_jobs.models import JobLog
from django_jobs.policy.states import State
from django_jobs.testing import Drained, adrain, drain
from django_jobs.worker.execution.log_capture import JobLogHandler
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

shop_logger = logging.getLogger("shop")


class SteeredError(LookupError):
    """Unlike a class of Python's own, it can be referred to weakly."""


def _steer(step: str) -> None:
    if step == "retry":
        raise Retry
    if step == "snooze":
        raise Snooze(60)
    if step == "cancel":
        raise Cancel("no longer needed")
    raise SteeredError(step)


@job(name="drained.steered", max_attempts=2)
def steered(step: str) -> None:
    _steer(step)


@job(name="drained.logging")
def logging_job() -> None:
    shop_logger.warning("from %s", "the shop")
    current_job().log("from the job")


@job(name="drained.async")
async def reporting_async() -> None:
    current_job().set_progress(1, 2, "half way")
    shop_logger.warning("async")
    await Customer.objects.acreate(name="async")
    raise ValueError("async")


class TestDrained(TestCase):
    """The result of a drain."""

    def test_the_real_exceptions_are_listed_with_their_jobs(self) -> None:
        first, second = steered.enqueue("first"), steered.enqueue("second")
        errors = drain(run_scheduled=True).errors
        assert [str(error) for error in errors] == ["first", "second"] * 2
        assert all(isinstance(error, LookupError) for error in errors)
        assert [error.__notes__ for error in errors] == [
            [f"job {one.pk} (drained.steered), attempt {attempt} of 2"] for attempt in (1, 2) for one in (first, second)
        ]

    def test_what_a_job_raises_to_steer_is_no_error_unless_it_dies_of_it(self) -> None:
        for step in ("snooze", "cancel"):
            steered.enqueue(step)
        steered.using(queue_name="retries").enqueue("retry")
        assert drain().errors == []
        assert [type(error) for error in drain(run_scheduled=True, queues=["retries"]).errors] == [Retry]

    def test_jobs_are_the_rows_after_their_runs_in_order(self) -> None:
        enqueued = [sample.add.enqueue(number) for number in range(3)]
        failed = sample.fail.using(max_attempts=2).enqueue("broken")
        drained = drain(run_scheduled=True)
        assert drained.jobs == [*enqueued, failed, failed]
        assert [job.result for job in drained.jobs] == [0, 1, 2, None, None]

    def test_its_text_has_the_counts_and_the_first_traceback(self) -> None:
        assert repr(Drained()) == "<drained: no runs>"
        sample.add.enqueue(1)
        assert repr(drain()) == "<drained: 1 succeeded>"
        for step in ("first", "second"):
            steered.using(max_attempts=1).enqueue(step)
        drained = drain()
        head, *lines = repr(drained).splitlines()
        assert head == "<drained: 2 dead; the first of 2 errors:>"
        assert lines[0] == "Traceback (most recent call last):"
        assert "in steered" in lines[1]
        assert lines[-2:] == [
            "tests.testing.test_drained.SteeredError: first",
            f"job {drained.job_ids[0]} (drained.steered), attempt 1 of 1",
        ]  # fmt: skip
        in_an_assertion = saferepr(drained)
        assert "2 dead" in in_an_assertion
        assert "SteeredError: first" in in_an_assertion

    def test_the_first_error_is_raised_after_its_run_is_saved(self) -> None:
        broken, waiting = sample.fail.enqueue("broken"), sample.add.enqueue(1)
        with pytest.raises(RuntimeError, match="broken") as caught:
            drain(raise_errors=True)
        assert caught.traceback[-1].name == "fail"
        assert (broken.refresh().state, waiting.refresh().state) == (State.SCHEDULED, State.READY)
        assert drain().succeeded == 1

    def test_jobs_that_cannot_start_have_an_error_too(self) -> None:
        find_job("drained.no_such_job", unknown="allow").enqueue()
        drained = drain()
        assert [type(error) for error in drained.errors] == [UnknownJobError]
        assert "no job is named 'drained.no_such_job'" in repr(drained)

    def test_exceptions_live_no_longer_than_the_result(self) -> None:
        steered.enqueue("first")
        gc.disable()
        self.addCleanup(gc.enable)
        logging.disable()  # pytest keeps the records, and they the exceptions
        self.addCleanup(logging.disable, logging.NOTSET)
        drained = drain()
        error = weakref.ref(drained.errors[0])
        del drained
        assert error() is None

    def test_failures_are_logged_with_their_traceback_as_in_a_worker(self) -> None:
        retried, dead = steered.enqueue("first"), steered.using(max_attempts=1).enqueue("second")
        with self.assertLogs("django_jobs.worker", "WARNING") as logs:
            drain()
        assert [(record.levelname, vars(record)["job_id"]) for record in logs.records] == [
            ("WARNING", retried.pk),
            ("ERROR", dead.pk),
        ]
        assert all(record.exc_info and record.exc_info[0] is SteeredError for record in logs.records)

    def test_what_a_job_logs_is_kept(self) -> None:
        logged = logging_job.enqueue()
        drain()
        assert [line.message for line in JobLog.objects.get(job=logged).lines] == ["from the shop", "from the job"]
        assert not any(isinstance(handler, JobLogHandler) for handler in logging.getLogger().handlers)

    async def test_in_an_async_test(self) -> None:
        await reporting_async.aenqueue()
        await sample.add.aenqueue(40, 2)
        drained = await adrain()
        assert [job.result for job in drained.jobs] == [None, 42]
        assert [str(error) for error in drained.errors] == ["async"]
        assert drained.jobs[0].progress_message == "half way"
        assert await Customer.objects.acount() == 1
        assert await JobLog.objects.acount() == 1

    def test_async_jobs_in_a_sync_test(self) -> None:
        reporting_async.enqueue()
        drained = drain()
        assert drained.jobs[0].progress_message == "half way"
        assert Customer.objects.count() == JobLog.objects.count() == 1
