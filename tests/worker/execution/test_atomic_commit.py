"""Around the commit of an atomic job: whether it came through is known, whatever fails after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import DatabaseError, connection, connections, transaction

from django_jobs import job
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.testing import drain
from django_jobs.worker.execution.events import CommittedRun
from django_jobs.worker.execution.run import execute
from tests import factories
from tests.databases import chosen_vendor
from tests.misbehaving.odd import ODD
from tests.results import LARGE, files, storing
from tests.sampleapp import jobs as sample
from tests.sampleapp.models import Customer
from tests.worker.contexts import make_context
from tests.worker.pipeline.test_finisher import FinisherSetup

pytestmark = pytest.mark.django_db(transaction=True)

ERRORS: dict[str, Callable[[], BaseException]] = {
    "value": ValueError,
    "exit": SystemExit,
    "interrupt": KeyboardInterrupt,
    "stop": StopIteration,
    **{name: ODD[name] for name in ("str exits", "notes exit", "nothing may be asked", "its class may not be asked")},
}
called: list[str] = []


def _raise(name: str) -> None:
    error = ERRORS[name]()
    raise error


def _enqueue_wrongly() -> None:
    sample.add.enqueue("one", "two", "three")


@job(name="tests.atomic.hooked", atomic=True, max_attempts=1)
def hooked(name: str, result: str) -> str:
    """Write, and give on_commit a callback that raises."""
    Customer.objects.create(name="kept")
    transaction.on_commit(lambda: called.append(name))
    transaction.on_commit(_enqueue_wrongly if name == "enqueue" else lambda: _raise(name))
    return result


@job(name="tests.atomic.writing", atomic=True, max_attempts=1)
def writing(result: str) -> str:
    """Write and return."""
    Customer.objects.create(name="kept")
    return result


@job(name="tests.atomic.closing", atomic=True, max_attempts=1)
def closing() -> None:
    """Write, and close the connection before the commit."""
    Customer.objects.create(name="lost")
    connection.close()


@pytest.mark.parametrize("name", [*ERRORS, "enqueue"])
def test_a_callback_that_raises_after_the_commit_takes_nothing_back(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setup, called[:] = FinisherSetup(), []
    hooked.enqueue(name, LARGE)
    (claim,) = factories.take(setup.worker)
    with storing(tmp_path):
        run = execute(claim, make_context(setup.events, worker_id=setup.worker.pk))
        assert isinstance(run, CommittedRun)
        assert run.finished is not None
        setup.save(run)
        row = Job.objects.get(pk=claim.job_id)
        assert (row.state, row.attempts.get().outcome, row.result) == ("succeeded", "succeeded", LARGE)
        assert len(files(tmp_path)) == 1
    assert (called, Customer.objects.count()) == ([name], 1)
    assert [saved.claim.job_id for saved in setup.events.saved] == [claim.job_id], "its signals are sent"
    assert "is committed; a callback that it gave to on_commit failed" in caplog.text
    assert "has lost claim" not in caplog.text


@pytest.fixture
def cut() -> Iterator[Callable[[bool], None]]:
    """Have the driver's connection cut just after, or just before, the next COMMIT."""
    wrapper = connections["default"]
    commit = wrapper._commit

    def arrange(after: bool) -> None:
        def cut_around_commit() -> None:
            wrapper._commit = commit
            if after:
                commit()
            wrapper.connection.close()
            commit()

        wrapper._commit = cut_around_commit

    yield arrange
    wrapper._commit = commit


def _forget_connection() -> None:
    """Let the next statement connect anew; some drivers raise if a closed connection is closed."""
    try:
        connection.close()
    except DatabaseError:
        connection.connection = None


@pytest.mark.skipif(chosen_vendor() == "sqlite", reason="no server that could have committed")
@pytest.mark.parametrize("came_through", [True, False])
def test_a_commit_without_an_answer_is_asked_for(
    came_through: bool, cut: Callable[[bool], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    setup = FinisherSetup()
    writing.enqueue(LARGE)
    (claim,) = factories.take(setup.worker)
    setup.active_claims[claim.job_id] = claim
    with storing(tmp_path):
        cut(came_through)
        run = execute(claim, make_context(setup.events, worker_id=setup.worker.pk))
        _forget_connection()
        setup.save(run)
        row = Job.objects.get(pk=claim.job_id)
        assert row.state == ("succeeded" if came_through else "scheduled"), row.error
        assert row.attempts.get().outcome == ("succeeded" if came_through else "released")
        assert (row.attempt, Customer.objects.count()) == ((1, 1) if came_through else (0, 0))
        assert len(files(tmp_path)) == came_through
    assert [saved.claim.job_id for saved in setup.events.saved] == [claim.job_id]
    assert setup.active_claims == {}
    assert "has lost claim" not in caplog.text


def test_a_result_in_any_script_is_stored_with_the_jobs_writes() -> None:
    setup = FinisherSetup()
    writing.enqueue("größer \U0001f600")
    (claim,) = factories.take(setup.worker)
    run = execute(claim, make_context(setup.events, worker_id=setup.worker.pk))
    assert isinstance(run, CommittedRun)
    assert Job.objects.get(pk=claim.job_id).result == "größer \U0001f600"


def test_drain_asks_too_whether_a_commit_without_an_answer_came_through() -> None:
    closed = closing.enqueue()

    drained = drain()

    assert State.SUCCEEDED not in drained.runs
    assert closed.refresh().state in {State.SCHEDULED, State.DEAD}
    assert not Customer.objects.exists()
