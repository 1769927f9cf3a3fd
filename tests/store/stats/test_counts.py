from collections import Counter
from random import Random

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.queues import pause
from django_jobs.store.stats.counts import open_dead_letter_count, queue_stats
from tests.factories import ago, make_job, make_letter, make_queue

pytestmark = pytest.mark.django_db


def test_stats_equal_an_exact_count():
    random = Random(7)
    made = Counter()
    for _ in range(60):
        queue_name, state = random.choice(["mail", "documents", "default"]), random.choice(list(State))
        make_job(state, queue_name=queue_name)
        made[queue_name, state] += 1

    stats = queue_stats()

    assert [queue.name for queue in stats] == ["default", "documents", "mail"]
    for queue in stats:
        assert queue.jobs == {state: made[queue.name, state] for state in State}


def test_the_oldest_ready_time_is_that_of_the_longest_ready_job():
    oldest = ago(hours=2)
    make_job(ready_at=ago(hours=1))
    make_job(ready_at=oldest, priority=-100)
    make_job(State.RUNNING, ready_at=ago(hours=5))
    make_job(State.SUCCEEDED, ready_at=ago(hours=9))
    make_job(State.SCHEDULED, queue_name="later")

    stats = {queue.name: queue.oldest_ready_at for queue in queue_stats()}

    assert stats == {"default": oldest, "later": None}


def test_a_queue_without_jobs_is_listed_with_its_pause():
    make_queue("empty")
    make_job(queue_name="mail")
    pause("mail", by="anna")

    empty, mail = queue_stats()

    assert (empty.name, sum(empty.jobs.values()), empty.paused_at, empty.paused_by) == ("empty", 0, None, "")
    assert (mail.name, mail.jobs[State.READY], mail.paused_by) == ("mail", 1, "anna")
    assert mail.paused_at is not None


def test_queues_whose_names_differ_in_case_are_counted_separately():
    make_job(queue_name="Mail")
    make_job(queue_name="mail")

    assert [(queue.name, queue.jobs[State.READY]) for queue in queue_stats()] == [("Mail", 1), ("mail", 1)]


def test_an_empty_database_has_no_stats():
    assert queue_stats() == []


def test_stats_take_two_statements(django_assert_num_queries):
    for state in State:
        make_job(state)
        make_job(state, queue_name="mail")

    with django_assert_num_queries(2):
        queue_stats()


def test_only_open_dead_letters_are_counted():
    for status in ("open", "open", "redriven", "purged"):
        make_letter(status=status)

    assert open_dead_letter_count() == 2
    assert Job.objects.count() == 4
