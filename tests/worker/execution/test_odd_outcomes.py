"""Whatever a function raises or returns, a run ends with a decision, and nothing else leaves it."""

from __future__ import annotations

import asyncio
import pickle
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection

from django_jobs.policy.decide import Decision
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.worker.execution.run import aexecute, execute
from django_jobs.worker.execution.runtime import WorkerContext
from django_jobs.worker.executors.keep_running import keep_running
from tests import factories
from tests.misbehaving import odd
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents, make_context

REQUESTS = {"bare cancel": State.CANCELLED, "bare discard": State.DEAD}
"""What is no failure to retry, by its class alone."""
SNOOZES = {"snooze for ever", "snooze by a subclass"}


def _claim(definition: Any, arguments: str = "{}") -> Claim:
    return Claim(
        job_id=1,
        claim_number=1,
        name=definition.name,
        queue_name="default",
        priority=0,
        attempt=1,
        max_attempts=2,
        arguments=arguments,
        metadata="{}",
        enqueued=0.0,
        ready=0.0,
        unknown_since=None,
        claimed=0.0,
    )


def _decision(run: Any) -> Decision:
    """Return the decision of a run that can be sent from a job process to its worker."""
    assert isinstance(run, FinishedRun)
    return pickle.loads(pickle.dumps(run)).decision


def _run(definition: Any, name: str) -> Decision:
    claim = _claim(definition, f'{{"name": "{name}"}}')
    context = make_context(RecordedEvents())
    if not definition.is_async:
        return _decision(execute(claim, context))
    return _run_on_a_loop(claim, context)


def _run_on_a_loop(claim: Claim, context: WorkerContext) -> Decision:
    ended: list[Any] = []

    async def run() -> None:
        with suppress(GeneratorExit):
            await aexecute(claim, context, ended.append)

    loop = asyncio.new_event_loop()
    task = loop.create_task(run())
    task.add_done_callback(lambda _: loop.stop())
    try:
        keep_running(loop, task.done)
    finally:
        loop.close()
    (finished,) = ended
    return _decision(finished)


def _check(name: str, decision: Decision) -> None:
    assert decision.state == REQUESTS.get(name, State.SCHEDULED), decision.error
    assert decision.gives_back_attempt == (name in SNOOZES)
    assert decision.delay is None or (type(decision.delay) is timedelta and decision.delay >= timedelta(0))
    if decision.error is not None:
        error = decision.error
        for text in (error.error_class, error.message, error.traceback, error.fingerprint):
            assert type(text) is str
            text.encode("utf-8")
            assert "\0" not in text


@pytest.mark.parametrize("name", odd.ODD)
def test_whatever_a_function_raises_is_its_failure(name: str) -> None:
    _check(name, _run(odd.raise_odd, name))


@pytest.mark.parametrize("name", odd.ODD)
def test_whatever_an_async_function_raises_is_its_failure(name: str) -> None:
    _check(name, _run(odd.raise_odd_async, name))


@pytest.mark.parametrize("name", ["exit", "interrupt", "base", "a group of exits", "generator exit"])
def test_what_a_task_of_a_job_raises_is_the_failure_of_the_job_that_awaits_it(name: str) -> None:
    _check(name, _run(odd.raise_odd_in_a_task, name))


def test_a_wait_that_makes_no_sense_is_the_jobs_backoff_and_said() -> None:
    decision = _run(odd.raise_odd, "retry after text")
    assert (decision.attempt_outcome, decision.gives_back_attempt) == ("retried", False)
    snoozed = _run(odd.raise_odd, "bare snooze")
    assert snoozed.error is not None
    assert snoozed.error.message == (
        "Snooze: expected a timedelta or seconds, zero or more; got None; call super().__init__(delay) in a subclass"
    )


def test_a_lie_about_the_class_is_not_believed() -> None:
    decision = _run(odd.raise_odd, "says it is a snooze")
    assert (decision.attempt_outcome, decision.error is not None) == ("failed", True)
    assert _run(odd.raise_odd, "says it is a timeout").attempt_outcome == "failed"


def test_a_result_that_exits_is_lost_and_the_success_stays() -> None:
    decision = _decision(execute(_claim(odd.return_odd), make_context(RecordedEvents())))
    assert (decision.state, decision.result) == (State.SUCCEEDED, '{"$type": "not_storable"}')


def test_a_backoff_that_exits_is_replaced_by_the_default() -> None:
    decision = _decision(execute(_claim(odd.exit_in_backoff), make_context(RecordedEvents())))
    assert decision.state is State.SCHEDULED


@pytest.mark.parametrize("how", ["stop", "exit later", "forgotten task", "cancel myself"])
def test_what_a_job_does_to_the_loop_does_not_end_it(how: str) -> None:
    claim = _claim(odd.stop_the_loop, f'{{"how": "{how}"}}')
    context = make_context(RecordedEvents())
    assert _run_on_a_loop(claim, context).result == f'"{how}"'


def _exit(*_: object, **__: object) -> None:
    raise SystemExit("from a step of the engine")


@pytest.mark.parametrize("step", ["prepare", "announce_start", "call_function", "finalize_run"])
def test_no_step_of_a_run_may_end_the_thread(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from django_jobs.worker.execution import run as pipeline

    whole = getattr(pipeline, step)
    calls: list[int] = []

    def first_call_exits(*arguments: Any) -> Any:
        calls.append(1)
        return _exit() if len(calls) == 1 else whole(*arguments)

    monkeypatch.setattr(pipeline, step, first_call_exits)
    decision = _run(odd.raise_odd, "a circle" if step == "finalize_run" else "exit")
    assert decision.state is State.SCHEDULED


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("definition", [sample.echo, sample.echo_async, sample.echo_atomic])
def test_a_job_that_could_not_be_asked_for_its_expiry_is_given_back(definition: Any) -> None:
    worker = factories.make_worker()
    definition.using(expires_at=database_now() + timedelta(hours=1)).enqueue("late")
    (claim,) = factories.take(worker)
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    connection.connection.close()
    ended: list[Any] = []
    if definition.is_async:
        async_to_sync(aexecute)(claim, context, ended.append)
    else:
        ended.append(execute(claim, context))
    connection.connection = None  # it is closed, and closing it again is an error of some drivers
    decision = _decision(ended[0])
    assert decision.state in {State.READY, State.SCHEDULED}
    assert (decision.attempt_outcome, decision.gives_back_attempt) == (None, True)
