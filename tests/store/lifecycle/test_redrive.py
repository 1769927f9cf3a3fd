import pytest
from django.db.models import Q

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.outcomes import Succeeded
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle import purge as purge_module
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from tests.factories import ago, ended, failure, make_attempt, make_job, make_letter, make_worker, take

pytestmark = pytest.mark.django_db


def make_dead(**fields):
    job = make_job(State.DEAD, **({"attempt": 5, "claim_number": 7, "ready_at": ago(hours=1)} | fields))
    return job, make_letter(job)


@pytest.mark.parametrize(
    "target",
    [
        lambda job, letter: job,
        lambda job, letter: letter,
        lambda job, letter: Job.objects.filter(pk=job.pk),
        lambda job, letter: DeadLetter.objects.filter(pk=letter.pk),
        lambda job, letter: Q(pk=letter.pk),
        lambda job, letter: DeadLetter.objects.order_by("pk")[:1],
    ],
    ids=["job", "letter", "jobs", "letters", "filter", "slice"],
)
def test_a_redriven_job_has_all_its_attempts_again_and_the_dead_letter_names_the_actor(target):
    job, letter = make_dead()
    other, other_letter = make_dead()
    before = ago(seconds=1)

    assert redrive(target(job, letter), by="anna") == 1

    job.refresh()
    assert (job.state, job.attempt, job.claim_number) == (State.READY, 0, 7)
    assert (job.finished_at, job.unknown_since) == (None, None)
    assert before <= job.ready_at <= database_now()
    letter.refresh_from_db()
    assert (letter.status, letter.resolved_by) == ("redriven", "anna")
    assert before <= letter.resolved_at <= database_now()
    other_letter.refresh_from_db()
    assert (other.refresh().state, other_letter.status) == (State.DEAD, "open")


def test_a_redriven_job_waits_behind_those_that_are_ready():
    job, letter = make_dead()
    waiting = make_job(ready_at=ago(seconds=1))
    redrive(letter)

    assert [claim.job_id for claim in take(make_worker())] == [waiting.pk, job.pk]


def test_a_redriven_job_that_dies_again_has_a_second_dead_letter():
    _, letter = make_dead(max_attempts=1)
    redrive(letter, by="anna")
    worker = make_worker()
    [claim] = take(worker)
    finish([ended(claim, failure())], worker_id=worker.pk)

    letters = DeadLetter.objects.order_by("pk").values_list("status", "resolved_by")
    assert list(letters.all()) == [("redriven", "anna"), ("open", "")]
    assert redrive(Job.objects.all(), by="bert") == 1
    assert list(letters.all()) == [("redriven", "anna"), ("redriven", "bert")]


def test_a_redriven_job_that_succeeds_keeps_its_history():
    job, letter = make_dead()
    make_attempt(job, number=5, claim_number=7)
    redrive(letter)
    worker = make_worker()
    [claim] = take(worker)
    finish([ended(claim, Succeeded())], worker_id=worker.pk)

    assert list(job.attempts.order_by("claim_number").values_list("number", "claim_number", "outcome")) == [
        (5, 7, "failed"),
        (1, 8, "succeeded"),
    ]


@pytest.mark.parametrize("state", [state for state in State if state is not State.DEAD])
def test_a_job_that_is_not_dead_is_left_alone(state):
    job = make_job(state)
    letter = make_letter(job)

    assert redrive(job) == redrive(letter) == redrive(Job.objects.all()) == redrive(Q()) == 0

    letter.refresh_from_db()
    assert (job.refresh().state, letter.status) == (state, "open")


def test_a_dead_letter_that_is_resolved_already_redrives_nothing():
    job, letter = make_dead()
    DeadLetter.objects.update(status="purged")

    assert redrive(letter) == redrive(DeadLetter.objects.all()) == redrive(Q()) == 0
    assert job.refresh().state == State.DEAD


def test_a_filter_redrives_what_matches_it():
    _, letter = make_dead()
    same = make_letter(make_dead()[0].refresh(), fingerprint="e" * 32)
    make_dead()

    assert redrive(Q(fingerprint=same.fingerprint)) == 1
    letter.refresh_from_db()
    assert letter.status == "open"


def test_a_job_with_two_open_dead_letters_is_redriven_once_and_both_are_resolved():
    job, _ = make_dead()
    make_letter(job)

    assert redrive(DeadLetter.objects.all(), by="anna") == 1
    assert list(DeadLetter.objects.values_list("status", flat=True)) == ["redriven", "redriven"]


@pytest.mark.slow
def test_more_than_a_thousand_dead_letters_are_all_redriven():
    now = database_now()
    Job.objects.bulk_create(
        Job(
            name="x",
            queue_name="q",
            state=State.DEAD,
            max_attempts=1,
            attempt=1,
            enqueued_at=now,
            finished_at=now,
        )
        for _ in range(1_050)
    )
    DeadLetter.objects.bulk_create(
        DeadLetter(job_id=pk, job_name="x", queue_name="q", reason="lost", attempt=1, fingerprint="f", died_at=now)
        for pk in Job.objects.values_list("pk", flat=True)
    )

    assert redrive(Q(job_name="x")) == 1_050
    assert not DeadLetter.objects.filter(status="open").exists()
    assert Job.objects.filter(state=State.READY).count() == 1_050


def test_a_name_longer_than_its_column_is_cut():
    _, letter = make_dead()

    redrive(letter, by="x" * 500)

    letter.refresh_from_db()
    assert letter.resolved_by == "x" * 150


def test_a_purge_deletes_the_job_and_its_attempts_and_keeps_the_dead_letter_as_a_record():
    job, letter = make_dead()
    make_attempt(job)
    other = make_attempt(make_dead()[0])

    assert purge(letter, by="anna") == 1

    assert not Job.objects.filter(pk=job.pk).exists()
    assert list(other._meta.model.objects.all()) == [other]
    letter.refresh_from_db()
    assert (letter.status, letter.resolved_by, letter.job_id) == ("purged", "anna", None)
    assert letter.resolved_at is not None
    assert letter.error_message == "it broke"


def test_a_purge_leaves_the_record_of_an_earlier_redrive():
    job, letter = make_dead()
    redrive(letter, by="bert")
    Job.objects.update(state=State.SUCCEEDED)

    assert purge(job, by="anna") == 1

    letter.refresh_from_db()
    assert (letter.status, letter.resolved_by, letter.job_id) == ("redriven", "bert", None)


def test_a_purge_spares_a_job_redriven_between_its_two_reads(monkeypatch):
    job, letter = make_dead()
    let_go = purge_module.lock_deletable

    def redriven_just_before(*args, **kwargs):
        redrive(letter, by="anna")
        return let_go(*args, **kwargs)

    monkeypatch.setattr(purge_module, "lock_deletable", redriven_just_before)

    assert purge(job) == 0
    assert job.refresh().state == State.READY


@pytest.mark.parametrize("state", list(State))
def test_a_purge_deletes_only_what_has_ended(state):
    job = make_job(state)
    ended_states = {State.SUCCEEDED, State.CANCELLED, State.DEAD}

    assert purge(job) == (state in ended_states)
    assert Job.objects.exists() == (state not in ended_states)


def test_a_purge_of_a_queryset_reaches_the_jobs_that_match():
    make_dead(queue_name="mail")
    keep, _ = make_dead(queue_name="documents")

    assert purge(Job.objects.filter(queue_name="mail")) == 1
    assert list(Job.objects.all()) == [keep]
