import pytest
from django.db import connection, transaction
from django.test import override_settings

from django_jobs.policy.states import State
from django_jobs.store import notify
from django_jobs.store.dialects.postgresql.channels import CHANNEL
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from django_jobs.store.notify import notify_workers
from django_jobs.store.queues import pause, resume
from tests.factories import make_job, make_letter
from tests.sampleapp.jobs import echo, named

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rung():
    """Listen on a connection of its own; give a function that returns the queues rung for since the last look."""
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL can wake a worker; elsewhere workers look by themselves")
    listener = connection.copy()
    try:
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        yield lambda: [notice.payload for notice in listener.connection.notifies(timeout=0.2)]
    finally:
        listener.close()


@pytest.fixture
def _always(monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0)


def test_an_enqueue_rings_for_its_queue_once_it_is_committed(rung):
    with transaction.atomic():
        named.enqueue(1)
        assert rung() == []

    assert rung() == ["documents"]


def test_an_enqueue_that_is_rolled_back_does_not_ring(rung):
    with transaction.atomic():
        named.enqueue(1)
        transaction.set_rollback(True)

    assert rung() == []


def test_many_jobs_in_a_short_window_are_one_ring(rung, monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)

    for _ in range(5):
        echo.enqueue()
    echo.enqueue_many([(1,)] * 100)
    named.enqueue(1)

    assert rung() == ["default", "documents"]


@pytest.mark.usefixtures("_always")
def test_what_becomes_ready_by_hand_rings(rung):
    pause("mail")
    assert rung() == []
    resume("mail")
    assert rung() == ["mail"]

    redrive(make_letter())
    assert rung() == ["default"]


@pytest.mark.usefixtures("_always")
def test_a_scheduled_job_that_is_to_run_now_rings(rung):
    run_now(make_job(State.SCHEDULED, queue_name="mail"))

    assert rung() == ["mail"]


@pytest.mark.usefixtures("_always")
def test_a_queue_that_is_resumed_in_a_transaction_rings_once_it_is_committed(rung):
    pause("mail")

    with transaction.atomic():
        resume("mail")
        assert rung() == []

    assert rung() == ["mail"]


@override_settings(DJANGO_JOBS={"WORKER": {"NOTIFY": False}})
def test_a_project_that_wants_no_bell_has_none(rung):
    echo.enqueue()

    assert notify_workers("default") is False
    assert rung() == []


def test_a_database_without_a_bell_is_left_alone(django_assert_num_queries):
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has one")

    with django_assert_num_queries(0):
        assert notify_workers("default") is False
