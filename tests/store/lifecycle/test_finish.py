from datetime import timedelta

import pytest

from django_jobs.models import Attempt, DeadLetter, Job
from django_jobs.policy.decide import Decision
from django_jobs.policy.outcomes import (
    AttemptOutcome,
    Discarded,
    Error,
    Lost,
    Released,
    Snoozed,
    Succeeded,
    UnknownJob,
    Unreadable,
)
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.finish import finish
from tests.factories import ago, ended, failure, make_job, make_jobs, make_worker, take

pytestmark = pytest.mark.django_db

ERROR = Error(error_class="shop.NoOrder", message="no order 7", traceback="Traceback ...", fingerprint="b" * 32)


def run(outcome, *, seconds=0.5, **fields):
    """Claim one job, finish it with ``outcome``; return it as it is then, with its claim and its worker."""
    job = make_job(**fields)
    worker = make_worker()
    [claim] = take(worker)
    assert finish([ended(claim, outcome, seconds=seconds)], worker_id=worker.pk) == {job.pk}
    return job.refresh(), claim, worker


def test_a_success_is_stored_with_its_result_and_its_times():
    job, claim, _ = run(Succeeded(result='{"pages": 3}'), seconds=2.5)

    assert job.state == State.SUCCEEDED
    assert job.result == {"pages": 3}
    assert job.finished_at - job.started_at == timedelta(seconds=2.5)
    assert abs(job.started_at - claim.claimed_at) < timedelta(milliseconds=1)
    assert (job.attempt, job.claim_number) == (1, 1)
    assert not DeadLetter.objects.exists()


def test_a_success_without_a_result_has_none():
    job, _, _ = run(Succeeded())

    assert job.result is None
    assert not job.is_result_lost


@pytest.mark.parametrize("outcome", [Succeeded(), Succeeded(result="1"), failure(), Discarded(error=ERROR)])
def test_an_attempt_is_recorded_once_when_it_ends(outcome):
    job, claim, worker = run(outcome, attempt=2, claim_number=6, ready_at=ago(minutes=1))

    [attempt] = Attempt.objects.all()
    assert (attempt.job_id, attempt.worker_id, attempt.number, attempt.claim_number) == (
        job.pk,
        worker.pk,
        3,
        7,
    )
    assert attempt.ready_at == claim.ready_at
    assert attempt.started_at == job.started_at
    assert attempt.duration == timedelta(seconds=0.5)
    # SQLite's clock cuts the start to milliseconds; the test's does not.
    assert timedelta(minutes=1) - timedelta(milliseconds=1) <= attempt.waited < timedelta(minutes=2)


def test_nothing_is_recorded_before_an_attempt_ends():
    make_job()
    take(make_worker())

    assert not Attempt.objects.exists()


def test_a_failure_is_scheduled_by_the_databases_clock_with_its_error_on_the_attempt():
    job, _, _ = run(failure("no \\ 'quotes' \"here\" %s {} 😀\nline two", retry_in=timedelta(minutes=10)))

    assert job.state == State.SCHEDULED
    assert abs(job.run_after - database_now() - timedelta(minutes=10)) < timedelta(seconds=30)
    assert (job.attempt, job.finished_at, job.result) == (1, None, None)
    attempt = job.last_attempt
    assert attempt.outcome == "failed"
    assert attempt.error_class == "builtins.RuntimeError"
    assert attempt.error_message == "no \\ 'quotes' \"here\" %s {} 😀\nline two"
    assert attempt.traceback == "Traceback ..."
    assert job.error == "RuntimeError: no \\ 'quotes' \"here\" %s {} 😀\nline two"
    assert not DeadLetter.objects.exists()


def test_a_wait_of_zero_is_scheduled_and_due_at_once():
    job, _, _ = run(failure(retry_in=timedelta(0)))

    assert job.state == State.SCHEDULED
    assert job.run_after <= database_now()


def test_the_last_failure_makes_a_dead_letter_with_all_that_is_known():
    job, _, _ = run(failure("it broke"), max_attempts=1, name="shop.send", queue_name="mail")

    assert job.state == State.DEAD
    assert job.finished_at is not None
    [letter] = DeadLetter.objects.all()
    assert (letter.job_id, letter.job_name, letter.queue_name, letter.attempt) == (
        job.pk,
        "shop.send",
        "mail",
        1,
    )
    assert (letter.reason, letter.status) == ("attempts_used_up", DeadLetter.Status.OPEN)
    assert (letter.error_class, letter.error_message) == ("builtins.RuntimeError", "it broke")
    assert (letter.traceback, letter.fingerprint) == ("Traceback ...", "a" * 32)
    assert letter.died_at == job.finished_at
    assert (letter.resolved_at, letter.resolved_by) == (None, "")
    assert job.last_attempt.outcome == "failed"


@pytest.mark.parametrize(
    ("outcome", "reason", "recorded"),
    [
        (failure(retry_in=None), "not_retryable", "failed"),
        (Discarded(error=ERROR), "discarded", "discarded"),
        (Unreadable(error=ERROR), "unreadable", "unreadable"),
    ],
)
def test_a_death_keeps_its_reason(outcome, reason, recorded):
    job, _, _ = run(outcome)

    assert job.state == State.DEAD
    assert DeadLetter.objects.get().reason == reason
    assert Attempt.objects.get().outcome == recorded


def test_a_death_without_a_python_error_has_a_fingerprint_of_its_own_all_the_same():
    for name in ("sample", "sample", "another"):
        run(UnknownJob(), unknown_since=ago(days=2), name=name)

    prints = list(DeadLetter.objects.order_by("pk").values_list("fingerprint", flat=True))
    assert prints[0] == prints[1] != prints[2]
    assert all(len(fingerprint) == 32 for fingerprint in prints)


def test_a_snooze_returns_the_attempt_but_never_the_claim_number():
    job, _, worker = run(Snoozed(delay=timedelta(0)), max_attempts=1)
    assert (job.state, job.attempt, job.claim_number) == (State.SCHEDULED, 0, 1)

    Job.objects.update(state=State.READY, run_after=None, ready_at=database_now())
    [claim] = take(worker)
    finish([ended(claim, Succeeded())], worker_id=worker.pk)

    assert list(Attempt.objects.order_by("claim_number").values_list("number", "claim_number", "outcome")) == [
        (1, 1, "snoozed"),
        (1, 2, "succeeded"),
    ]


def test_a_released_job_is_ready_at_its_old_position():
    early = make_job(ready_at=ago(minutes=5))
    make_job(ready_at=ago(minutes=4))
    worker = make_worker()
    [claim] = take(worker, limit=1)
    finish([ended(claim, Released(started=False))], worker_id=worker.pk)

    early.refresh()
    assert (early.state, early.attempt) == (State.READY, 0)
    assert not Attempt.objects.exists()
    assert take(make_worker(), limit=1)[0].job_id == early.pk


def test_an_unknown_job_waits_since_it_was_first_claimed_and_uses_no_attempt():
    job, _, worker = run(UnknownJob())
    assert (job.state, job.attempt) == (State.SCHEDULED, 0)
    first_held = job.unknown_since
    assert abs(first_held - database_now()) < timedelta(seconds=30)

    Job.objects.update(state=State.READY, run_after=None, ready_at=database_now())
    [claim] = take(worker)
    finish([ended(claim, UnknownJob())], worker_id=worker.pk)

    assert job.refresh().unknown_since == first_held
    assert not Attempt.objects.exists()


@pytest.mark.parametrize("outcome", [Succeeded(), failure()])
def test_a_job_that_became_known_is_no_longer_marked_unknown(outcome):
    job, _, _ = run(outcome, unknown_since=ago(hours=1))

    assert job.unknown_since is None


@pytest.mark.parametrize("outcome", [Released(started=False), Lost(reason="died")])
def test_a_claim_that_ended_before_the_name_was_looked_up_does_not_start_the_time_to_live_anew(outcome):
    since = ago(hours=23)
    job, _, _ = run(outcome, unknown_since=since)

    assert job.unknown_since == since


def test_an_unknown_job_that_outlived_its_time_is_dead_without_an_attempt():
    job, _, _ = run(UnknownJob(), unknown_since=ago(days=2))

    assert job.state == State.DEAD
    assert DeadLetter.objects.get().reason == "unknown_job"
    assert not Attempt.objects.exists()


def test_errors_as_long_as_their_columns_are_stored_whole():
    long = Error(error_class="é" * 200, message="😀" * 100_000, traceback="x\n" * 200_000, fingerprint="c" * 32)

    job, _, _ = run(Discarded(error=long))

    letter, attempt = DeadLetter.objects.get(), Attempt.objects.get()
    for stored in (letter, attempt):
        assert stored.error_class == long.error_class
        assert stored.error_message == long.message
        assert stored.traceback == long.traceback
    assert job.state == State.DEAD


def test_a_result_of_a_megabyte_is_stored():
    job, _, _ = run(Succeeded(result='"' + "é" * 500_000 + '"'))

    assert job.result == "é" * 500_000


def test_all_outcomes_in_one_batch_are_each_stored():
    outcomes = [
        Succeeded(result="1"),
        Succeeded(),
        failure(),
        failure(retry_in=None),
        Discarded(error=ERROR),
        Snoozed(delay=timedelta(hours=1)),
        Released(started=True),
        Released(started=False),
        UnknownJob(),
        Lost(reason="died"),
    ]
    jobs = make_jobs(len(outcomes))
    worker = make_worker()
    claims = take(worker)

    saved = finish([ended(*claim) for claim in zip(claims, outcomes, strict=True)], worker_id=worker.pk)

    assert saved == {job.pk for job in jobs}
    assert [job.refresh().state for job in jobs] == [
        *(
            "succeeded",
            "succeeded",
            "scheduled",
            "dead",
            "dead",
            "scheduled",
            "ready",
            "ready",
            "scheduled",
            "ready",
        )
    ]
    assert [job.attempt for job in jobs] == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    recorded = dict(Attempt.objects.values_list("job_id", "outcome"))
    assert [recorded.get(job.pk) for job in jobs] == [
        *(
            "succeeded",
            "succeeded",
            "failed",
            "failed",
            "discarded",
            "snoozed",
            "released",
            None,
            None,
            "lost",
        )
    ]
    assert sorted(DeadLetter.objects.values_list("job_id", flat=True)) == [jobs[3].pk, jobs[4].pk]


def test_five_hundred_runs_are_saved_by_a_handful_of_statements(django_assert_max_num_queries):
    make_jobs(1)
    Job.objects.bulk_create(
        Job(name="x", queue_name="default", max_attempts=1, enqueued_at=now, ready_at=now)
        for now in [database_now()] * 499
    )
    worker = make_worker()
    claims = take(worker, limit=500)
    batch = [ended(one, Succeeded(result=str(at))) for at, one in enumerate(claims)]

    with django_assert_max_num_queries(6):
        saved = finish(batch, worker_id=worker.pk)

    assert len(saved) == 500
    stored = dict(Job.objects.filter(state=State.SUCCEEDED).values_list("pk", "result_data"))
    assert [stored[claim.job_id] for claim in claims] == list(range(500))


def test_nothing_to_save_is_no_statement(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert finish([], worker_id=1) == set()


def test_a_delay_beyond_the_calendar_does_not_fail_the_rest_of_the_batch():
    """A job may ask for any wait; the decision limits it to what the database can hold."""
    make_jobs(2)
    worker = make_worker()
    first, second = take(worker)
    endless = ended(first, Snoozed(delay=timedelta.max))

    assert len(finish([endless, ended(second, Succeeded())], worker_id=worker.pk)) == 2

    job = Job.objects.get(pk=first.job_id)
    assert job.state == State.SCHEDULED
    assert job.run_after > database_now() + timedelta(days=365)


def test_a_cancelled_run_is_final():
    job = make_job()
    worker = make_worker()
    [claim] = take(worker)
    decision = Decision(state=State.CANCELLED, attempt_outcome=AttemptOutcome.CANCELLED)

    finish([ended(claim, Succeeded())._replace(decision=decision)], worker_id=worker.pk)

    job.refresh()
    assert job.state == State.CANCELLED
    assert job.finished_at is not None
    assert job.last_attempt.outcome == "cancelled"
