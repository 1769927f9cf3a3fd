"""Whatever a job does, its worker and the other jobs go on."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.models import Job
from tests.misbehaving import jobs as misbehaving
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import outcomes


def _run_beside_others(start_worker: StartWorker, definition: Any, *args: Any) -> tuple[Job, str]:
    """Run the job in the one thread of a worker between two good ones; return it and what the worker said."""
    before = sample.add.enqueue(1, 1)
    job = definition.enqueue(*args)
    after = [sample.add.enqueue(2, 2), misbehaving.count_customers.enqueue()]
    worker = start_worker("--burst", "--concurrency", "1")
    assert worker.wait() == 0
    assert [one.refresh().state for one in (before, *after)] == ["succeeded"] * 3, worker.output
    assert after[1].result == Customer.objects.count()
    return job.refresh(), worker.output


@pytest.mark.parametrize(
    ("definition", "error"),
    [
        (misbehaving.raise_system_exit, "SystemExit: 3"),
        (misbehaving.raise_system_exit_async, "SystemExit: 3"),
        (misbehaving.raise_keyboard_interrupt, "KeyboardInterrupt"),
        (
            misbehaving.raise_unprintable,
            "tests.misbehaving.jobs.Unprintable: (its __str__ raised RuntimeError)",
        ),
    ],
)
def test_what_is_raised_is_recorded(start_worker: StartWorker, definition: Any, error: str) -> None:
    job, _ = _run_beside_others(start_worker, definition)
    assert job.state == "dead"
    assert job.error == error
    assert outcomes(job) == ["failed"]


def test_an_error_of_strange_and_endless_text_is_cut_and_cleaned(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.raise_strange_text)
    attempt = job.last_attempt
    assert attempt is not None
    assert attempt.error_message.startswith(r"NUL \x00, a lone surrogate \ud800, and no end xxx")
    assert "characters left out" in attempt.error_message
    assert len(attempt.error_message) == 10_000
    assert len(attempt.traceback) <= 50_000


def test_a_class_name_longer_than_its_column_is_cut(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.raise_long_name)
    attempt = job.last_attempt
    assert attempt is not None
    assert len(attempt.error_class) == 200
    assert job.dead_letters.get().error_class == attempt.error_class


def test_endless_recursion_is_an_error_like_any_other(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.recurse_for_ever)
    assert job.state == "dead"
    assert (job.error or "").startswith("RecursionError: maximum recursion depth exceeded")


@pytest.mark.parametrize(
    ("definition", "args", "reason"),
    [
        (misbehaving.return_object, (), "got builtins.object"),
        (misbehaving.return_nan, (), "JSON cannot carry nan"),
        (misbehaving.return_much, (2_000_000,), "DJANGO_JOBS['MAX_RESULT_BYTES'] allows 1000000"),
    ],
)
def test_a_result_that_cannot_be_stored_is_a_success_and_says_so(
    start_worker: StartWorker, definition: Any, args: tuple[Any, ...], reason: str
) -> None:
    job, output = _run_beside_others(start_worker, definition, *args)
    assert (job.state, job.result, job.is_result_lost) == ("succeeded", None, True)
    assert "succeeded, its result is not storable" in output
    assert reason in output


def test_a_closed_connection_is_opened_again(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.close_connection)
    assert (job.state, job.result) == ("succeeded", 0)


def test_a_connection_cut_behind_djangos_back_is_replaced(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.kill_connection)
    assert job.state == "succeeded"


def test_a_transaction_left_open_is_rolled_back(start_worker: StartWorker) -> None:
    job, output = _run_beside_others(start_worker, misbehaving.leave_transaction_open)
    assert job.state == "succeeded"
    assert "a job left a transaction open on 'default'; it is rolled back" in output
    assert not Customer.objects.exists()


def test_a_broken_transaction_is_rolled_back(start_worker: StartWorker) -> None:
    job, output = _run_beside_others(start_worker, misbehaving.break_transaction)
    assert job.state == "dead"
    assert "a job left a transaction open on 'default'; it is rolled back" in output
    assert not Customer.objects.exists()


@pytest.mark.parametrize("definition", [misbehaving.hang, misbehaving.hang_async])
def test_a_job_over_its_time_gets_job_timeout(start_worker: StartWorker, definition: Any) -> None:
    job, _ = _run_beside_others(start_worker, definition)
    assert job.state == "dead"
    assert outcomes(job) == ["timed_out"]
    assert (job.error or "").startswith("django_jobs.exceptions.JobTimeout: ran longer than 0:00:0")


def test_a_job_may_clean_up_after_its_timeout(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.clean_up_after_timeout)
    assert (job.state, job.result) == ("succeeded", "cleaned up")


def test_a_backoff_of_none_is_dead_now(start_worker: StartWorker) -> None:
    job, _ = _run_beside_others(start_worker, misbehaving.no_more_tries)
    assert (job.state, job.attempt) == ("dead", 1)
    assert job.dead_letters.get().reason == "not_retryable"


def test_a_backoff_that_fails_falls_back_to_the_default(start_worker: StartWorker) -> None:
    job, output = _run_beside_others(start_worker, misbehaving.bad_backoff)
    assert job.state == "scheduled"
    assert "backoff of tests.misbehaving.jobs.bad_backoff failed; the default is used" in output
