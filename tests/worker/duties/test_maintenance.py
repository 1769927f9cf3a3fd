from __future__ import annotations

from datetime import timedelta

import django
import pytest
from django.core import mail
from django.test import override_settings

from django_jobs.models import (
    DeadLetterGroup,
    DeadLetterHour,
    Job,
    JobIdCheckpoint,
    Queue,
    Rollup,
    RollupPosition,
    Worker,
)
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.worker.duties.maintenance import Maintenance
from tests import factories
from tests.worker.contexts import RecordedEvents, make_context

# Pairs of name and address until Django 5.2, addresses from 6.0 on.
ADMINS = ["ada@example.com"] if django.VERSION >= (6, 0) else [("Ada", "ada@example.com")]

pytestmark = pytest.mark.django_db(transaction=True)


def _maintain(worker: Worker | None = None, queues: tuple[str, ...] = ()) -> Maintenance:
    worker = worker or factories.make_worker()
    context = make_context(RecordedEvents(), worker_id=worker.pk)
    context.seen_queues = frozenset(queues)
    maintenance = Maintenance(context)
    maintenance.step()
    return maintenance


def test_claims_of_a_worker_without_a_heartbeat_are_rescued() -> None:
    stale = factories.make_worker(heartbeat_at=factories.ago(seconds=16))
    job = factories.make_job(State.RUNNING, worker=stale)
    _maintain()
    assert job.refresh().state == "ready"
    assert Worker.objects.get(pk=stale.pk).state == "lost"


def test_the_next_round_is_when_a_silent_worker_becomes_stale() -> None:
    """A dead host's jobs are rescued within STALE_AFTER of its last heartbeat, 15 s, not an interval later."""
    factories.make_worker(heartbeat_at=factories.ago(seconds=12))
    assert _maintain().step() <= 3.1


def test_without_a_silent_worker_the_next_round_is_after_the_interval() -> None:
    own = factories.make_worker(heartbeat_at=factories.ago(seconds=14))
    maintenance = _maintain(own)
    assert maintenance.step() == 5
    factories.make_worker()
    assert maintenance.step() == 5


def test_a_worker_never_marks_itself_as_lost() -> None:
    """It may have been frozen between its heartbeat and this round."""
    own = factories.make_worker(heartbeat_at=factories.ago(hours=1))
    job = factories.make_job(State.RUNNING, worker=own)
    _maintain(own)
    assert job.refresh().state == "running"
    assert Worker.objects.get(pk=own.pk).state == "running"


def test_seen_queues_are_registered_once() -> None:
    maintenance = _maintain(queues=("mail", "documents"))
    maintenance.step()
    assert set(Queue.objects.values_list("name", flat=True)) == {"mail", "documents"}


def test_old_jobs_are_pruned_by_the_retention_of_their_state() -> None:
    old = factories.ago(days=8)
    gone = factories.make_job(State.SUCCEEDED, enqueued_at=old, finished_at=old)
    kept = factories.make_job(State.DEAD, enqueued_at=old, finished_at=old)
    _maintain()
    assert list(Job.objects.all()) == [kept]
    assert not Job.objects.filter(pk=gone.pk).exists()


@override_settings(ADMINS=ADMINS, DJANGO_JOBS={"ALERTS": {"MAIL_ADMINS": True, "MAIL_ADMINS_PERIOD": 3600}})
def test_admins_are_mailed_once_per_fingerprint_and_period() -> None:
    for _ in range(3):
        factories.make_letter(fingerprint="a" * 32, error_message="no such card")
    factories.make_letter(fingerprint="b" * 32, job_name="other")
    first, second = factories.make_worker(), factories.make_worker()
    _maintain(first).step()
    _maintain(second)
    assert len(mail.outbox) == 2
    subjects = sorted(message.subject for message in mail.outbox)
    assert subjects[1].endswith("sample failed for good: RuntimeError")
    body = next(message.body for message in mail.outbox if "sample" in message.subject)
    assert "RuntimeError: no such card" in body
    assert "Dead letters with this error lately: 3." in body
    assert "/admin/django_jobs/deadletter/" in body


@override_settings(ADMINS=ADMINS)
def test_admins_are_not_mailed_by_default() -> None:
    factories.make_letter()
    _maintain()
    assert mail.outbox == []


@override_settings(DJANGO_JOBS={"RETENTION": {"SUCCEEDED": timedelta(seconds=1)}})
def test_pruning_continues_where_it_stopped() -> None:
    old = factories.ago(days=1)
    factories.make_jobs(3, State.SUCCEEDED, enqueued_at=old, finished_at=old)
    _maintain()
    assert not Job.objects.exists()


def test_finished_jobs_are_rolled_up_and_a_job_id_checkpoint_is_recorded() -> None:
    job = factories.make_job(State.DEAD)
    factories.make_attempt(job, outcome="succeeded")
    factories.make_letter(job)
    maintenance = _maintain()
    RollupPosition.objects.update(seen_at=factories.ago(minutes=1))
    maintenance.step()
    assert [(row.succeeded, row.dead) for row in Rollup.objects.all()] == [(1, 1)] * 6
    assert DeadLetterGroup.objects.get().open == 1
    assert JobIdCheckpoint.objects.get().job_id == job.pk


def test_rollups_are_pruned_when_no_page_shows_them_any_more() -> None:
    kept = {60: {"hours": 2.9}, 600: {"days": 2.9}, 3600: {"days": 59}}
    gone = {60: {"hours": 3.1}, 600: {"days": 3.1}, 3600: {"days": 61}}
    for spans in (kept, gone):
        for seconds, age in spans.items():
            Rollup.objects.create(span_seconds=seconds, starts_at=factories.ago(**age), queue_name="default")
    for days in (7, 9):
        DeadLetterHour.objects.create(fingerprint="f" * 32, starts_at=factories.ago(days=days))
    JobIdCheckpoint.objects.create(recorded_at=factories.ago(days=1), job_id=0)
    factories.make_job()
    long_ago = factories.ago(days=91)
    DeadLetterGroup.objects.create(fingerprint="f", first_died_at=long_ago, last_died_at=long_ago)
    _maintain()
    assert Rollup.objects.count() == 3
    assert Rollup.objects.get(span_seconds=60).starts_at > factories.ago(hours=3)
    assert DeadLetterHour.objects.count() == 1
    assert not JobIdCheckpoint.objects.filter(job_id=0).exists()
    assert not DeadLetterGroup.objects.exists()


def test_expired_jobs_are_cancelled() -> None:
    job = factories.make_job(State.READY, flags=JobFlag.EXPIRES)
    factories.make_expiry(job, expires_at=factories.ago(seconds=1))
    _maintain()
    assert job.refresh().state == "cancelled"
    assert job.expired_at is not None


def test_a_clock_that_is_set_back_is_noticed_and_holds_up_no_rescue(caplog) -> None:
    maintenance = _maintain()
    assert "set back" not in caplog.text
    dead = factories.make_worker(heartbeat_at=factories.ago(hours=-1))
    batch = factories.make_batch(state="open", closed_at=None, last_activity_at=factories.ago(hours=-1))
    maintenance.step()
    assert Worker.objects.get(pk=dead.pk).heartbeat_at <= database_now()

    clock = maintenance._clock_steps
    clock._last = clock._last._replace(instant=clock._last.instant + timedelta(hours=1))
    maintenance.step()
    assert "the database's clock was set back by 3600 s" in caplog.text
    assert "1 activity of batches were in the future; they are corrected" in caplog.text
    batch.refresh_from_db()
    assert batch.last_activity_at <= database_now()


def test_a_clock_that_is_set_forward_makes_nobody_lost_who_is_alive(caplog) -> None:
    maintenance = _maintain()
    worker = factories.make_worker(heartbeat_at=factories.ago(hours=1))
    clock = maintenance._clock_steps
    clock._last = clock._last._replace(instant=clock._last.instant - timedelta(hours=1))
    maintenance.step()
    assert "was set forward by 3600 s, or this host was suspended" in caplog.text
    assert Worker.objects.get(pk=worker.pk).state == "running"
    clock._distrust_until = 0
    maintenance.step()
    assert Worker.objects.get(pk=worker.pk).state == "lost"
