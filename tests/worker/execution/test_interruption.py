"""A run that lost the jobs' database under it: told from a failure of the job's own, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError, OperationalError, connection, connections, transaction

from django_jobs import Discard, Retry, job
from django_jobs.models import Job
from django_jobs.policy.decide import MAX_INTERRUPTIONS, Decision
from django_jobs.policy.outcomes import Interrupted
from django_jobs.worker.execution.interruption import is_interruption
from django_jobs.worker.execution.run import aexecute, execute
from tests import factories
from tests.databases import chosen_vendor
from tests.sampleapp.models import Customer
from tests.worker.contexts import RecordedEvents, make_context
from tests.worker.pipeline.test_finisher import FinisherSetup

pytestmark = pytest.mark.django_db(transaction=True)
needs_server = pytest.mark.skipif(chosen_vendor() == "sqlite", reason="no server that could go away")


def _lose_connection() -> None:
    """Have the server end this thread's connection."""
    with suppress(DatabaseError), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        else:
            cursor.execute("KILL CONNECTION_ID()")


def _statement() -> None:
    _lose_connection()
    Customer.objects.count()


def _closed_by_the_job() -> None:
    """On MySQL the driver's own error comes through here: it cannot close the cursor after the statement's error."""
    Customer.objects.count()
    connection.connection.close()
    Customer.objects.exists()


def _inside_a_transaction() -> None:
    with transaction.atomic(), transaction.atomic():
        Customer.objects.count()
        _statement()


def _cause() -> None:
    try:
        _statement()
    except DatabaseError as error:
        raise RuntimeError("could not load") from error


def _member_of_a_group() -> None:
    try:
        _statement()
    except DatabaseError as error:
        raise ExceptionGroup("of a task group", [ValueError("another"), error]) from None


def _request() -> None:
    try:
        _statement()
    except DatabaseError as error:
        raise Retry(after=5) from error


def _discard() -> None:
    try:
        _statement()
    except DatabaseError as error:
        raise Discard("no use") from error


def _error_of_its_own() -> None:
    raise OperationalError("(2006, 'mine')")


def _wrong_statement() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM nowhere")


WAYS = {
    way.__name__: way
    for way in (
        _statement,
        _closed_by_the_job,
        _inside_a_transaction,
        _cause,
        _member_of_a_group,
        _request,
        _discard,
        _error_of_its_own,
        _wrong_statement,
    )
}


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    """Give the next test a connection that lives."""
    yield
    try:
        connection.close()
    except DatabaseError:  # some drivers do not close a closed connection
        connection.connection = None


@job(name="tests.interruption.plain", max_attempts=1, retry_on=(ValueError,))
def plain(way: str) -> None:
    """Lose the database in one of the ways."""
    WAYS[way]()


@job(name="tests.interruption.atomic", max_attempts=1, atomic=True)
def atomic(way: str) -> None:
    """Lose the database inside the run's transaction."""
    WAYS[way]()


@job(name="tests.interruption.on_the_loop", max_attempts=1)
async def on_the_loop(way: str) -> None:
    """Lose the database in a thread."""
    from asgiref.sync import sync_to_async

    await sync_to_async(WAYS[way])()


def _decision(definition: Any, way: str) -> Decision:
    worker = factories.make_worker()
    definition.enqueue(way)
    (claim,) = factories.take(worker)
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    if definition.is_async:
        ended: list[Any] = []
        async_to_sync(aexecute)(claim, context, ended.append)
        return ended[0].decision
    return execute(claim, context).decision  # type: ignore[union-attr]  # not committed


@needs_server
@pytest.mark.parametrize("definition", [plain, atomic, on_the_loop], ids=lambda each: each.name)
@pytest.mark.parametrize(
    "way", ["_statement", "_closed_by_the_job", "_inside_a_transaction", "_cause", "_member_of_a_group"]
)
def test_a_job_that_loses_the_jobs_database_is_given_back(definition: Any, way: str) -> None:
    decision = _decision(definition, way)
    assert (decision.state, decision.attempt_outcome) == ("scheduled", "released"), decision.error
    assert decision.gives_back_attempt
    assert decision.delay == timedelta(seconds=1)
    assert decision.error is not None
    assert decision.after_interruptions is not None
    assert decision.after_interruptions.state == "dead"


@needs_server
@pytest.mark.parametrize(("way", "outcome"), [("_request", "retried"), ("_discard", "discarded")])
def test_what_a_job_asks_for_it_gets(way: str, outcome: str) -> None:
    assert _decision(plain, way).attempt_outcome == outcome


@pytest.mark.parametrize("way", ["_error_of_its_own", "_wrong_statement"])
def test_another_error_of_the_database_is_the_jobs_failure(way: str) -> None:
    decision = _decision(plain, way)
    assert (decision.state, decision.attempt_outcome, decision.gives_back_attempt) == ("dead", "failed", False)


@needs_server
def test_the_loss_of_another_database_is_the_jobs_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings, "legacy", connections.settings["default"])
    with pytest.raises(DatabaseError) as raised:
        _statement()
    assert is_interruption(raised.value, using="default")
    assert not is_interruption(raised.value, using="legacy")


@pytest.mark.parametrize(("before", "state"), [(MAX_INTERRUPTIONS - 1, "scheduled"), (MAX_INTERRUPTIONS, "dead")])
def test_interruptions_are_bounded(before: int, state: str) -> None:
    """A job may be what ends the server each time."""
    setup = FinisherSetup()
    (claim,) = setup.claims(1)
    run = factories.ended(claim, Interrupted(failure=factories.failure(retry_in=None)))
    job = Job.objects.get()
    for number in range(before):
        factories.make_attempt(job, claim_number=100 + number, outcome="released", error_class="OperationalError")
    factories.make_attempt(job, claim_number=99, outcome="released")  # by a worker that stopped
    setup.save(run)
    job = job.refresh()
    assert (job.state, job.attempt) == (state, 1 if state == "dead" else 0)
