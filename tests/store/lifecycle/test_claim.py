from datetime import timedelta

import pytest

from django_jobs.policy.claim_cursors import ClaimCursors, Lane
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.claim import claim_by_priority, refresh_cursors
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.queues import pause, resume
from tests.factories import ago, make_job, make_jobs, make_worker, take
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db


def ids(claims):
    return [claim.job_id for claim in claims]


def test_a_claim_moves_the_job_to_running_under_the_worker():
    before_a_second = ago(minutes=1).replace(microsecond=999_900)
    job = make_job(attempt=2, claim_number=7, name="sample", priority=3, metadata={"a": 1}, ready_at=before_a_second)
    worker = make_worker()

    [one] = take(worker)

    job.refresh()
    assert (job.state, job.worker_id, job.attempt, job.claim_number) == (State.RUNNING, worker.pk, 3, 8)
    assert job.started_at == one.claimed_at
    assert abs(database_now() - one.claimed_at) < timedelta(seconds=30)
    assert one[:7] == (job.pk, 8, "sample", "default", 3, 3, 5)
    assert one.enqueued_at == job.enqueued_at
    assert one.ready_at == job.ready_at
    assert one.unknown_since is None


def test_the_claim_carries_since_when_the_job_is_unknown():
    since = ago(hours=3)
    make_job(unknown_since=since)

    [one] = take(make_worker())

    assert one.unknown_since == pytest.approx(since.timestamp(), abs=1e-5)


@pytest.mark.parametrize("state", [state for state in State if state is not State.READY])
def test_only_ready_jobs_are_claimed(state):
    job = make_job(state)

    assert take(make_worker()) == []
    assert job.refresh().state == state


def test_higher_priorities_come_first_and_then_what_was_ready_first():
    late_high = make_job(priority=5, ready_at=ago(minutes=1))
    early_low = make_job(priority=-5, ready_at=ago(minutes=9))
    early_high = make_job(priority=5, ready_at=ago(minutes=8))
    middle = make_job(priority=0, ready_at=ago(minutes=7))

    assert ids(take(make_worker())) == [early_high.pk, late_high.pk, middle.pk, early_low.pk]


def test_a_claim_with_a_limit_takes_what_was_ready_first_and_not_what_was_enqueued_first():
    late, early = make_job(ready_at=ago(minutes=1)), make_job(ready_at=ago(minutes=2))

    assert ids(take(make_worker(), limit=1)) == [early.pk]
    assert ids(take(make_worker(), limit=1)) == [late.pk]


def test_jobs_that_became_ready_in_the_same_instant_come_in_the_order_of_their_ids():
    instant = ago(minutes=1)
    jobs = make_jobs(5, ready_at=instant)

    assert ids(take(make_worker())) == sorted(job.pk for job in jobs)


def test_a_delayed_job_never_overtakes_one_that_was_ready_before_it_was_due():
    delayed = make_job(State.SCHEDULED, run_after=ago(seconds=1), enqueued_at=ago(hours=1))
    waiting = make_job(ready_at=ago(minutes=1))
    promote()

    assert ids(take(make_worker())) == [waiting.pk, delayed.pk]


def test_a_claim_takes_no_more_than_its_limit_and_goes_on_behind_it():
    jobs = echo.enqueue_many([(number,) for number in range(7)])
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)
    worker = make_worker()

    first = claim_by_priority(lines, limit=3, worker_id=worker.pk)
    second = claim_by_priority(lines, limit=3, worker_id=worker.pk)
    rest = claim_by_priority(lines, limit=3, worker_id=worker.pk)

    assert [len(first), len(second), len(rest)] == [3, 3, 1]
    assert ids(first + second + rest) == [job.pk for job in jobs]
    assert claim_by_priority(lines, limit=3, worker_id=worker.pk) == []


def test_a_claim_of_nothing_takes_nothing():
    job = make_job()
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)

    assert claim_by_priority(lines, limit=0, worker_id=make_worker().pk) == []
    assert job.refresh().state == State.READY


def test_a_claim_is_filled_from_several_lanes():
    jobs = [make_job(priority=2), make_job(priority=1), make_job(priority=0)]

    assert ids(take(make_worker(), limit=2)) == [jobs[0].pk, jobs[1].pk]


def test_jobs_ready_behind_the_cursor_are_claimed_without_another_refresh():
    make_jobs(2)
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)
    worker = make_worker()
    claim_by_priority(lines, limit=2, worker_id=worker.pk)
    later = make_job()

    assert ids(claim_by_priority(lines, limit=2, worker_id=worker.pk)) == [later.pk]


def test_a_job_ready_before_the_cursor_is_found_by_the_next_refresh():
    """A transaction that took long to commit leaves a job with an older time than those already claimed."""
    make_jobs(2)
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)
    worker = make_worker()
    claim_by_priority(lines, limit=2, worker_id=worker.pk)
    late_commit = make_job(ready_at=ago(minutes=5))
    assert claim_by_priority(lines, limit=2, worker_id=worker.pk) == []

    refresh_cursors(lines, queues=None)

    assert ids(claim_by_priority(lines, limit=2, worker_id=worker.pk)) == [late_commit.pk]


def test_a_refresh_reports_every_lane_with_ready_jobs_and_no_other():
    make_jobs(3, queue_name="mail", priority=1)
    make_job(queue_name="mail", priority=-1)
    make_job(queue_name="documents")
    make_job(State.SCHEDULED, queue_name="later")
    make_job(State.SUCCEEDED, queue_name="done")

    seen = refresh_cursors(ClaimCursors(), queues=None)

    assert sorted(seen.lanes) == [Lane("documents", 0), Lane("mail", -1), Lane("mail", 1)]


def test_a_refresh_reports_the_databases_time_and_when_scheduled_jobs_are_due_next():
    due = ago(hours=-2)
    make_job(State.SCHEDULED, run_after=ago(hours=-3))
    make_job(State.SCHEDULED, run_after=due)
    make_job()

    seen = refresh_cursors(ClaimCursors(), queues=None)

    assert seen.next_due == due
    assert abs(seen.now - database_now()) < timedelta(seconds=30)


def test_a_refresh_of_an_empty_database_finds_nothing():
    seen = refresh_cursors(ClaimCursors(), queues=None)

    assert seen.lanes == []
    assert seen.next_due is None


def test_a_worker_claims_from_its_own_queues_only():
    make_job(queue_name="documents")
    mail = make_job(queue_name="mail")

    assert ids(take(make_worker(), queues=["mail", "none"])) == [mail.pk]


def test_queues_whose_names_differ_in_case_or_accents_are_different_queues():
    upper, lower, accent = (make_job(queue_name=name) for name in ("Mail", "mail", "maïl"))
    pause("Mail")

    assert ids(take(make_worker(), queues=["mail"])) == [lower.pk]
    assert ids(take(make_worker(), queues=["Mail", "maïl"])) == [accent.pk]
    assert upper.refresh().state == State.READY


def test_nothing_of_a_paused_queue_is_seen_or_claimed():
    paused = make_job(queue_name="mail")
    other = make_job(queue_name="documents")
    pause("mail")

    assert refresh_cursors(ClaimCursors(), queues=None).lanes == [Lane("documents", 0)]
    assert ids(take(make_worker())) == [other.pk]
    assert paused.refresh().state == State.READY


def test_a_pause_applies_to_a_worker_that_knew_the_lane_before():
    make_jobs(2, queue_name="mail")
    lines = ClaimCursors()
    refresh_cursors(lines, queues=None)
    worker = make_worker()
    assert len(claim_by_priority(lines, limit=1, worker_id=worker.pk)) == 1
    pause("mail")

    assert claim_by_priority(lines, limit=1, worker_id=worker.pk) == []


def test_a_resumed_queue_is_claimed_again():
    job = make_job(queue_name="mail")
    pause("mail")
    resume("mail")

    assert ids(take(make_worker())) == [job.pk]


def test_a_queue_name_is_never_read_as_sql():
    job = make_job(queue_name="x' OR '1'='1%s")
    make_job(queue_name="other")

    assert ids(take(make_worker(), queues=["x' OR '1'='1%s"])) == [job.pk]
