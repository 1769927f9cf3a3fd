import pytest

from django_jobs.models import Attempt, DeadLetter, Job, Worker
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.rescue import rescue, rescue_worker
from tests.concurrency import run_together
from tests.factories import RULES, ago, make_job, make_jobs, make_worker

WORKER_LOST = "django_jobs.exceptions.WorkerLostError"

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", [Worker.State.LOST, Worker.State.STOPPED])
def test_a_job_of_a_lost_worker_is_ready_again_at_its_old_position(state):
    ready_at = ago(minutes=9)
    worker = make_worker(state=state)
    job = make_job(State.RUNNING, worker=worker, attempt=2, claim_number=4, ready_at=ready_at)

    assert rescue(rules=RULES) == 1

    job.refresh()
    assert (job.state, job.attempt, job.claim_number, job.ready_at) == (State.READY, 1, 4, ready_at)
    assert job.worker_deaths == 1
    [attempt] = job.attempts.all()
    assert (attempt.outcome, attempt.number, attempt.claim_number) == ("lost", 2, 4)
    assert attempt.worker_id == worker.pk
    assert attempt.error == f"{WORKER_LOST}: worker {worker.pk} died or stopped responding while it had this job"


def test_a_job_whose_worker_has_no_row_any_more_is_rescued():
    job = make_job(State.RUNNING, worker_id=987_654)

    assert rescue(rules=RULES) == 1
    assert job.refresh().state == State.READY


def test_a_running_job_without_any_worker_is_rescued():
    """No operation makes such a row; a restored backup or a manual edit may."""
    job = make_job(State.RUNNING, worker=None)

    rescue(rules=RULES)

    assert job.refresh().state == State.READY


@pytest.mark.parametrize("state", [Worker.State.RUNNING, Worker.State.STOPPING])
def test_a_job_of_a_living_worker_is_left_alone_however_old_its_heartbeat(state):
    job = make_job(State.RUNNING, worker=make_worker(state=state, heartbeat_at=ago(days=1)))

    assert rescue(rules=RULES) == 0
    assert job.refresh().state == State.RUNNING


def test_a_job_that_was_lost_on_its_only_attempt_runs_again():
    job = make_job(State.RUNNING, worker=make_worker(state="lost"), attempt=1, max_attempts=1)

    assert rescue(rules=RULES) == 1

    assert (job.refresh().state, job.attempt, job.worker_deaths) == (State.READY, 0, 1)


def test_a_job_that_had_not_started_is_released_without_a_trace():
    worker = make_worker(state="lost")
    began, waited = make_jobs(2, State.RUNNING, worker=worker)

    assert rescue_worker(worker.pk, rules=RULES, ran={began.pk}, reason="it was killed") == 2

    assert (began.refresh().attempt, began.worker_deaths, began.error) == (0, 1, f"{WORKER_LOST}: it was killed")
    assert (waited.refresh().attempt, waited.worker_deaths, waited.last_attempt) == (0, 0, None)


def test_a_job_whose_workers_keep_dying_is_quarantined_with_a_dead_letter():
    job = make_job(
        State.RUNNING,
        worker=make_worker(state="lost"),
        worker_deaths=2,
        attempt=3,
        max_attempts=9,
        claim_number=3,
    )

    assert rescue(rules=RULES) == 1

    assert job.refresh().state == State.DEAD
    assert "(3 workers died while it ran)" in (job.error or "")
    letter = DeadLetter.objects.get()
    assert (letter.job_id, letter.reason, letter.error_class, letter.attempt) == (
        job.pk,
        "quarantined",
        WORKER_LOST,
        3,
    )
    assert len(letter.fingerprint) == 32


def test_a_job_that_was_claimed_by_a_worker_after_it_was_declared_lost_is_released():
    """A process that was frozen claims before its next heartbeat tells it: no death of a worker."""
    worker = make_worker(state="lost", stopped_at=ago(seconds=5))
    before = make_job(State.RUNNING, worker=worker, attempt=1, started_at=ago(seconds=6))
    after = make_job(State.RUNNING, worker=worker, attempt=1, started_at=ago(seconds=4))

    assert rescue(rules=RULES) == 2

    assert [(job.refresh().state, job.attempt) for job in (before, after)] == [(State.READY, 0)] * 2
    assert [job.attempts.get().outcome for job in (before, after)] == ["lost", "released"]
    assert (before.worker_deaths, after.worker_deaths) == (1, 0)


def test_only_running_jobs_are_rescued():
    worker = make_worker(state="lost")
    for state in set(State) - {State.RUNNING}:
        make_job(state, worker=worker)

    assert rescue(rules=RULES) == 0


def test_a_rescue_of_one_worker_leaves_the_claims_of_others():
    gone, also_gone = make_worker(state="lost"), make_worker(state="lost")
    job = make_job(State.RUNNING, worker=gone)
    other = make_job(State.RUNNING, worker=also_gone)

    assert rescue(rules=RULES, worker_id=gone.pk) == 1

    assert job.refresh().state == State.READY
    assert other.refresh().state == State.RUNNING


def test_a_supervisor_that_saw_a_worker_die_rescues_all_its_claims_at_once():
    worker = make_worker()
    now = ago(seconds=1)
    Job.objects.bulk_create(
        Job(
            name="x",
            queue_name="default",
            state=State.RUNNING,
            max_attempts=5,
            attempt=1,
            claim_number=1,
            worker=worker,
            enqueued_at=now,
            ready_at=now,
            started_at=now,
        )
        for _ in range(1_203)
    )
    alive = make_job(State.RUNNING)

    assert rescue_worker(worker.pk, rules=RULES) == 1_203

    worker.refresh_from_db()
    assert worker.state == Worker.State.LOST
    assert worker.stopped_at is not None
    assert Job.objects.filter(state=State.READY).count() == 1_203
    assert Attempt.objects.filter(outcome="lost").count() == 1_203
    assert alive.refresh().state == State.RUNNING


def test_a_lost_job_keeps_the_time_since_which_its_name_is_unknown():
    since = ago(hours=23)
    job = make_job(State.RUNNING, worker=make_worker(state="lost"), unknown_since=since)

    rescue(rules=RULES)

    assert job.refresh().unknown_since == since


@pytest.mark.django_db(transaction=True)
def test_two_rescues_at_once_record_each_job_once():
    worker = make_worker(state="lost")
    jobs = make_jobs(40, State.RUNNING, worker=worker)

    rescued = run_together(*[lambda: rescue_worker(worker.pk, rules=RULES)] * 3)

    assert sum(rescued) == 40
    assert Attempt.objects.count() == 40
    assert {job.refresh().state for job in jobs} == {State.READY}
