"""Signals: which outcome sends which, when, and that a failing receiver changes nothing."""

import logging
from datetime import timedelta

import pytest
from django.db import transaction

from django_jobs import signals
from django_jobs.models import DeadLetter, Job
from django_jobs.policy.outcomes import Discarded, Lost, Released, Snoozed, Succeeded, UnknownJob
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import StartedRun
from django_jobs.store.lifecycle import rescue as rescue_module
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.rescue import rescue
from django_jobs.store.lifecycle.signals import announce_ends, announce_start
from tests.factories import RULES, ended, failure, make_job, make_jobs, make_worker, take
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db(transaction=True)
NAMES = ("enqueued", "started", "succeeded", "retried", "dead", "cancelled")


class Ear:
    """Receives every signal: a list of (signal, job id), and the arguments of each."""

    def __init__(self):
        self.heard = []
        self.arguments = []
        self.receivers = {name: self._receiver(name) for name in NAMES}

    def _receiver(self, name):
        def receive(sender, job, **arguments):
            assert sender is Job
            self.heard.append((name, job.pk))
            self.arguments.append({"job": job, **arguments})

        return receive


@pytest.fixture
def ear():
    one = Ear()
    for name, receiver in one.receivers.items():
        getattr(signals, f"job_{name}").connect(receiver)
    yield one
    for name, receiver in one.receivers.items():
        getattr(signals, f"job_{name}").disconnect(receiver)


@pytest.fixture
def _broken_receivers():
    def broken(**_):
        raise ZeroDivisionError("a receiver's own bug")

    for name in NAMES:
        getattr(signals, f"job_{name}").connect(broken)
    yield
    for name in NAMES:
        getattr(signals, f"job_{name}").disconnect(broken)


def finish_one(outcome, **fields):
    make_job(**fields)
    worker = make_worker()
    [claim] = take(worker)
    batch = [ended(claim, outcome)]
    saved = finish(batch, worker_id=worker.pk)
    announce_ends([run for run in batch if run.claim.job_id in saved], worker_id=1)
    return claim.job_id


def test_an_enqueue_sends_a_signal_for_each_job_after_the_commit(ear):
    with transaction.atomic():
        jobs = echo.enqueue_many([(1,), (2,)])
        assert ear.heard == []

    assert ear.heard == [("enqueued", jobs[0].pk), ("enqueued", jobs[1].pk)]
    assert ear.arguments[0]["job"].arguments == {"value": 1}


def test_an_enqueue_that_is_rolled_back_sends_none(ear):
    with transaction.atomic():
        echo.enqueue()
        transaction.set_rollback(True)

    assert ear.heard == []


def test_a_cancel_sends_a_signal_for_each_cancelled_job_after_the_commit(ear):
    jobs = make_jobs(2)
    make_job(State.RUNNING)

    with transaction.atomic():
        cancel(Job.objects.all())
        assert ear.heard == []

    assert ear.heard == [("cancelled", job.pk) for job in jobs]
    assert ear.arguments[0]["job"].state == State.CANCELLED


def test_a_start_sends_a_signal_with_the_job(ear):
    job = make_job()
    [claim] = take(make_worker())

    announce_start(StartedRun(claim, 1, 0.0))

    assert ear.heard == [("started", job.pk)]


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Succeeded(), "succeeded"),
        (failure(), "retried"),
        (failure(retry_in=None), "dead"),
        (Discarded(error=failure().error), "dead"),
        (Lost(reason="died"), "retried"),
        (Snoozed(delay=timedelta(0)), None),
        (Released(started=True), None),
        (Released(started=False), None),
        (UnknownJob(), None),
    ],
)
def test_each_end_of_a_run_has_its_signal_or_none(ear, outcome, name):
    job_id = finish_one(outcome)

    assert ear.heard == ([(name, job_id)] if name else [])


def test_the_signal_of_a_death_has_its_dead_letter(ear):
    finish_one(failure(retry_in=None))

    [arguments] = ear.arguments
    assert arguments["dead_letter"] == DeadLetter.objects.get()
    assert arguments["job"].state == State.DEAD


def test_a_rescue_sends_the_signals_of_its_outcomes(ear):
    worker = make_worker(state="lost")
    again = make_job(State.RUNNING, worker=worker)
    dead = make_job(State.RUNNING, worker=worker, worker_deaths=2)

    rescue(rules=RULES)

    assert sorted(ear.heard) == [("dead", dead.pk), ("retried", again.pk)]


def test_a_rescue_that_came_too_late_sends_none(ear, monkeypatch):
    worker = make_worker(state="lost")
    make_job()
    [claim] = take(worker)

    def zombie_first(batch, **options):
        finish([ended(claim, Succeeded())], worker_id=worker.pk)
        return finish(batch, **options)

    monkeypatch.setattr(rescue_module, "finish", zombie_first)

    assert rescue(rules=RULES) == 0
    assert ear.heard == []


def test_a_job_that_was_purged_meanwhile_is_skipped(ear):
    make_jobs(2)
    worker = make_worker()
    claims = take(worker)
    batch = [ended(claim, Succeeded()) for claim in claims]
    finish(batch, worker_id=worker.pk)
    Job.objects.filter(pk=claims[0].job_id)._raw_delete("default")

    announce_ends(batch, worker_id=1)
    announce_start(StartedRun(claims[0], 1, 0.0))

    assert ear.heard == [("succeeded", claims[1].job_id)]


def test_nothing_is_read_without_receivers(django_assert_num_queries):
    make_jobs(2)
    worker = make_worker()
    claims = take(worker)

    with django_assert_num_queries(0):
        announce_start(StartedRun(claims[0], 1, 0.0))
    batch = [ended(claims[0], Succeeded()), ended(claims[1], failure())]
    with django_assert_num_queries(0):
        announce_ends(batch, worker_id=1)


@pytest.mark.usefixtures("_broken_receivers")
def test_a_receiver_that_raises_is_logged_and_changes_nothing(ear, caplog):
    with caplog.at_level(logging.ERROR, "django.dispatch"):
        job = echo.using(queue_name="other").enqueue()
        Job.objects.filter(pk=job.pk).update(state=State.BLOCKED)
        done = finish_one(Succeeded())
        dead = finish_one(failure(retry_in=None))
        waiting = make_job()
        assert cancel(waiting).cancelled == 1

    assert Job.objects.filter(pk=job.pk).exists()
    assert Job.objects.get(pk=done).state == State.SUCCEEDED
    assert Job.objects.get(pk=dead).state == State.DEAD
    assert waiting.refresh().state == State.CANCELLED
    assert [name for name, _ in ear.heard] == ["enqueued", "succeeded", "dead", "cancelled"]
    assert (
        len([record for record in caplog.records if "ZeroDivisionError" in (record.exc_text or str(record.exc_info))])
        == 4
    )
