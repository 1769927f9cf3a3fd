from datetime import timedelta

import pytest

from django_jobs.models import Queue
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.queues import ensure_queues, pause, register_queues, resume
from django_jobs.store.stats.counts import known_queues
from tests.concurrency import run_together
from tests.factories import make_job, make_queue

pytestmark = pytest.mark.django_db


def test_a_pause_is_kept_with_when_and_by_whom():
    make_queue("mail")
    other = make_queue("documents")

    assert pause("mail", by="anna") is True

    queue = Queue.objects.get(pk="mail")
    assert queue.is_paused
    assert queue.paused_by == "anna"
    assert abs(queue.paused_at - database_now()) < timedelta(seconds=30)
    other.refresh_from_db()
    assert not other.is_paused


def test_a_queue_without_a_row_can_be_paused():
    assert pause("later") is True
    assert Queue.objects.get(pk="later").is_paused


def test_a_paused_queue_is_not_paused_again():
    pause("mail", by="anna")

    assert pause("mail", by="bert") is False
    assert Queue.objects.get().paused_by == "anna"


def test_a_resume_clears_the_pause_once():
    pause("mail", by="anna")

    assert resume("mail") is True
    assert resume("mail") is False

    queue = Queue.objects.get()
    assert (queue.paused_at, queue.paused_by, queue.is_paused) == (None, "", False)


def test_a_queue_that_is_unknown_is_not_resumed():
    assert resume("none") is False
    assert not Queue.objects.exists()


def test_a_name_longer_than_its_column_is_cut():
    pause("mail", by="x" * 500)

    assert Queue.objects.get().paused_by == "x" * 150


def test_queues_are_recorded_once_and_a_pause_survives_it():
    pause("mail")

    ensure_queues(["mail", "documents"])
    ensure_queues(iter(["documents"]))

    assert set(Queue.objects.values_list("name", flat=True)) == {"mail", "documents"}
    assert Queue.objects.get(pk="mail").is_paused


def test_no_queues_are_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        ensure_queues([])


@pytest.mark.django_db(transaction=True)
def test_a_pause_by_two_people_at_once_is_done_once():
    paused = run_together(lambda: pause("mail", by="anna"), lambda: pause("mail", by="bert"))

    assert sorted(paused) == [False, True]
    assert Queue.objects.get().paused_by == ("anna" if paused[0] else "bert")


@pytest.mark.parametrize("state", State)
def test_a_queue_is_known_and_gets_a_row_while_jobs_wait_in_it(state, django_assert_num_queries):
    make_queue("mail")
    make_job(queue_name="mail")
    make_job(state, queue_name="reports")
    is_waiting = state in {State.READY, State.SCHEDULED, State.BLOCKED}
    expected = ["reports"] if is_waiting else []

    assert known_queues() == ["mail", *expected]
    assert not Queue.objects.filter(name="reports").exists()
    assert register_queues() == expected
    assert set(Queue.objects.values_list("name", flat=True)) == {"mail", *expected}
    with django_assert_num_queries(3):
        assert register_queues() == []


def test_many_jobs_scheduled_before_it_do_not_hide_a_new_queue(monkeypatch):
    monkeypatch.setattr("django_jobs.store.queues.MAX_READ", 2)
    make_job(State.SCHEDULED, queue_name="first", run_after=database_now())
    for _ in range(3):
        make_job(State.SCHEDULED, queue_name="mail", run_after=database_now() + timedelta(days=1))
    make_job(State.BLOCKED, queue_name="last")

    assert register_queues() == ["first", "last", "mail"]
