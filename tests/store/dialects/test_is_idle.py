"""Whether a connection is idle can be asked from any thread, at any moment."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, connections

from django_jobs.store.dialects import is_idle
from tests.concurrency import Background, wait_until
from tests.databases import chosen_vendor

LOCK, UNLOCK = {
    "postgresql": ("SELECT pg_advisory_lock(77)", "SELECT pg_advisory_unlock(77)"),
    "mysql": ("SELECT GET_LOCK('idle', 30)", "SELECT RELEASE_LOCK('idle')"),
    "sqlite": ("", ""),
}[chosen_vendor()]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() == "sqlite", reason="a statement of SQLite's waits for no other session"),
]


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.fetchall()


def test_a_connection_that_another_thread_executes_on_is_not_idle() -> None:
    found: list[Any] = []
    idle: list[bool] = []

    def wait_for_lock() -> None:
        connection.ensure_connection()
        idle.append(is_idle(connection))
        found.append(connections["default"])
        _execute(LOCK)
        _execute(UNLOCK)
        idle.append(is_idle(connection))

    _execute(LOCK)
    waiting = Background(wait_for_lock)
    other = wait_until(lambda: found and found[0])
    wait_until(lambda: not is_idle(other), "the other thread to execute")
    _execute(UNLOCK)
    waiting.result()
    assert idle == [True, True]
