from contextlib import nullcontext, suppress

import pytest
from django.db import OperationalError, connection, transaction
from django.test import override_settings

from django_jobs.policy.notifications import CHANNEL, read_payload, write_payload
from django_jobs.policy.states import State
from django_jobs.store import notify
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
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

    assert notified() == ["10 documents"]


@pytest.mark.usefixtures("_always")
def test_a_notification_names_the_priority_of_jobs_that_are_ready_at_once(notified):
    named.using(priority=-7).enqueue(1)
    named.using(run_after=5).enqueue(1)

    assert notified() == ["-7 documents", "- documents"]


@pytest.mark.parametrize("enqueue", [lambda: named.enqueue(1), lambda: named.enqueue_many([(1,), (2,)])])
def test_in_autocommit_the_inserting_statement_notifies(notified, monkeypatch, enqueue):
    monkeypatch.setattr(notify, "notify_workers", None)

    enqueue()

    assert notified() == ["10 documents"]


def test_an_enqueue_whose_commit_outlasts_the_window_notifies(notified, monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)
    named.enqueue(1)
    assert notified() == ["10 documents"]

    def commit_slowly(execute, *arguments):
        done = execute(*arguments)
        monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0)
        return done

    with connection.execute_wrapper(commit_slowly):
        named.enqueue(2)

    assert notified() == ["10 documents"]


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_notification_that_failed_suppresses_no_other(notified, monkeypatch, is_inside):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)

    def fail(execute, sql, *arguments):
        if "pg_notify" in sql:
            raise OperationalError("the server is gone")
        return execute(sql, *arguments)

    with (
        connection.execute_wrapper(fail),
        suppress(OperationalError),
        transaction.atomic() if is_inside else nullcontext(),
    ):
        named.enqueue(1)
    assert notified() == []
    named.enqueue(2)

    assert notified() == ["10 documents"]


def test_each_priority_of_a_queue_is_notified_for_itself(notified, monkeypatch):
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)

    for priority in (1, 2, 1):
        named.using(priority=priority).enqueue(1)

    assert notified() == ["1 documents", "2 documents"]


@pytest.mark.parametrize("priority", [0, -7, 32_767, None])
@pytest.mark.parametrize("queue_name", ["default", "two words", "5 o clock", "-"])
def test_a_payload_is_read_as_it_was_written(queue_name, priority):
    assert read_payload(write_payload(queue_name, priority)) == (queue_name, priority)


@pytest.mark.parametrize("payload", ["default", "doctor 7", ""])
def test_any_other_payload_is_the_name_of_a_queue(payload):
    assert read_payload(payload) == (payload, None)


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

    assert notified() == ["0 default", "10 documents"]


@pytest.mark.usefixtures("_always")
def test_a_job_made_ready_by_hand_notifies(notified):
    pause("mail")
    assert notified() == []
    resume("mail")
    assert notified() == ["- mail"]

    redrive(make_letter())
    assert notified() == ["- default"]


@pytest.mark.usefixtures("_always")
def test_run_now_of_a_scheduled_job_notifies(notified):
    run_now(make_job(State.SCHEDULED, queue_name="mail"))

    assert notified() == ["- mail"]


@pytest.mark.usefixtures("_always")
def test_jobs_in_another_lane_notify_the_workers_of_that_queue(notified):
    job = make_job(State.READY, queue_name="mail")
    move(job, to="documents")
    assert notified() == ["- documents"]
    set_priority(job, priority=3)
    assert notified() == ["- documents"]
    assert move(job, to="documents") == set_priority(job, priority=3) == 0
    assert notified() == []


@pytest.mark.usefixtures("_always")
def test_a_queue_resumed_in_a_transaction_notifies_after_the_commit(notified):
    pause("mail")

    with transaction.atomic():
        resume("mail")
        assert notified() == []

    assert notified() == ["- mail"]


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
