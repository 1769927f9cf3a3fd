"""Several connections at once: nobody waits for rows locked by another, and nothing is claimed twice."""

from itertools import chain

import pytest
from django.db import connection

from django_jobs.models import Attempt, DeadLetter, Job
from django_jobs.policy.claim_cursors import ClaimCursors
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.states import State
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.claim import claim_by_priority, refresh_cursors
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.promote import promote
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from tests.concurrency import Background, elsewhere, run_together
from tests.factories import (
    ago,
    ended,
    failure,
    make_attempt,
    make_batch,
    make_batch_job,
    make_dependency,
    make_job,
    make_jobs,
    make_letter,
    make_worker,
    take,
)
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def _many_writers():
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("this database has one writer at a time: an open transaction holds up every other")


def ids(claims):
    return [claim.job_id for claim in claims]


def soon(function):
    """Call ``function`` in another thread; a wait for a lock fails the test."""
    return Background(function).result(10)


@pytest.mark.usefixtures("_many_writers")
@pytest.mark.parametrize("held", [1, 10, 50])
def test_others_can_claim_all_rows_that_an_open_claim_has_not_locked(held):
    jobs = echo.enqueue_many([(number,) for number in range(60)])
    first, second = make_worker(), make_worker()

    with elsewhere(lambda: take(first, limit=held)) as holding:
        assert ids(holding) == [job.pk for job in jobs[:held]]
        got = soon(lambda: take(second, limit=60))

    assert ids(got) == [job.pk for job in jobs[held:]]
    assert ids(take(second)) == [job.pk for job in jobs[:held]], "rolled back: they are ready again"


@pytest.mark.usefixtures("_many_writers")
def test_an_open_claim_of_one_lane_blocks_neither_another_lane_nor_an_enqueue_nor_a_promotion():
    make_jobs(20, queue_name="mail")
    other = make_jobs(20, queue_name="documents")
    scheduled = make_job(State.SCHEDULED, run_after=ago(seconds=1))
    worker = make_worker()

    with elsewhere(lambda: take(worker, limit=10, queues=["mail"])):
        assert ids(soon(lambda: take(worker, queues=["documents"]))) == [job.pk for job in other]
        added = soon(lambda: echo.using(queue_name="mail").enqueue())
        assert soon(promote) == 1

    assert scheduled.refresh().state == State.READY
    assert added.refresh().state == State.READY


@pytest.mark.usefixtures("_many_writers")
def test_an_open_enqueue_blocks_nobody():
    job = make_job()
    worker = make_worker()

    with elsewhere(lambda: echo.enqueue_many([(1,)] * 100)):
        assert ids(soon(lambda: take(worker))) == [job.pk]
        assert soon(lambda: echo.enqueue(2)).pk


@pytest.mark.usefixtures("_many_writers")
@pytest.mark.parametrize("outcome", [Succeeded(), failure()])
@pytest.mark.parametrize("number", [3, 20])
def test_an_open_finish_blocks_neither_claims_nor_other_finishes(number, outcome):
    """Nor does it in a table of three jobs, which a database reads whole if it may choose."""
    make_jobs(number)
    worker = make_worker()
    done, running = take(worker, limit=1), take(worker, limit=1)

    with elsewhere(lambda: finish([ended(claim, outcome) for claim in done], worker_id=worker.pk)):
        assert len(soon(lambda: take(worker))) == number - 2
        saved = soon(lambda: finish([ended(claim, outcome) for claim in running], worker_id=worker.pk))

    assert saved == set(ids(running))


@pytest.mark.usefixtures("_many_writers")
def test_a_large_finish_does_not_wait_for_an_open_one():
    """Above 200 ids a server without a hint reads, and locks, every running job."""
    make_jobs(251)
    worker = make_worker()
    done, running = take(worker, limit=1), take(worker, limit=250)

    with elsewhere(lambda: finish([ended(claim, Succeeded()) for claim in done], worker_id=worker.pk)):
        saved = soon(lambda: finish([ended(claim, Succeeded()) for claim in running], worker_id=worker.pk))

    assert saved == set(ids(running))


@pytest.mark.usefixtures("_many_writers")
def test_jobs_locked_by_an_open_cancel_are_skipped():
    jobs = make_jobs(10)
    worker = make_worker()

    with elsewhere(lambda: cancel(Job.objects.filter(pk__in=[job.pk for job in jobs[:4]]))):
        assert ids(soon(lambda: take(worker))) == [job.pk for job in jobs[4:]]


@pytest.mark.usefixtures("_many_writers")
def test_due_jobs_locked_by_an_open_promotion_are_skipped():
    early = make_job(State.SCHEDULED, run_after=ago(minutes=2))
    late = make_job(State.SCHEDULED, run_after=ago(minutes=1))

    with elsewhere(lambda: promote(limit=1)):
        assert soon(promote) == 1

    assert (early.refresh().state, late.refresh().state) == (State.SCHEDULED, State.READY)


def test_two_workers_never_get_the_same_job():
    jobs = echo.enqueue_many([(number,) for number in range(300)])
    workers = [make_worker() for _ in range(3)]

    def claim_all(worker):
        lines, got = ClaimCursors(), []
        refresh_cursors(lines, queues=None)
        while lines.known:
            got += claim_by_priority(lines, limit=7, worker_id=worker.pk)
            if not lines.known:
                refresh_cursors(lines, queues=None)
        return ids(got)

    taken = run_together(*[lambda worker=worker: claim_all(worker) for worker in workers])

    assert sorted(chain(*taken)) == [job.pk for job in jobs]
    for worker, got in zip(workers, taken, strict=True):
        assert set(Job.objects.filter(worker=worker).values_list("pk", flat=True)) == set(got)
    assert set(Job.objects.values_list("claim_number", "attempt")) == {(1, 1)}


def test_of_a_cancel_and_a_claim_in_the_same_instant_one_wins_each_job():
    jobs = echo.enqueue_many([(number,) for number in range(80)])
    worker = make_worker()

    def cancel_backwards():
        return sum(cancel(job).cancelled for job in reversed(jobs))

    def claim_forwards():
        lines, got = ClaimCursors(), []
        refresh_cursors(lines, queues=None)
        while lines.known:
            got += claim_by_priority(lines, limit=3, worker_id=worker.pk)
        return got

    cancelled, claims = run_together(cancel_backwards, claim_forwards)

    assert cancelled + len(claims) == 80
    assert {job.pk for job in jobs if job.refresh().state == State.RUNNING} == set(ids(claims))
    assert Job.objects.filter(state=State.CANCELLED, worker__isnull=True, attempt=0).count() == cancelled


def _move(jobs):
    return move(jobs, to="mail")


def _set_priority(jobs):
    return set_priority(jobs, priority=7)


@pytest.mark.parametrize(("verb", "lane"), [(_move, ("mail", 0)), (_set_priority, ("default", 7))])
def test_of_a_change_of_the_lane_and_claims_in_the_same_instant_one_wins_each_job(verb, lane):
    """What was claimed first keeps its lane; the rest is claimed once, from the new one."""
    jobs = echo.enqueue_many([(number,) for number in range(60)])
    workers = [make_worker() for _ in range(2)]

    def change_backwards():
        return sum(verb(Job.objects.filter(pk__in=[job.pk for job in jobs[at : at + 5]])) for at in range(55, -1, -5))

    def claim_forwards(worker):
        return [one for _ in range(12) for one in take(worker, limit=3)]

    changed, *claimed = run_together(
        change_backwards, *[lambda worker=worker: claim_forwards(worker) for worker in workers]
    )

    claims = list(chain(*claimed, take(workers[0])))
    assert sorted(ids(claims)) == [job.pk for job in jobs]
    assert [(one.queue_name, one.priority) for one in claims].count(lane) == changed
    rows = dict(Job.objects.values_list("pk", "queue_name"))
    assert {one.job_id: one.queue_name for one in claims} == rows, "a running job is of the queue it was claimed from"
    assert set(Job.objects.values_list("state", "claim_number")) == {("running", 1)}


def _linked(state, number, fingerprint):
    """Return jobs with all their related rows: attempts, dead letters, a batch, dependents."""
    jobs = []
    for _ in range(number):
        job = make_batch_job(make_batch(), state)
        make_attempt(job)
        make_dependency(make_job(State.BLOCKED), job)
        if state is State.DEAD:
            make_letter(job, fingerprint=fingerprint)
        jobs.append(job.pk)
    return Job.objects.filter(pk__in=jobs)


def _cancel(target):
    return cancel(target).cancelled


def _resolve(jobs):
    return resolve(DeadLetter.objects.filter(job__in=jobs))


@pytest.mark.usefixtures("_many_writers")
@pytest.mark.parametrize("number", [10, 100])
@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (redrive, State.DEAD),
        (_resolve, State.DEAD),
        (purge, State.DEAD),
        (purge, State.CANCELLED),
        (_cancel, State.READY),
        (_move, State.READY),
        (_set_priority, State.READY),
    ],
)
def test_an_operation_on_some_jobs_does_not_wait_for_the_same_operation_on_others(verb, state, number):
    others = _linked(state, 10, "a" * 32)
    mine = _linked(state, number, "b" * 32)

    with elsewhere(lambda: verb(others)) as held:
        assert held == 10
        assert soon(lambda: verb(mine)) == number


def test_a_redrive_by_two_people_at_once_is_done_once():
    letters = [make_letter() for _ in range(30)]
    everything = DeadLetter.objects.all()

    anna, bert = run_together(lambda: redrive(everything, by="anna"), lambda: redrive(everything, by="bert"))

    assert anna + bert == 30
    assert Job.objects.filter(state=State.READY, attempt=0).count() == 30
    assert DeadLetter.objects.filter(status="redriven", resolved_by="anna").count() == anna
    assert DeadLetter.objects.filter(status="redriven", resolved_by="bert").count() == bert
    assert len(letters) == 30


def test_each_due_job_is_promoted_once():
    make_jobs(50, State.SCHEDULED, run_after=ago(seconds=1))

    assert sum(run_together(promote, promote, lambda: run_now(Job.objects.all()))) == 50
    assert Job.objects.filter(state=State.READY).count() == 50


def test_finishes_of_several_workers_in_the_same_instant_are_all_saved():
    make_jobs(90)
    workers = [make_worker() for _ in range(3)]
    batches = [(worker.pk, take(worker, limit=30)) for worker in workers]

    def finish_all(worker_id, claims):
        return len(finish([ended(claim, Succeeded()) for claim in claims], worker_id=worker_id))

    saved = run_together(*[lambda batch=batch: finish_all(*batch) for batch in batches])

    assert saved == [30, 30, 30]
    assert Attempt.objects.count() == 90


def test_enqueues_of_several_threads_in_the_same_instant_each_get_their_own_jobs():
    def enqueue(mark):
        return [job.pk for job in echo.enqueue_many([(mark,)] * 50)]

    made = run_together(*[lambda mark=mark: enqueue(mark) for mark in ("a", "b", "c")])

    for mark, pks in zip(("a", "b", "c"), made, strict=True):
        assert {job.arguments["value"] for job in Job.objects.filter(pk__in=pks)} == {mark}
        assert len(pks) == 50
    assert Job.objects.count() == 150
