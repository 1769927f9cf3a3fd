from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta

import django
import pytest
from django.db import Error as DatabaseError
from django.db import connection
from django.test import override_settings

from django_jobs.brokers import publish
from django_jobs.models import (
    DeadLetterGroup,
    DeadLetterHour,
    Job,
    JobIdCheckpoint,
    Queue,
    ReceivedId,
    Rollup,
    RollupPosition,
    Worker,
)
from django_jobs.policy import backlog
from django_jobs.policy.flags import JobFlag
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.messages.inbox import insert_new_ids
from django_jobs.store.stats import backlog as stats_backlog
from django_jobs.worker.duties import maintenance as maintenance_module
from django_jobs.worker.duties.maintenance import WINDOWS_PER_ROUND, Maintenance
from tests import factories
from tests.admission import admit_all
from tests.worker.contexts import RecordedEvents, make_context

# Pairs of name and address until Django 5.2, addresses from 6.0 on.
ADMINS = ["ada@example.com"] if django.VERSION >= (6, 0) else [("Ada", "ada@example.com")]
BROKER = {"url": "redis://127.0.0.1:1/0"}

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


def test_workers_that_start_leave_its_key_to_a_dead_message_as_long_as_its_broker_says_so() -> None:
    def start_worker() -> list[str]:
        _maintain()
        admit_all()
        return [job.refresh().state for job in jobs]

    with override_settings(DJANGO_JOBS={"BROKERS": {"events": BROKER | {"on_dead_message": "hold_key"}}}):
        jobs = [publish("events", "orders", {"order_id": number}, key="a")[0] for number in (1, 2)]
        assert start_worker() == ["ready", "blocked"]
        worker = factories.make_worker()
        died = [factories.ended(claim, factories.failure(retry_in=None)) for claim in factories.take(worker)]
        finish(died, worker_id=worker.pk)
        assert start_worker() == ["dead", "blocked"]
    with override_settings(DJANGO_JOBS={"BROKERS": {"events": BROKER}}):
        assert start_worker() == ["dead", "ready"]


def test_the_next_round_is_when_a_silent_worker_becomes_stale() -> None:
    """A dead host's jobs are rescued within STALE_AFTER of its last heartbeat, 15 s, not an interval later."""
    factories.make_worker(heartbeat_at=factories.ago(seconds=12))
    assert _maintain().step() <= 3.1


def test_without_a_silent_worker_the_next_round_is_after_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance_module, "until_next_minute", lambda now: 60.0)
    own = factories.make_worker(heartbeat_at=factories.ago(seconds=14))
    maintenance = _maintain(own)
    assert maintenance.step() == 5
    factories.make_worker()
    assert maintenance.step() == 5


def test_no_pause_goes_beyond_the_start_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    maintenance = _maintain()
    monkeypatch.setattr(maintenance_module, "until_next_minute", lambda now: 2.0)
    assert 1.0 < maintenance.step() <= 2.5
    monkeypatch.setattr(maintenance_module, "until_next_minute", lambda now: -3.0)
    assert maintenance.step() == 0


def test_the_backlog_is_sampled_in_the_first_round_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_DELAY", timedelta(minutes=1))
    factories.make_jobs(3, queue_name="mail")
    first = _maintain()
    second = _maintain()
    sampled = Rollup.objects.filter(span_seconds=60, queue_name="mail")
    assert {row.waiting for row in sampled.all()} == {3}
    Rollup.objects.all().delete()
    RollupPosition.objects.filter(pk="backlog").update(seen_at=database_now())
    first.step()
    second.step()
    assert not sampled.exists()
    RollupPosition.objects.filter(pk="backlog").update(seen_at=factories.ago(minutes=1))
    second.step()
    assert sampled.get().waiting == 3


def test_a_sample_that_fails_is_a_warning_and_holds_up_no_rescue(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backlog, "MAX_DELAY", timedelta(minutes=1))
    monkeypatch.setattr(stats_backlog, "read_levels", lambda connection, limit: _fail(connection))
    stale = factories.make_worker(heartbeat_at=factories.ago(seconds=16))
    job = factories.make_job(State.RUNNING, worker=stale)
    _maintain()
    assert job.refresh().state == "ready"
    (record,) = [record for record in caplog.records if "was not sampled" in record.message]
    assert record.levelname == "WARNING"
    assert "no_such_table" in str(record.exc_info)
    assert not Rollup.objects.exists()


@pytest.mark.skipif("connection.vendor == 'sqlite'")
def test_a_connection_that_breaks_in_a_sample_is_the_loops_to_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MAX_DELAY", timedelta(minutes=1))
    monkeypatch.setattr(stats_backlog, "read_levels", lambda connection, limit: _cut(connection))
    with pytest.raises(DatabaseError):
        _maintain()
    with suppress(DatabaseError):
        connection.close()


def _fail(connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM no_such_table")


def _cut(connection) -> None:
    connection.connection.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


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


@override_settings(DJANGO_JOBS={"RETENTION": {"SUCCEEDED": timedelta(seconds=1)}})
def test_pruning_continues_where_it_stopped() -> None:
    old = factories.ago(days=1)
    factories.make_jobs(3, State.SUCCEEDED, enqueued_at=old, finished_at=old)
    _maintain()
    assert not Job.objects.exists()


def test_old_records_are_pruned_a_part_in_each_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long downtime there may be millions, and a rescue must not wait for them."""
    for module in ("django_jobs.store.old_rows", "django_jobs.worker.duties.maintenance"):
        monkeypatch.setattr(f"{module}.WINDOW", 1)
    insert_new_ids(1, [str(number) for number in range(WINDOWS_PER_ROUND + 2)])
    ReceivedId.objects.update(received_at=factories.ago(days=15))
    maintenance = _maintain()
    assert ReceivedId.objects.count() == 2
    maintenance.step()
    assert not ReceivedId.objects.exists()


def test_finished_jobs_are_rolled_up_and_a_job_id_checkpoint_is_recorded() -> None:
    job = factories.make_job(State.DEAD)
    factories.make_attempt(job, outcome="succeeded")
    factories.make_letter(job)
    maintenance = _maintain()
    RollupPosition.objects.update(seen_at=factories.ago(minutes=1))
    maintenance.step()
    sums = Rollup.objects.exclude(succeeded=0, dead=0)  # without those that have a sample of the backlog only
    assert [(row.succeeded, row.dead) for row in sums] == [(1, 1)] * 6
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
    RollupPosition.objects.create(source="backlog", seen_at=database_now() + timedelta(minutes=1))  # no sample
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


def _logged_seconds(step: str, caplog: pytest.LogCaptureFixture) -> int:
    """Return the size of a step of the clock: what it is at least, which is less if a reading took long."""
    found = re.search(rf"the database's clock was {step} by (\d+) s", caplog.text)
    assert found, caplog.text
    return int(found[1])


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
    assert 3590 <= _logged_seconds("set back", caplog) <= 3600
    assert "1 activity of batches were in the future; they are corrected" in caplog.text
    batch.refresh_from_db()
    assert batch.last_activity_at <= database_now()


def test_a_clock_that_is_set_forward_makes_nobody_lost_who_is_alive(caplog) -> None:
    maintenance = _maintain()
    worker = factories.make_worker(heartbeat_at=factories.ago(hours=1))
    clock = maintenance._clock_steps
    clock._last = clock._last._replace(instant=clock._last.instant - timedelta(hours=1))
    maintenance.step()
    assert 3590 <= _logged_seconds("set forward", caplog) <= 3600
    assert "or this host was suspended" in caplog.text
    assert Worker.objects.get(pk=worker.pk).state == "running"
    clock._distrust_until = 0
    maintenance.step()
    assert Worker.objects.get(pk=worker.pk).state == "lost"
