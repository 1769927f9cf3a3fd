from datetime import timedelta

import pytest

from django_jobs.models import Queue
from django_jobs.store.clock import database_now
from django_jobs.store.queues import ensure_queues, pause, resume
from tests.concurrency import run_together
from tests.factories import make_queue

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
