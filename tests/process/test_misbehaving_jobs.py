"""Whatever jobs do, their worker and the other jobs go on."""

from __future__ import annotations

import re
from typing import Any

import pytest

from django_jobs.models import Attempt, Job
from tests.concurrency import wait_until
from tests.misbehaving import jobs as misbehaving
from tests.misbehaving import odd
from tests.misbehaving.unfinished import BLOCKING, ODD, UNFINISHED
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer

from .conftest import StartWorker
from .running import ended, outcomes


def _run_among_others(start_worker: StartWorker, *calls: Any) -> tuple[list[Job], str]:
    """Run each job in the one thread of a worker, a good one before and two behind it; return what the worker said.

    A call is a definition, or a tuple of it and its arguments.
    """
    jobs: list[Job] = []
    good = [sample.add.enqueue(1, 1)]
    for call in calls:
        definition, *arguments = call if isinstance(call, tuple) else (call,)
        jobs.append(definition.enqueue(*arguments))
        good += [sample.add.enqueue(2, 2), misbehaving.count_customers.enqueue()]
    worker = start_worker("--burst", "--concurrency", "1")
    assert worker.wait() == 0
    assert {one.refresh().state for one in good} == {"succeeded"}, worker.output
    assert {one.result for one in good[2::2]} == {Customer.objects.count()}
    return [job.refresh() for job in jobs], worker.output


def test_what_is_raised_is_recorded_whatever_it_is(start_worker: StartWorker) -> None:
    errors = {
        misbehaving.raise_system_exit: "SystemExit: 3",
        misbehaving.raise_system_exit_async: "SystemExit: 3",
        misbehaving.raise_keyboard_interrupt: "KeyboardInterrupt",
        misbehaving.raise_unprintable: "tests.misbehaving.jobs.Unprintable: (its __str__ raised RuntimeError)",
        misbehaving.recurse_for_ever: "RecursionError: maximum recursion depth exceeded",
        misbehaving.raise_strange_text: r"ValueError: NUL \x00, a lone surrogate \ud800, and no end xxx",
        misbehaving.raise_long_name: "tests.misbehaving.jobs.EEE",
    }
    jobs, _ = _run_among_others(start_worker, *errors)
    for job, error in zip(jobs, errors.values(), strict=True):
        assert (job.state, outcomes(job)[-1]) == ("dead", "failed")
        assert (job.error or "").startswith(error)
    strange, long_name = (job.last_attempt for job in jobs[-2:])
    assert strange is not None
    assert "characters left out" in strange.error_message
    assert len(strange.error_message) == 10_000
    assert len(strange.traceback) <= 50_000
    assert long_name is not None
    assert len(long_name.error_class) == 200
    assert jobs[-1].dead_letters.get().error_class == long_name.error_class


def test_a_result_that_cannot_be_stored_is_a_success_and_says_so(start_worker: StartWorker) -> None:
    reasons = {
        misbehaving.return_object: "got builtins.object",
        misbehaving.return_nan: "JSON cannot carry nan",
        (misbehaving.return_much, 2_000_000): "DJANGO_JOBS['RESULTS']['MAX_BYTES'] allows 1000000",
    }
    jobs, output = _run_among_others(start_worker, *reasons)
    for job, reason in zip(jobs, reasons.values(), strict=True):
        assert (job.state, job.result, job.is_result_lost) == ("succeeded", None, True)
        assert reason in output
    assert output.count("succeeded; result cannot be stored") == 3


@pytest.mark.parametrize("arguments", [(), pytest.param(("--pool", "processes"), marks=pytest.mark.slow)])
def test_work_that_was_not_done_is_a_failure_and_an_odd_callable_does_its_own(
    start_worker: StartWorker, arguments: tuple[str, ...]
) -> None:
    unfinished = [definition.enqueue("never") for definition in UNFINISHED.values()]
    odd = [definition.enqueue(kind) for kind, definition in (ODD | BLOCKING).items()]
    worker = start_worker("--burst", "--concurrency", "1", *arguments)
    assert worker.wait() == 0
    for job in unfinished:
        assert (job.refresh().state, outcomes(job)) == ("dead", ["failed"])
        assert (job.error or "").startswith("django_jobs.exceptions.UnfinishedResultError: expected the result of")
    assert [job.refresh().result for job in odd] == [*ODD, *BLOCKING], worker.output
    assert set(Customer.objects.values_list("name", flat=True)) == {*ODD, *BLOCKING}
    assert not re.search("never awaited|was destroyed|never retrieved", worker.output)


def test_a_connection_that_a_job_closed_or_cut_behind_djangos_back_is_replaced(
    start_worker: StartWorker,
) -> None:
    (closed, cut), _ = _run_among_others(start_worker, misbehaving.close_connection, misbehaving.kill_connection)
    assert (closed.state, closed.result) == ("succeeded", 0)
    assert cut.state == "succeeded"


def test_a_transaction_left_open_or_broken_is_rolled_back(start_worker: StartWorker) -> None:
    (left_open, broken), output = _run_among_others(
        start_worker, misbehaving.leave_transaction_open, misbehaving.break_transaction
    )
    assert (left_open.state, broken.state) == ("succeeded", "dead")
    assert output.count("a job left a transaction open on 'default'; it is rolled back") == 2
    assert not Customer.objects.exists()


def test_a_job_over_its_time_gets_job_timeout_and_may_clean_up(start_worker: StartWorker) -> None:
    (*hung, cleaned_up), _ = _run_among_others(
        start_worker, misbehaving.hang, misbehaving.hang_async, misbehaving.clean_up_after_timeout
    )
    for job in hung:
        assert (job.state, outcomes(job)) == ("dead", ["timed_out"])
        assert (job.error or "").startswith("django_jobs.exceptions.JobTimeoutError: ran longer than 0:00:0")
    assert (cleaned_up.state, cleaned_up.result) == ("succeeded", "cleaned up")


def test_a_backoff_of_none_is_dead_now_and_one_that_fails_falls_back_to_the_default(
    start_worker: StartWorker,
) -> None:
    (dead, again), output = _run_among_others(start_worker, misbehaving.no_more_tries, misbehaving.bad_backoff)
    assert (dead.state, dead.attempt) == ("dead", 1)
    assert dead.dead_letters.get().reason == "not_retryable"
    assert again.state == "scheduled"
    assert "(tests.misbehaving.jobs.bad_backoff) has a backoff that failed; the default is used" in output


@pytest.mark.parametrize("pool", [(), ("--pool", "processes")], ids=["threads", "processes"])
def test_no_thread_of_a_worker_dies_of_an_odd_outcome(start_worker: StartWorker, pool: tuple[str, ...]) -> None:
    """Whatever jobs raise, return or do to the event loop: each has its own outcome, and so have its neighbours."""
    definitions = (odd.raise_odd, odd.raise_odd_async, odd.raise_odd_in_a_task)
    ends = [job for each in definitions for job in each.enqueue_many([(name,) for name in odd.ODD])]
    successes = [odd.return_odd.enqueue()]
    for how in ("stop", "exit later", "forgotten task", "cancel myself"):
        successes += [sample.echo_async.enqueue(how), odd.stop_the_loop.enqueue(how), sample.echo.enqueue(how)]
    ends.append(odd.exit_in_backoff.enqueue())

    worker = start_worker("--concurrency", "2", *pool)

    assert set(ended(*successes)) == {"succeeded"}, worker.output
    wait_until(lambda: not Job.objects.filter(state__in=["ready", "running"]).exists(), "all jobs to end")
    assert worker.stop() == 0, worker.output
    assert "died" not in worker.output, worker.output
    assert not [job for job in ends if not outcomes(job)]
    assert not Attempt.objects.filter(outcome__in=["lost", "released"]).exists()


def test_a_job_that_cancels_every_task_of_the_loop_loses_no_claim(start_worker: StartWorker) -> None:
    jobs = [*odd.cancel_all_others.enqueue_many([()] * 3), *sample.echo_async.enqueue_many([(at,) for at in range(20)])]
    worker = start_worker("--concurrency", "1")
    assert ended(*jobs) == ["succeeded"] * len(jobs)
    assert worker.stop() == 0, worker.output
    assert "died" not in worker.output
