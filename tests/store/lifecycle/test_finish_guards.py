import logging
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_jobs.models import Attempt, DeadLetter, Job, Worker
from django_jobs.policy.outcomes import Discarded, Released, Succeeded
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle import rescue as rescue_module
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.rescue import rescue, rescue_worker
from django_jobs.store.workers import mark_lost_workers
from tests.concurrency import run_together
from tests.factories import RULES, ago, ended, failure, make_job, make_jobs, make_worker, take

pytestmark = pytest.mark.django_db

OUTCOMES = [Succeeded(result="1"), failure(), Discarded(error=failure().error), Released(started=True)]


def claimed(**fields):
    job = make_job(**fields)
    worker = make_worker()
    [claim] = take(worker)
    return job.refresh(), worker, claim


def unchanged(job):
    before = {field.attname: getattr(job, field.attname) for field in Job._meta.concrete_fields}
    job.refresh()
    after = {field.attname: getattr(job, field.attname) for field in Job._meta.concrete_fields}
    return before == after and not Attempt.objects.exists() and not DeadLetter.objects.exists()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_another_worker_cannot_finish_the_run(outcome):
    job, _, claim = claimed()

    assert finish([ended(claim, outcome)], worker_id=make_worker().pk) == set()
    assert unchanged(job)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_earlier_claim_of_the_same_worker_cannot_finish_a_later_run(outcome):
    job, worker, claim = claimed()
    Job.objects.update(claim_number=2)
    job.refresh()

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()
    assert unchanged(job)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("state", [state for state in State if state is not State.RUNNING])
def test_what_is_no_longer_running_cannot_be_finished(outcome, state):
    job, worker, claim = claimed()
    Job.objects.update(state=state.value, run_after=database_now())
    job.refresh()

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()
    assert unchanged(job)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_job_that_was_deleted_meanwhile_is_not_restored(outcome):
    _, worker, claim = claimed()
    Job.objects.all()._raw_delete("default")

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()
    assert not Job.objects.exists()
    assert not Attempt.objects.exists()
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_run_is_finished_once(outcome):
    job, worker, claim = claimed()

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == {job.pk}
    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()
    assert Attempt.objects.count() == 1


def test_of_a_mixed_batch_valid_claims_are_saved_and_lost_ones_logged(caplog):
    jobs = make_jobs(4)
    worker = make_worker()
    claims = take(worker)
    Job.objects.filter(pk=jobs[1].pk).update(claim_number=9)
    Job.objects.filter(pk=jobs[3].pk).update(worker=make_worker())
    outcomes = [Succeeded(), Succeeded(), failure(), failure(retry_in=None)]

    with caplog.at_level(logging.WARNING, "django_jobs"):
        saved = finish([ended(*claim) for claim in zip(claims, outcomes, strict=True)], worker_id=worker.pk)

    assert saved == {jobs[0].pk, jobs[2].pk}
    assert [job.refresh().state for job in jobs] == ["succeeded", "running", "scheduled", "running"]
    assert set(Attempt.objects.values_list("job_id", flat=True)) == saved
    assert not DeadLetter.objects.exists()
    assert [record.getMessage() for record in caplog.records] == [
        f"job {job.pk} (sample) has lost claim 1; the outcome of this run is not saved" for job in (jobs[1], jobs[3])
    ]


def test_a_finish_that_fails_half_way_leaves_nothing_behind():
    """The attempt of this claim exists already, which the database refuses: the job must not be changed alone."""
    job, worker, claim = claimed()
    Attempt.objects.create(
        job=job, number=1, claim_number=claim.claim_number, outcome="lost", finished_at=ago(seconds=1)
    )

    with pytest.raises(Exception) as caught, transaction.atomic():  # noqa: PT011 - each driver has its own
        finish([ended(claim, failure(retry_in=None))], worker_id=worker.pk)

    assert type(caught.value).__name__ == "IntegrityError"
    assert job.refresh().state == State.RUNNING
    assert not DeadLetter.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("outcome", [Succeeded(), failure(retry_in=None)])
def test_a_finish_that_fails_half_way_leaves_nothing_behind_on_a_workers_own_connection(outcome):
    job, worker, claim = claimed()
    Attempt.objects.create(
        job=job, number=1, claim_number=claim.claim_number, outcome="lost", finished_at=ago(seconds=1)
    )

    with pytest.raises(Exception) as caught:  # noqa: PT011 - each driver has its own
        finish([ended(claim, outcome)], worker_id=worker.pk)

    assert type(caught.value).__name__ == "IntegrityError"
    assert not connection.in_atomic_block
    assert job.refresh().state == State.RUNNING
    assert not DeadLetter.objects.exists()


def lost(worker):
    Worker.objects.filter(pk=worker.pk).update(heartbeat_at=ago(minutes=1))
    assert mark_lost_workers(stale_after=timedelta(seconds=15)) == 1


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_zombie_cannot_finish_a_rescued_job(outcome):
    job, worker, claim = claimed()
    lost(worker)
    assert rescue(rules=RULES) == 1
    job.refresh()

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()

    assert job.refresh().state == State.READY
    assert [attempt.outcome for attempt in job.attempts.all()] == ["lost"]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_zombie_cannot_finish_the_next_run_of_its_rescued_job(outcome):
    job, worker, claim = claimed()
    lost(worker)
    rescue(rules=RULES)
    heir = make_worker()
    [second] = take(heir)

    assert finish([ended(claim, outcome)], worker_id=worker.pk) == set()
    assert finish([ended(second, Succeeded(result="2"))], worker_id=heir.pk) == {job.pk}

    job.refresh()
    assert (job.result, job.attempt, job.claim_number) == (2, 1, 2)


def test_a_zombie_that_finishes_while_its_rescue_is_under_way_wins(monkeypatch):
    job, worker, claim = claimed()
    lost(worker)

    def zombie_first(batch, *, worker_id, using):
        assert [run.claim.job_id for run in batch] == [job.pk]
        assert finish([ended(claim, Succeeded(result="1"))], worker_id=worker.pk) == {job.pk}
        return finish(batch, worker_id=worker_id, using=using)

    monkeypatch.setattr(rescue_module, "finish", zombie_first)

    assert rescue(rules=RULES) == 0

    job.refresh()
    assert (job.state, job.result) == (State.SUCCEEDED, 1)
    assert [attempt.outcome for attempt in job.attempts.all()] == ["succeeded"]


@pytest.mark.django_db(transaction=True)
def test_of_a_finish_and_a_rescue_in_the_same_instant_one_wins_each_job():
    jobs = make_jobs(60)
    worker = make_worker()
    claims = take(worker)
    batch = [ended(claim, Succeeded()) for claim in claims]

    def finish_one_by_one():
        return set().union(*(finish([run], worker_id=worker.pk) for run in batch))

    finished, rescued = run_together(finish_one_by_one, lambda: rescue_worker(worker.pk, rules=RULES))

    assert len(finished) + rescued == 60
    states = {job.pk: job.refresh().state for job in jobs}
    assert {pk for pk, state in states.items() if state == State.SUCCEEDED} == finished
    assert sum(state == State.READY for state in states.values()) == rescued
    assert Attempt.objects.count() == 60
