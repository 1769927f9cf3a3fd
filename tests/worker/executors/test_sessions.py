"""Nothing that a job leaves in a database session reaches the next job."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.backends.signals import connection_created

from django_jobs.context import JobContext, activate_context
from django_jobs.models import Worker
from django_jobs.store.dialects import open_dialect
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.testing import drain
from django_jobs.testing.clock import MovableClock
from django_jobs.worker.executors import event_loop
from django_jobs.worker.executors.event_loop import EventLoopExecutor
from django_jobs.worker.executors.isolation import has_failed
from django_jobs.worker.options import PROCESSES
from django_jobs.worker.threads.connections import reset_async_connections
from django_jobs.worker.threads.sessions import observe_connections
from tests import factories, lock_waits
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.databases import chosen_vendor
from tests.misbehaving import leftovers
from tests.sampleapp.jobs import add
from tests.sampleapp.models import Customer
from tests.worker.contexts import RecordedEvents, make_context

from .running import run_in_turn

pytestmark = pytest.mark.django_db(transaction=True)

SESSION_ID = {
    "postgresql": "SELECT pg_backend_pid()",
    "mysql": "SELECT connection_id()",
    "sqlite": "SELECT count(*) FROM temp.sqlite_master",
}[chosen_vendor()]

LEFTOVERS: list[tuple[str, str]] = {
    "postgresql": [
        ("SET search_path TO pg_catalog", "SHOW search_path"),
        ("SET statement_timeout TO 77777", "SHOW statement_timeout"),
        ("/* a tag */ set Role pg_monitor", "SELECT current_user::text"),
        ("CREATE TEMPORARY TABLE left_behind (id int)", "SELECT to_regclass('pg_temp.left_behind')::text"),
        ("SELECT 1 AS left_id INTO TEMP left_behind", "SELECT to_regclass('pg_temp.left_behind')::text"),
        ("SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
        ("SELECT pg_try_advisory_lock_shared(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
        ("WITH a AS (SELECT set_config('search_path', 'x', false)) SELECT * FROM a", "SHOW search_path"),
        ("PREPARE left_behind AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_behind'"),
        ("SELECT 1; SET statement_timeout = 77777", "SHOW statement_timeout"),
        ("LISTEN left_behind", "SELECT count(*) FROM pg_listening_channels()"),
    ],
    "mysql": [
        ("SET SESSION sql_mode = ''", "SELECT @@sql_mode"),
        ("SET @left_behind = 7", "SELECT @left_behind"),
        ("SELECT @left_behind := 7", "SELECT @left_behind"),
        ("SELECT GET_LOCK('left_behind', 0)", "SELECT is_free_lock('left_behind')"),
        ("SELECT get_lock ('left_behind', 0)", "SELECT is_free_lock('left_behind')"),
        ("USE mysql", "SELECT database()"),
        ("SET SESSION TRANSACTION READ ONLY", "SELECT @@tx_read_only"),
        ("LOCK TABLES sampleapp_customer READ", "SELECT count(*) FROM django_jobs_queue"),
        ("SELECT 1; SET @left_behind = 7", "SELECT @left_behind"),
    ],
    "sqlite": [
        ("PRAGMA case_sensitive_like = ON", "SELECT 'a' LIKE 'A'"),
        ("CREATE TEMP TABLE left_behind (id)", "SELECT count(*) FROM temp.sqlite_master"),
        ("ATTACH ':memory:' AS left_behind", "SELECT count(*) FROM pragma_database_list WHERE name = 'left_behind'"),
    ],
}[chosen_vendor()]

BEGINNINGS = {
    "postgresql": ["BEGIN", "START TRANSACTION"],
    "mysql": ["START TRANSACTION", "BEGIN", "SET autocommit = 0", "/* a tag */ start transaction read only"],
    "sqlite": ["BEGIN", "BEGIN IMMEDIATE"],
}[chosen_vendor()]

WAYS = ["django"] if chosen_vendor() == "sqlite" else ["django", "driver", "inner"]

JOBS = [leftovers.send_sql, leftovers.send_sql_async, leftovers.send_sql_in_a_thread_async]
IDS = ["thread", "event loop", "thread of the loop"]


def _value(statement: str) -> Any:
    return leftovers.send([statement])


@pytest.mark.parametrize("job", JOBS, ids=IDS)
@pytest.mark.parametrize("by", WAYS)
def test_a_session_that_a_job_changed_is_not_the_next_jobs(job: Any, by: str) -> None:
    before = [_value(read) for _, read in LEFTOVERS]
    jobs = []
    for change, read in LEFTOVERS:
        jobs += [job.enqueue(change, by=by), job.enqueue(read)]
    jobs = run_in_turn(*jobs)
    assert {job.state for job in jobs} == {"succeeded"}
    assert [job.result for job in jobs[1::2]] == before


@pytest.mark.skipif(chosen_vendor() != "postgresql", reason="methods of psycopg's cursors")
@pytest.mark.parametrize(
    ("by", "change", "read"),
    [
        ("callproc", "set_config search_path pg_catalog f", "SHOW search_path"),
        ("copy", "SELECT set_config('search_path', 'pg_catalog', false)", "SHOW search_path"),
        ("stream", "SELECT set_config('search_path', 'pg_catalog', false)", "SHOW search_path"),
    ],
)
def test_no_method_of_a_cursor_leaves_a_setting_to_the_next_job(by: str, change: str, read: str) -> None:
    before = _value(read)
    jobs = run_in_turn(leftovers.send_sql.enqueue(change, by=by), leftovers.send_sql.enqueue(read))
    assert [job.state for job in jobs] == ["succeeded"] * 2
    assert jobs[1].result == before


@pytest.mark.skipif(chosen_vendor() != "postgresql", reason="methods of psycopg's cursors")
@pytest.mark.parametrize("by", ["copy", "stream", "inner"])
def test_plain_statements_by_a_method_of_a_cursor_keep_the_session(by: str) -> None:
    send = leftovers.send_sql
    jobs = run_in_turn(send.enqueue(SESSION_ID), send.enqueue("SELECT 1", by=by), send.enqueue(SESSION_ID))
    assert [job.state for job in jobs] == ["succeeded"] * 3
    assert jobs[0].result == jobs[2].result


def test_a_session_that_an_atomic_job_has_opened_is_observed_from_then_on() -> None:
    """The first to connect in a thread need not be a plain job."""
    change, read = LEFTOVERS[0]
    before = _value(read)
    first, *jobs = run_in_turn(
        leftovers.write_atomic.enqueue("first"), leftovers.send_sql.enqueue(change), leftovers.send_sql.enqueue(read)
    )
    assert [job.state for job in (first, *jobs)] == ["succeeded"] * 3
    assert jobs[1].result == before


def test_a_thread_whose_first_jobs_used_no_database_looks_after_the_connections_of_later_ones() -> None:
    change, read = LEFTOVERS[0]
    before = _value(read)
    jobs = run_in_turn(
        add.enqueue(1), add.enqueue(2), leftovers.send_sql.enqueue(change), leftovers.send_sql.enqueue(read)
    )
    assert [job.state for job in jobs] == ["succeeded"] * 4
    assert jobs[-1].result == before


def test_a_session_in_a_job_process_is_not_the_next_jobs(
    worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    change, read = LEFTOVERS[0]
    before = _value(read)
    job, job_async = leftovers.send_sql, leftovers.send_sql_async
    jobs = [job.enqueue(change), job.enqueue(read), job_async.enqueue(change), job_async.enqueue(read)]
    jobs = run_in_turn(*jobs, pool=PROCESSES)
    assert [jobs[1].result, jobs[3].result] == [before, before]


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize(
    ("job", "write"),
    [
        (leftovers.send_sql, leftovers.write_customer),
        (leftovers.send_sql_async, leftovers.write_customer_async),
        (leftovers.send_sql_in_a_thread_async, leftovers.write_customer_in_a_thread_async),
    ],
    ids=IDS,
)
def test_a_transaction_begun_by_hand_is_rolled_back_and_said(
    job: Any, write: Any, by: str, caplog: pytest.LogCaptureFixture
) -> None:
    cases = [(begin, fail) for begin in BEGINNINGS for fail in (True, False)]
    insert = "INSERT INTO sampleapp_customer (name, visits) VALUES ('never kept', 0)"
    jobs = []
    for number, (begin, fail) in enumerate(cases):
        statements = [begin] if "read only" in begin else [begin, insert]
        jobs += [job.enqueue(*statements, by=by, fail=fail), write.enqueue(f"kept {number}")]
    with caplog.at_level(logging.WARNING):
        run_in_turn(*jobs)
    assert list(Customer.objects.values_list("name", flat=True).order_by("pk")) == [
        f"kept {number}" for number in range(len(cases))
    ]
    assert caplog.text.count("a job left a transaction open") == len(cases)


def test_plain_jobs_share_a_session_and_a_failed_job_ends_it() -> None:
    send = leftovers.send_sql
    session_id = SESSION_ID if chosen_vendor() != "sqlite" else "SELECT total_changes()"
    write = "INSERT INTO sampleapp_customer (name, visits) VALUES ('; set_config', 0)"
    kept = [send.enqueue(session_id), leftovers.write_customer.enqueue("Ada"), send.enqueue(write)]
    kept += [leftovers.write_atomic.enqueue("Bob"), send.enqueue(session_id)]
    kept += [send.enqueue(session_id, fail=True), send.enqueue(session_id)]
    run_in_turn(*kept)
    first, later, after_failure = kept[0].result, kept[4].result, kept[6].result
    if chosen_vendor() == "sqlite":
        assert (later > first, after_failure) == (True, 0)
    else:
        assert first == later != after_failure


def test_what_receivers_of_connection_created_send_belongs_to_each_session() -> None:
    change, read = LEFTOVERS[0]
    before = _value(read)

    def receive(*, connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(change)

    connection_created.connect(receive)
    try:
        jobs = run_in_turn(*[leftovers.send_sql.enqueue(statement) for statement in (read, SESSION_ID) * 2])
    finally:
        connection_created.disconnect(receive)
    assert [job.state for job in jobs] == ["succeeded"] * 4
    assert jobs[0].result == jobs[2].result != before
    assert jobs[1].result == jobs[3].result


SETTINGS_OF_THE_ENGINE = {
    "postgresql": [
        "SET search_path TO pg_catalog",
        "SET LOCAL search_path TO pg_catalog",
        "SELECT set_config('search_path', 'pg_catalog', true)",
        "SET ROLE pg_monitor",
    ],
    "mysql": ["USE information_schema"],
    "sqlite": ["PRAGMA case_sensitive_like = ON"],
}[chosen_vendor()]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL's sessions have time limits")
@pytest.mark.parametrize("name", ["statement_timeout", "lock_timeout"])
def test_a_time_limit_that_a_job_has_set_does_not_hold_for_its_finish(name: str) -> None:
    dialect, _ = open_dialect("default")
    read = f"SELECT current_setting('{name}')"
    with transaction.atomic(), connection.cursor() as cursor:
        settings = dialect.sessions.read_settings(connection)
        cursor.execute(read)
        before = cursor.fetchone()
        cursor.execute(f"SET LOCAL {name} TO 54321")
        cursor.execute(read)
        assert cursor.fetchone() == ("54321ms",)
        dialect.sessions.restore_settings(connection, settings)
        cursor.execute(read)
        assert cursor.fetchone() == before


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("change", SETTINGS_OF_THE_ENGINE)
def test_the_finish_of_an_atomic_job_does_not_depend_on_what_the_job_set(change: str, by: str) -> None:
    if by != "django" and "ROLE" in change:
        pytest.skip("the role is kept for statements of Django's cursors only")
    changed, plain = run_in_turn(
        leftovers.write_atomic.enqueue("Ada", "SELECT 1", change, by=by), leftovers.write_atomic.enqueue("Bob")
    )
    assert (changed.state, plain.state) == ("succeeded", "succeeded")
    assert list(Customer.objects.order_by("pk").values_list("name", flat=True)) == ["Ada", "Bob"]


@pytest.mark.parametrize("job", [leftovers.send_sql, leftovers.send_sql_async, leftovers.write_atomic])
def test_a_drained_job_may_set_what_it_likes_and_leaves_no_observer(job: Any) -> None:
    jobs = [job.enqueue("SELECT 1", change) for change in SETTINGS_OF_THE_ENGINE]
    assert drain().succeeded == len(jobs)
    assert [wrapper for wrapper in connection.execute_wrappers if not isinstance(wrapper, MovableClock)] == []


@pytest.fixture
def loop_of_one_thread() -> Iterator[tuple[EventLoopExecutor, RecordedEvents, Worker]]:
    """An executor whose jobs share one thread for ``asyncio.to_thread``, and so one session."""
    observe_connections()
    events, worker = RecordedEvents(), factories.make_worker()
    executor = EventLoopExecutor(make_context(events, worker_id=worker.pk))
    executor._loop.set_default_executor(ThreadPoolExecutor(1))
    executor.start()
    yield executor, events, worker
    executor.stop()
    assert executor.join(time.monotonic() + DEADLINE_SECONDS)
    assert not events.stops


@pytest.mark.skipif(chosen_vendor() == "sqlite", reason="a statement that waits for a row")
@pytest.mark.parametrize("by", WAYS)
def test_a_reset_spares_a_session_that_a_later_job_uses_and_its_own_reset_follows(
    by: str,
    loop_of_one_thread: tuple[EventLoopExecutor, RecordedEvents, Worker],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first job's reset comes late: the second, which started meanwhile, is inside a statement."""
    executor, events, worker = loop_of_one_thread
    held, leave = threading.Event(), threading.Event()
    reset = event_loop.reset_async_connections

    def hold(*arguments: Any) -> None:
        held.set()
        assert leave.wait(DEADLINE_SECONDS)
        reset(*arguments)

    monkeypatch.setattr(event_loop, "reset_async_connections", hold)
    Customer.objects.create(name="locked")
    change = "UPDATE sampleapp_customer SET visits = 7 WHERE name = 'locked'"
    leftovers.write_customer_in_a_thread_async.enqueue("kept")
    leftovers.send_sql_in_a_thread_async.enqueue(BEGINNINGS[0], change, by=by)
    first, second = factories.take(worker)
    with lock_waits.session() as holder, caplog.at_level(logging.WARNING):
        holder.execute("SELECT id FROM sampleapp_customer WHERE name = 'locked' FOR UPDATE")
        executor.submit([first])
        wait_until(lambda: events.finished, "the first job to end")
        assert held.wait(DEADLINE_SECONDS)
        executor.submit([second])
        lock_waits.wait_for_waiters(holder.number)
        leave.set()
        wait_until(lambda: not executor._resets, "the first job's reset")
        assert "left a transaction open" not in caplog.text
        holder.rollback()
        wait_until(lambda: len(events.finished) == 2, "the second job to end")
        wait_until(lambda: not executor._resets and not executor._is_reset_due, "the second job's reset")
    assert not any(map(has_failed, events.finished))
    assert caplog.text.count("a job left a transaction open") == 1
    with transaction.atomic():
        customer = Customer.objects.select_for_update(nowait=True).get(name="locked")
    assert customer.visits == 0


def test_what_a_job_left_in_a_session_that_another_used_is_gone_once_that_one_ends(
    loop_of_one_thread: tuple[EventLoopExecutor, RecordedEvents, Worker],
) -> None:
    executor, events, worker = loop_of_one_thread
    change, read = LEFTOVERS[0]
    leftovers.send_sql_in_a_thread_async.enqueue(read)
    leftovers.send_sql_in_a_thread_and_wait_async.enqueue("user")
    leftovers.send_sql_in_a_thread_async.enqueue(change)
    leftovers.send_sql_in_a_thread_async.enqueue(read)
    before, user, changing, after = factories.take(worker)
    executor.submit([before, user])
    wait_until(lambda: leftovers.GATES, "the job that goes on")
    gate = leftovers.GATES.pop("user")
    executor.submit([changing])
    wait_until(lambda: len(events.finished) == 2 and not executor._resets and not executor._is_reset_due, "its reset")
    executor._loop.call_soon_threadsafe(gate.set)
    wait_until(lambda: len(events.finished) == 3, "the other job to end")
    executor.submit([after])
    wait_until(lambda: len(events.finished) == 4, "the last job to end")
    assert not any(map(has_failed, events.finished))
    results = [run.decision.result for run in events.finished if isinstance(run, FinishedRun)]
    assert results[3] == results[0]


def test_drained_jobs_leave_nothing_on_the_connection_of_their_test() -> None:
    wrapper = connections["default"]
    before = (set(vars(wrapper)), wrapper.set_autocommit, list(wrapper.execute_wrappers))
    leftovers.write_atomic.enqueue("Ada")
    assert drain().succeeded == 1
    assert (set(vars(wrapper)), wrapper.set_autocommit, list(wrapper.execute_wrappers)) == before


def _job(job_id: int, database: str) -> JobContext:
    return JobContext(
        job_id=job_id, database=database, name="send", queue_name="default", priority=0, attempt=1, max_attempts=1,
        enqueued=0.0, metadata={}, save=lambda update: None,
    )  # fmt: skip


def test_a_job_of_the_same_number_in_another_database_keeps_its_session() -> None:
    """Threads of a project may serve the jobs of several databases, each of which has an event loop of its own."""
    observe_connections()
    change, read = LEFTOVERS[0]
    jobs = {database: _job(7, database) for database in ("default", "eu")}

    def send_in(database: str, statement: str) -> Any:
        with activate_context(jobs[database]):
            return leftovers.send([statement])

    with ThreadPoolExecutor(1) as pool:
        before = pool.submit(send_in, "default", read).result()
        pool.submit(send_in, "eu", change).result()
        changed = pool.submit(send_in, "eu", read).result()
        assert changed != before
        reset_async_connections({("default", jobs["default"].job_id): True})
        assert pool.submit(send_in, "eu", read).result() == changed
        reset_async_connections({("eu", jobs["eu"].job_id): False})
        assert pool.submit(send_in, "default", read).result() == before
        pool.submit(connections.close_all).result()


def test_the_loop_ends_after_its_connections_are_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    reached, leave, asked = threading.Event(), threading.Event(), threading.Event()
    reset = event_loop.reset_async_connections

    def hold(*arguments: Any) -> None:
        reached.set()
        assert leave.wait(DEADLINE_SECONDS)
        reset(*arguments)

    monkeypatch.setattr(event_loop, "reset_async_connections", hold)
    observe_connections()
    leftovers.send_sql_async.enqueue(BEGINNINGS[0])
    events, worker = RecordedEvents(), factories.make_worker()
    executor = event_loop.EventLoopExecutor(make_context(events, worker_id=worker.pk))
    executor.start()
    executor.submit(factories.take(worker))
    wait_until(lambda: events.finished, "the run to end")
    assert reached.wait(DEADLINE_SECONDS)
    executor.stop()
    executor._loop.call_soon_threadsafe(executor._loop.call_soon, asked.set)
    assert asked.wait(DEADLINE_SECONDS), "the loop goes on"
    leave.set()
    assert executor.join(time.monotonic() + DEADLINE_SECONDS)
    assert not executor._resets
