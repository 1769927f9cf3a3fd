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
def notified():
    """Listen on another connection; return a function for the queues notified since its last call."""
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL can wake a worker; elsewhere workers poll")
    listener = connection.copy()
    try:
        with listener.cursor() as cursor:
            cursor.execute(f"LISTEN {CHANNEL}")
        yield lambda: [notification.payload for notification in listener.connection.notifies(timeout=0.2)]
    finally:
        listener.close()


@pytest.fixture
def _always(monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0)


def test_an_enqueue_notifies_for_its_queue_after_its_commit(notified):
    with transaction.atomic():
        named.enqueue(1)
        assert notified() == []

    assert notified() == ["documents"]


def test_an_enqueue_that_is_rolled_back_does_not_notify(notified):
    with transaction.atomic():
        named.enqueue(1)
        transaction.set_rollback(True)

    assert notified() == []


def test_many_jobs_in_a_short_window_are_one_notification(notified, monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)

    for _ in range(5):
        echo.enqueue()
    echo.enqueue_many([(1,)] * 100)
    named.enqueue(1)

    assert notified() == ["default", "documents"]


@pytest.mark.usefixtures("_always")
def test_a_job_made_ready_by_hand_notifies(notified):
    pause("mail")
    assert notified() == []
    resume("mail")
    assert notified() == ["mail"]

    redrive(make_letter())
    assert notified() == ["default"]


@pytest.mark.usefixtures("_always")
def test_run_now_of_a_scheduled_job_notifies(notified):
    run_now(make_job(State.SCHEDULED, queue_name="mail"))

    assert notified() == ["mail"]


@pytest.mark.usefixtures("_always")
def test_a_queue_resumed_in_a_transaction_notifies_after_the_commit(notified):
    pause("mail")

    with transaction.atomic():
        resume("mail")
        assert notified() == []

    assert notified() == ["mail"]


@override_settings(DJANGO_JOBS={"WORKER": {"NOTIFY": False}})
def test_the_setting_notify_false_sends_no_notification(notified):
    echo.enqueue()

    assert notify_workers("default") is False
    assert notified() == []


def test_a_database_without_a_bell_is_left_alone(django_assert_num_queries):
    if connection.vendor == "postgresql":
        pytest.skip("PostgreSQL has one")

    with django_assert_num_queries(0):
        assert notify_workers("default") is False
