"""How many statements and commits an enqueue takes on each database: the design, in numbers that only go down."""

from __future__ import annotations

import time

import pytest
from django.db import connection, transaction

from django_jobs.enqueueing import new_job
from django_jobs.store import notify
from django_jobs.store.enqueue import insert
from tests.sampleapp.jobs import echo
from tests.statements import counted

pytestmark = pytest.mark.django_db(transaction=True)

WAKES = {"postgresql": 1, "mysql": 0, "sqlite": 0}
"""The statements that wake a worker after a caller's transaction, each a commit; in autocommit the INSERT wakes it."""
STATEMENTS = 1
"""Of an enqueue, of however many jobs, besides those that wake."""


@pytest.fixture(params=[False, True], ids=["no worker is woken", "a worker is woken"])
def wakes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The statements that wake, for an enqueue soon after another and for one that comes alone."""
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0 if request.param else 3_600)
    echo.enqueue()
    return WAKES[connection.vendor] if request.param else 0


@pytest.mark.usefixtures("wakes")
def test_an_enqueue_in_autocommit_is_one_statement_and_one_commit() -> None:
    with counted() as cost:
        echo.enqueue()
    assert (cost.statements, cost.commits) == (STATEMENTS, 1), cost.texts


@pytest.mark.parametrize(("expected_seconds", "notifies"), [(5, False), (15, True)])
def test_a_worker_is_woken_by_the_insert_during_which_that_becomes_due(
    expected_seconds: float, notifies: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where commits are slow: a notification behind it would be a second commit."""
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)
    echo.enqueue()
    new = new_job(echo)
    last = time.monotonic() - 3_600 + 10
    monkeypatch.setitem(notify._last_notified, (connection.alias, new.queue_name, new.priority), last)
    monkeypatch.setitem(insert._last_seconds, connection.alias, expected_seconds)
    with counted() as cost:
        echo.enqueue()
    assert (cost.statements, cost.commits) == (STATEMENTS, 1), cost.texts
    assert ("pg_notify" in cost.texts[0]) is (notifies and connection.vendor == "postgresql")


def test_an_enqueue_adds_one_statement_to_a_transaction(wakes: int) -> None:
    with counted() as cost, transaction.atomic():
        echo.enqueue()
    assert (cost.statements, cost.commits) == (STATEMENTS + wakes, 1 + wakes), cost.texts


@pytest.mark.usefixtures("wakes")
def test_many_jobs_are_enqueued_as_one_is() -> None:
    with counted() as cost:
        echo.enqueue_many([(x,) for x in range(100)])
    assert (cost.statements, cost.commits) == (STATEMENTS, 1), cost.texts
