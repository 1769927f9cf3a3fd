"""Enqueues by a prepared statement on PostgreSQL: when one is used, and that nobody notices."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.db.backends.utils import CursorWrapper
from django.test.utils import CaptureQueriesContext

from django_jobs.models import Job
from django_jobs.store import notify
from django_jobs.store.dialects.base.jobs import NewJob
from django_jobs.store.dialects.postgresql import prepared
from django_jobs.store.dialects.postgresql.prepared import USES_BEFORE
from django_jobs.store.enqueue.insert import enqueue
from tests.databases import chosen_vendor
from tests.sampleapp.jobs import echo

if chosen_vendor() != "postgresql":
    pytest.skip("the statement is prepared on PostgreSQL", allow_module_level=True)

from tests.private.pgbouncer import PrivatePgBouncer

pytestmark = pytest.mark.django_db(transaction=True)

PARSE, BIND, QUERY = "Parse", "Bind", "Query"


class Text(str, Enum):  # noqa: UP042 - the str() of a StrEnum's member is its value
    NAME = "shop.send"
    METADATA = '{"a":"b"}'


class Number(int, Enum):
    PRIORITY = 0


@pytest.fixture(autouse=True)
def _unobserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a project: a new session, and none of the wrappers of django_jobs.testing."""
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 3_600)
    echo.enqueue()  # it may notify, and the next ones do not
    connection.close()
    connection.ensure_connection()
    monkeypatch.setattr(connections[connection.alias], "execute_wrappers", [])


@contextmanager
def sent() -> Iterator[list[str]]:
    """List the statements' messages that libpq sends in the block, by its own trace."""
    found: list[str] = []
    server = connection.connection.pgconn
    with tempfile.TemporaryFile("w+", errors="replace") as trace:
        server.trace(trace.fileno())
        yield found
        server.untrace()
        trace.seek(0)
        for line in trace:  # a time, F for front end, the length, the message; texts may have line breaks
            words = line.split("\t")
            if "F" in words and (kind := words[words.index("F") + 2]) in {PARSE, BIND, QUERY}:
                found.append(kind)


def enqueue_until_prepared() -> None:
    for x in range(USES_BEFORE):
        echo.enqueue(x)


def test_a_session_that_enqueues_often_sends_no_statement_but_its_values() -> None:
    enqueue_until_prepared()
    with sent() as messages:
        job = echo.enqueue({"x": "ä'\\"})
    assert messages == [BIND]
    saved = Job.objects.get(pk=job.pk)
    for field in Job._meta.concrete_fields:
        assert getattr(job, field.attname) == getattr(saved, field.attname), field.attname


def test_the_first_enqueues_of_a_session_cost_what_a_cursor_costs() -> None:
    with sent() as messages:
        for x in range(USES_BEFORE - 1):
            echo.enqueue(x)
    assert messages == [QUERY] * (USES_BEFORE - 1)


def test_a_worker_is_woken_by_the_same_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "DEBOUNCE_SECONDS", 0)
    enqueue_until_prepared()
    with sent() as messages:
        echo.enqueue()
    assert messages == [BIND]


def test_a_transaction_prepares_nothing_and_uses_nothing_prepared() -> None:
    with transaction.atomic():
        enqueue_until_prepared()
        with sent() as messages:
            echo.enqueue()
    assert messages == [QUERY]
    enqueue_until_prepared()
    with transaction.atomic(), sent() as messages:
        echo.enqueue()
    assert QUERY in messages
    assert BIND not in messages


def log_queries(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    monkeypatch.setattr(connections[connection.alias], "force_debug_cursor", True)


def add_wrapper(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    def wrapper(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    monkeypatch.setattr(connections[connection.alias], "execute_wrappers", [wrapper])


def replace_execute(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    def execute(self: CursorWrapper, sql: str, params: Any = None) -> Any:
        seen.append(sql)
        return genuine(self, sql, params)

    genuine = CursorWrapper.execute
    monkeypatch.setattr(CursorWrapper, "execute", execute)


def replace_cursor(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    def cursor() -> Any:
        seen.append("INSERT")
        return genuine()

    genuine = connection.cursor
    monkeypatch.setattr(connections[connection.alias], "cursor", cursor)


def replace_wait(monkeypatch: pytest.MonkeyPatch, seen: list[str]) -> None:
    def wait(protocol: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append(f"INSERT by {protocol.__name__}")
        return genuine(protocol, *args, **kwargs)

    genuine = connection.connection.wait
    monkeypatch.setattr(connection.connection, "wait", wait)


@pytest.mark.parametrize("observe", [log_queries, add_wrapper, replace_execute, replace_cursor, replace_wait])
def test_whatever_observes_statements_sees_the_enqueue(
    observe: Callable[[pytest.MonkeyPatch, list[str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    enqueue_until_prepared()
    seen: list[str] = []
    with monkeypatch.context() as patches:
        observe(patches, seen)
        connection.queries_log.clear()
        with sent() as messages:
            echo.enqueue()
        seen += [query["sql"] for query in connection.queries_log]
    assert messages == [QUERY]
    assert any("INSERT" in text for text in seen), seen


def test_an_enqueue_is_seen_by_captured_queries() -> None:
    enqueue_until_prepared()
    with CaptureQueriesContext(connection) as captured:
        echo.enqueue()
    assert len(captured) == 1


def test_a_session_that_has_forgotten_its_statements_enqueues_by_cursors() -> None:
    enqueue_until_prepared()
    with connection.cursor() as cursor:
        cursor.execute("DISCARD ALL")
    jobs = [echo.enqueue(x) for x in range(2 * USES_BEFORE)]
    assert Job.objects.filter(pk__in=[job.pk for job in jobs]).count() == 2 * USES_BEFORE


def test_a_session_whose_encoding_is_not_utf8_stores_every_character() -> None:
    """``client_encoding`` in OPTIONS, or the environment of libpq, or a statement of the project's."""
    enqueue_until_prepared()
    with connection.cursor() as cursor:
        cursor.execute("SET client_encoding TO 'LATIN1'")
    with sent() as messages:
        job = echo.enqueue("ä")
    assert messages == [QUERY]
    connection.close()
    assert Job.objects.get(pk=job.pk).arguments == {"value": "ä"}


def test_members_of_enums_are_stored_as_their_values() -> None:
    enqueue_until_prepared()
    with sent() as messages:
        (job,) = enqueue(NewJob(Text.NAME, "default", Number.PRIORITY, 3, Text.METADATA), [{}])
    assert messages == [BIND]
    saved = Job.objects.get(pk=job.pk)
    assert (saved.name, saved.priority, saved.metadata) == ("shop.send", 0, {"a": "b"})


def test_a_refused_job_raises_djangos_error_and_the_next_is_enqueued() -> None:
    enqueue_until_prepared()
    new = NewJob(name=echo.name, queue_name="default", priority=1_000, max_attempts=3, metadata="{}")
    with pytest.raises(IntegrityError, match="django_jobs_job_priority"):
        enqueue(new, [{}])
    assert Job.objects.filter(pk=echo.enqueue().pk).exists()


def test_a_session_that_the_server_has_ended_raises_djangos_error_and_a_new_one_enqueues() -> None:
    enqueue_until_prepared()
    other = connections.create_connection(connection.alias)
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    other.close()
    with pytest.raises(OperationalError):
        echo.enqueue()
    connection.close_if_unusable_or_obsolete()
    assert Job.objects.filter(pk=echo.enqueue().pk).exists()


def test_nothing_is_prepared_behind_a_pooler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients of PgBouncer have one session of the server's, and would prepare the same statement twice."""
    pooler = PrivatePgBouncer()
    try:
        pooler.start()
        connection.close()
        for key, value in pooler.settings().items():
            monkeypatch.setitem(connection.settings_dict, key, value)
        enqueue_until_prepared()
        with sent() as messages:
            echo.enqueue()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_prepared_statements")
            assert cursor.fetchone() == (0,)
    finally:
        connection.close()
        pooler.remove()
    assert messages == [QUERY]


def test_cursors_execute_everything_where_psycopg_has_moved_its_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg.generators", None)
    monkeypatch.delattr("psycopg.generators")
    try:
        assert not importlib.reload(prepared)._can_prepare
        assert prepared.execute_prepared(connection, "SELECT 1", []) is None
    finally:
        monkeypatch.undo()
        importlib.reload(prepared)
