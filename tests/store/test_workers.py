from datetime import timedelta

import pytest
from django.db import connection

from django_jobs.models import Worker
from django_jobs.store.clock import database_now
from django_jobs.store.workers import (
    HeartbeatStatus,
    is_stop_requested,
    mark_lost_workers,
    record_heartbeat,
    register_worker,
    set_worker_state,
    stop_worker,
)
from tests.factories import ago, make_worker

pytestmark = pytest.mark.django_db
STALE_AFTER = timedelta(seconds=15)


def test_a_registered_worker_is_alive_with_what_it_said_of_itself():
    worker_id = register_worker(hostname="web-1", pid=4711, queues=["mail", "default"], concurrency=8, version="0.1.0")

    worker = Worker.objects.get(pk=worker_id)
    assert (worker.hostname, worker.pid, worker.queues) == ("web-1", 4711, ["mail", "default"])
    assert (worker.concurrency, worker.version, worker.state) == (8, "0.1.0", "running")
    assert abs(worker.heartbeat_at - database_now()) < timedelta(seconds=30)
    assert abs(worker.started_at - worker.heartbeat_at) < timedelta(seconds=1)
    assert (worker.stopped_at, worker.memory_bytes) == (None, None)


def test_a_worker_of_all_queues_lists_none():
    worker_id = register_worker(hostname="h", pid=1, queues=None, concurrency=1, version="0")

    assert Worker.objects.get(pk=worker_id).queues == []


def test_names_longer_than_their_columns_are_cut():
    worker_id = register_worker(hostname="h" * 500, pid=1, queues=["q" * 100] * 50, concurrency=1, version="v" * 200)

    worker = Worker.objects.get(pk=worker_id)
    assert (len(worker.hostname), len(worker.version), len(worker.queues)) == (255, 50, 50)


@pytest.mark.parametrize("state", ["running", "stopping"])
def test_a_heartbeat_of_a_living_worker_is_saved(state):
    worker = make_worker(state=state, heartbeat_at=ago(minutes=1))

    assert record_heartbeat(worker.pk, memory_bytes=5_000_000_000) is HeartbeatStatus.ALIVE

    worker.refresh_from_db()
    assert worker.heartbeat_at > ago(seconds=30)
    assert (worker.memory_bytes, worker.state) == (5_000_000_000, state)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has HOT updates")
def test_a_heartbeat_writes_no_index_and_leaves_nothing_to_vacuum():
    worker = make_worker()
    before = _updates()
    for memory in (1, 2, 3):
        record_heartbeat(worker.pk, memory_bytes=memory, activity={"running": []})

    assert [now - then for now, then in zip(_updates(), before, strict=True)] == [3, 3]


def _updates():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'django_jobs_worker'"
        )
        return cursor.fetchone()


@pytest.mark.parametrize("state", ["lost", "stopped"])
def test_a_heartbeat_of_a_lost_worker_is_refused(state):
    long_ago = ago(minutes=1)
    worker = make_worker(state=state, heartbeat_at=long_ago)

    assert record_heartbeat(worker.pk) is HeartbeatStatus.LOST

    worker.refresh_from_db()
    assert (worker.state, worker.heartbeat_at) == (state, long_ago)


def test_a_heartbeat_of_a_worker_without_a_row_is_refused():
    assert record_heartbeat(987_654) is HeartbeatStatus.LOST


def test_a_worker_that_is_stopping_is_still_alive():
    worker = make_worker()

    assert set_worker_state(worker.pk, Worker.State.STOPPING) is True

    worker.refresh_from_db()
    assert (worker.state, worker.stopped_at) == ("stopping", None)
    assert record_heartbeat(worker.pk) is HeartbeatStatus.ALIVE


def test_a_stop_request_is_reported_until_the_worker_is_stopping():
    worker = make_worker(heartbeat_at=ago(seconds=10))

    assert stop_worker(worker.pk, by="ada") is True
    assert stop_worker(worker.pk, by="bob") is False

    assert record_heartbeat(worker.pk, memory_bytes=7) is HeartbeatStatus.STOP_REQUESTED
    worker.refresh_from_db()
    assert (worker.state, worker.stop_requested_by, worker.memory_bytes) == ("running", "ada", 7)
    assert worker.heartbeat_at > ago(seconds=5)
    set_worker_state(worker.pk, Worker.State.STOPPING)
    assert record_heartbeat(worker.pk) is HeartbeatStatus.ALIVE


def test_a_worker_that_stops_already_can_be_asked_not_to_be_replaced():
    worker = make_worker(state="stopping")

    assert is_stop_requested(worker.pk) is False
    assert stop_worker(worker.pk, by="ada") is True
    assert is_stop_requested(worker.pk) is True
    assert record_heartbeat(worker.pk) is HeartbeatStatus.ALIVE, "it need not be told again"


@pytest.mark.parametrize("state", ["stopped", "lost"])
def test_only_a_living_worker_can_be_asked_to_stop(state):
    worker = make_worker(state=state)

    assert stop_worker(worker.pk, by="ada") is False

    worker.refresh_from_db()
    assert worker.stop_requested_at is None
    assert is_stop_requested(worker.pk) is False


def test_a_heartbeat_is_one_statement(django_assert_num_queries):
    worker = make_worker()

    with django_assert_num_queries(1):
        record_heartbeat(worker.pk)


@pytest.mark.parametrize("state", [Worker.State.STOPPED, Worker.State.LOST])
def test_a_worker_leaves_once(state):
    worker = make_worker()

    assert set_worker_state(worker.pk, state) is True
    assert set_worker_state(worker.pk, Worker.State.STOPPED) is False
    assert set_worker_state(worker.pk, Worker.State.STOPPING) is False

    worker.refresh_from_db()
    assert worker.state == state
    assert abs(worker.stopped_at - database_now()) < timedelta(seconds=30)


@pytest.mark.parametrize("state", ["running", "stopping"])
def test_a_living_worker_with_a_stale_heartbeat_is_declared_lost(state):
    stale = make_worker(state=state, heartbeat_at=ago(seconds=16))
    fresh = make_worker(state=state, heartbeat_at=ago(seconds=10))

    assert mark_lost_workers(stale_after=STALE_AFTER) == 1

    stale.refresh_from_db()
    fresh.refresh_from_db()
    assert (stale.state, fresh.state) == ("lost", state)
    assert stale.stopped_at is not None
    assert mark_lost_workers(stale_after=STALE_AFTER) == 0


def test_a_worker_that_has_stopped_is_not_declared_lost():
    worker = make_worker(state="stopped", heartbeat_at=ago(days=1))

    assert mark_lost_workers(stale_after=STALE_AFTER) == 0
    worker.refresh_from_db()
    assert worker.state == "stopped"


def test_a_worker_that_was_frozen_does_not_mark_itself_lost():
    itself = make_worker(heartbeat_at=ago(minutes=1))
    other = make_worker(heartbeat_at=ago(minutes=1))

    assert mark_lost_workers(stale_after=STALE_AFTER, exclude_id=itself.pk) == 1

    itself.refresh_from_db()
    other.refresh_from_db()
    assert (itself.state, other.state) == ("running", "lost")
