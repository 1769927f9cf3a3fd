"""The maximum of running jobs of a queue holds over all workers."""

from __future__ import annotations

import pytest

from django_jobs.exceptions import ConfigurationError
from django_jobs.models import Job, Queue
from django_jobs.policy.outcomes import SUCCEEDED, Lost
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.queues import end_suspension, pause, set_max_running, suspend
from tests.concurrency import run_together
from tests.factories import ago, ended, make_jobs, make_worker, take

pytestmark = pytest.mark.django_db


def test_no_more_than_the_cap_are_claimed_and_an_end_makes_room():
    make_jobs(5)
    set_max_running("default", 2)
    worker = make_worker()

    claims = take(worker)
    assert len(claims) == 2
    assert take(worker) == []

    finish([ended(claims[0], SUCCEEDED)], worker_id=worker.pk)
    assert len(take(worker)) == 1


def test_other_queues_are_claimed_as_before():
    make_jobs(3)
    make_jobs(3, queue_name="mail")
    set_max_running("default", 1)

    claims = take(make_worker())

    assert sorted(claim.queue_name for claim in claims) == ["default", "mail", "mail", "mail"]


def test_a_cap_applies_from_its_commit_to_workers_that_refreshed_before():
    from django_jobs.policy.claim_cursors import ClaimCursors
    from django_jobs.store.lifecycle.claim import claim, refresh_cursors

    make_jobs(5)
    lines, worker = ClaimCursors(), make_worker()
    refresh_cursors(lines, queues=None)
    set_max_running("default", 2)

    assert claim(lines, lines.known[0], limit=5, worker_id=worker.pk) == []
    refresh_cursors(lines, queues=None)
    assert len(claim(lines, lines.known[0], limit=5, worker_id=worker.pk)) == 2


def test_a_removed_cap_admits_all():
    make_jobs(5)
    set_max_running("default", 1)
    worker = make_worker()
    take(worker)

    set_max_running("default", None)

    assert len(take(worker)) == 4


def test_a_cap_below_what_runs_takes_nothing_more_and_stops_nothing():
    make_jobs(5)
    worker = make_worker()
    claims = take(worker, limit=3)
    set_max_running("default", 1)

    finish([ended(claim, SUCCEEDED) for claim in claims[:2]], worker_id=worker.pk)

    assert take(worker) == []
    assert Job.objects.filter(state=State.RUNNING).count() == 1


def test_a_rescued_job_makes_room_for_another():
    make_jobs(3)
    set_max_running("default", 1)
    worker = make_worker()
    claims = take(worker)
    finish([ended(claim, Lost(reason="killed")) for claim in claims], worker_id=worker.pk)

    assert len(take(worker)) == 1


def test_a_paused_queue_stays_paused_under_a_cap():
    make_jobs(3)
    set_max_running("default", 2)
    pause("default")

    assert take(make_worker()) == []


@pytest.mark.parametrize("most", [0, -1, 1.5, "3", True])
def test_a_wrong_cap_is_refused(most):
    with pytest.raises(ConfigurationError, match="max_running: expected a whole number from 1 to"):
        set_max_running("default", most)

    assert not Queue.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_workers_that_claim_at_the_same_moment_stay_within_the_cap_together():
    make_jobs(40)
    set_max_running("default", 5)
    workers = [make_worker() for _ in range(4)]

    taken = run_together(*[lambda worker=worker: take(worker, limit=4) for worker in workers])

    assert sum(map(len, taken)) <= 5
    assert Job.objects.filter(state=State.RUNNING).count() == sum(map(len, taken))
    taken.append(take(workers[0]))
    assert sum(map(len, taken)) == 5


def test_nothing_is_claimed_from_a_suspended_queue_and_one_job_as_a_test_after_that():
    make_jobs(5)
    make_jobs(1, queue_name="mail")
    suspend("default", 60)
    worker = make_worker()
    assert [claim.queue_name for claim in take(worker)] == ["mail"]

    Queue.objects.filter(pk="default").update(suspended_until=ago(seconds=1))
    assert len(take(worker)) == 1
    assert take(worker) == []  # until the test has ended, or its worker has had a minute
    assert Queue.objects.get(pk="default").suspended_until > ago(seconds=-50)

    assert end_suspension("default") is True
    assert len(take(worker)) == 4
    assert end_suspension("default") is False


def test_a_suspension_applies_to_workers_that_refreshed_before():
    from django_jobs.policy.claim_cursors import ClaimCursors
    from django_jobs.store.lifecycle.claim import claim, refresh_cursors

    make_jobs(5)
    cursors, worker = ClaimCursors(), make_worker()
    refresh_cursors(cursors, queues=None)
    suspend("default", 60)

    assert claim(cursors, cursors.known[0], limit=5, worker_id=worker.pk) == []


def test_an_empty_queue_stays_due_for_its_test():
    suspend("default", 60)
    Queue.objects.filter(pk="default").update(suspended_until=ago(seconds=1))
    worker = make_worker()
    assert take(worker) == []
    make_jobs(2)
    assert len(take(worker)) == 1


def test_a_suspension_that_was_saved_before_the_clock_was_set_back_does_not_last():
    make_jobs(5)
    suspend("default", 3600)
    assert len(take(make_worker())) == 1


def test_a_suspended_queue_is_due_when_its_suspension_ends():
    from django_jobs.policy.claim_cursors import ClaimCursors
    from django_jobs.store.lifecycle.claim import refresh_cursors

    make_jobs(1)
    suspend("default", 60)
    snapshot = refresh_cursors(ClaimCursors(), queues=None)

    assert snapshot.lanes == []
    assert snapshot.next_due == Queue.objects.get().suspended_until


@pytest.mark.django_db(transaction=True)
def test_two_workers_make_one_test():
    make_jobs(5)
    suspend("default", 60)
    Queue.objects.filter(pk="default").update(suspended_until=ago(seconds=1))
    workers = [make_worker() for _ in range(2)]

    claims = run_together(*(lambda worker=worker: len(take(worker)) for worker in workers))

    assert sorted(claims) == [0, 1]
