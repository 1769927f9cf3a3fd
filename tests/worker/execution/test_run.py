"""The steps of a run, one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs.models import Job
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.outcomes import Cancelled, Discarded, Outcome, Succeeded, UnknownJob, Unreadable
from django_jobs.policy.states import State
from django_jobs.store.clock import DatabaseClock
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from django_jobs.worker.execution.atomic import execute_atomic
from django_jobs.worker.execution.events import CommittedRun
from django_jobs.worker.execution.run import call_function, execute, prepare
from django_jobs.worker.execution.runtime import Run, WorkerContext
from tests import factories
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db


def _claimed(enqueue: Any) -> tuple[Claim, WorkerContext]:
    worker = factories.make_worker()
    enqueue()
    (claim,) = factories.take(worker)
    return claim, make_context(RecordedEvents(), worker_id=worker.pk)


def _prepared(claim: Claim, context: WorkerContext) -> tuple[Run, Outcome | None]:
    run = Run(claim, context, context.clock.seconds())
    return run, prepare(run)


def test_a_prepared_run_has_its_arguments_and_is_called() -> None:
    run, outcome = _prepared(*_claimed(lambda: sample.add.enqueue(1, second=2)))
    assert outcome is None
    assert (run.arguments, run.definition) == ({"first": 1, "second": 2}, sample.add)
    assert call_function(run) == Succeeded(result="3")


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"flags": JobFlag.CANCEL_REQUESTED}, Cancelled),
        ({"name": "nobody.knows"}, UnknownJob),
        ({"arguments": "{not JSON"}, Unreadable),
        ({"metadata": "[]"}, Unreadable),
    ],
)
def test_a_run_that_cannot_start_ends_without_a_call(changes: dict[str, Any], kind: type[Outcome]) -> None:
    claim, context = _claimed(lambda: sample.add.enqueue(1))
    claim = claim._replace(**changes)
    run, outcome = _prepared(claim, context)
    assert isinstance(outcome, kind)
    assert run.started is None
    assert getattr(execute(claim, context), "started", "") is None


def test_a_run_does_not_show_its_arguments() -> None:
    run, _ = _prepared(*_claimed(lambda: sample.echo.enqueue("secret")))
    assert "secret" not in repr(run)


def test_an_atomic_run_is_finished_with_its_writes() -> None:
    claim, context = _claimed(lambda: sample.echo_atomic.enqueue(7))
    committed = execute(claim, context)
    assert isinstance(committed, CommittedRun)
    assert committed.finished is not None
    assert Job.objects.get().state == State.SUCCEEDED


def test_an_atomic_run_whose_claim_was_lost_is_rolled_back() -> None:
    claim, context = _claimed(lambda: sample.echo_atomic.enqueue(7))
    assert execute(claim._replace(claim_number=9), context) == CommittedRun(claim._replace(claim_number=9), None)
    assert Job.objects.get().state == State.RUNNING


def test_an_atomic_run_that_does_not_succeed_is_finished_by_the_finisher() -> None:
    claim, context = _claimed(lambda: sample.echo_atomic.enqueue(7))
    run, _ = _prepared(claim, context)
    discarded = Discarded(error=factories.failure().error)
    finished = execute_atomic(run, lambda _: discarded)
    assert not isinstance(finished, CommittedRun)
    assert finished.decision.state is State.DEAD
    assert Job.objects.get().state == State.RUNNING


@pytest.mark.parametrize("changes", [{}, {"arguments": "{not JSON"}])
def test_no_time_of_a_run_is_before_its_claim_by_a_clock_that_is_behind(changes: dict[str, Any]) -> None:
    claim, context = _claimed(lambda: sample.add.enqueue(1))
    assert isinstance(context.clock, DatabaseClock)
    context.clock.set(claim.claimed_at - timedelta(milliseconds=2))

    ended = execute(claim._replace(**changes), context)

    assert isinstance(ended, FinishedRun)
    assert ended.started in (None, claim.claimed)
    assert ended.finished >= claim.claimed
