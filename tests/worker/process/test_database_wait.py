"""A supervisor starts no worker process before the database answers and is migrated."""

from __future__ import annotations

import logging
import re
import threading
from itertools import groupby

import pytest
from django.core.management import call_command
from django.db import connection

from django_jobs.worker.options import WorkerOptions
from django_jobs.worker.process.database_wait import DatabaseWait
from django_jobs.worker.process.startup_message import startup_message
from django_jobs.worker.threads import loop as loop_module
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.trouble import Trouble

pytestmark = pytest.mark.django_db(transaction=True)


class Waiting:
    """A wait whose end, reports and deaths are kept."""

    def __init__(self, *, report: Exception | None = None) -> None:
        self.ended, self.reported = threading.Event(), threading.Event()
        self.deaths: list[str] = []
        self._report = report
        self.wait = DatabaseWait("default", on_change=self.ended.set, on_death=self.deaths.append, on_ready=self._ready)

    def _ready(self) -> None:
        self.reported.set()
        if self._report is not None:
            raise self._report


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_module, "INITIAL_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(loop_module, "MAX_PAUSE_SECONDS", 0.01)


def test_a_database_that_can_be_used_delays_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "django_jobs"):
        waiting = Waiting()
        assert not waiting.wait.is_over
        waiting.wait.start()
        assert waiting.ended.wait(DEADLINE_SECONDS)
        assert waiting.reported.wait(DEADLINE_SECONDS)
    assert waiting.wait.is_over
    assert waiting.deaths == caplog.messages == []


def test_each_reason_is_logged_until_the_database_can_be_used(
    trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    trouble.unreachable()
    with caplog.at_level(logging.INFO, "django_jobs"):
        waiting = Waiting()
        waiting.wait.start()
        wait_until(lambda: " cannot be used: " in waiting.wait.reason)
        trouble.unmigrated()
        wait_until(lambda: " lacks tables of django_jobs (" in waiting.wait.reason)
        assert not waiting.ended.is_set()
        trouble.end()
        assert waiting.reported.wait(DEADLINE_SECONDS)
    kinds = [
        next(kind for kind in ("cannot be used: ", "; run 'manage.py migrate'", "can be used, after ") if kind in line)
        for line in caplog.messages
    ]
    # An attempt that fails while the test changes the settings is described by the new ones, and logged once more.
    assert [kind for kind, _ in groupby(kinds)] == [
        "cannot be used: ",
        "; run 'manage.py migrate'",
        "can be used, after ",
    ]
    assert waiting.wait.reason == ""


def test_a_reason_that_stays_is_logged_once(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.unreachable()
    waiting = Waiting()
    failures = []
    begins = waiting.wait.begins
    waiting.wait.begins = lambda *what: (failures.append(what), begins(*what))  # type: ignore[method-assign]
    waiting.wait.start()
    wait_until(lambda: len(failures) >= 5)
    waiting.wait.stop()
    assert waiting.wait.join(DEADLINE_SECONDS)
    [said] = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert re.match("no worker is started yet: the database 'default' .* cannot be used: ", said)


def test_a_migration_that_is_missing_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'django_jobs'")
    waiting = Waiting()
    waiting.wait.start()
    try:
        wait_until(lambda: "not applied: django_jobs.0001_initial" in waiting.wait.reason)
    finally:
        call_command("migrate", "django_jobs", fake=True, verbosity=0)
    assert waiting.ended.wait(DEADLINE_SECONDS)
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "run 'manage.py migrate'" in warning.getMessage()


def test_a_wait_that_is_stopped_ends_without_a_word(trouble: Trouble, caplog: pytest.LogCaptureFixture) -> None:
    trouble.unreachable()
    with caplog.at_level(logging.INFO, "django_jobs"):
        waiting = Waiting()
        waiting.wait.start()
        wait_until(lambda: waiting.wait.reason)
        waiting.wait.stop()
        assert waiting.wait.join(DEADLINE_SECONDS)
    assert not waiting.ended.is_set()
    assert len(caplog.messages) == 1


def test_a_report_that_fails_does_not_end_the_workers(caplog: pytest.LogCaptureFixture) -> None:
    waiting = Waiting(report=LookupError("no such app"))
    waiting.wait.start()
    assert waiting.wait.join(DEADLINE_SECONDS)
    assert waiting.ended.is_set()
    assert waiting.deaths == []
    assert caplog.messages == ["the migrations of the project could not be checked"]


def test_the_startup_message_asks_no_server(trouble: Trouble) -> None:
    trouble.unreachable()
    line = startup_message(WorkerOptions())[1]
    assert line.startswith("  database   default: ")
    assert connection.connection is None
