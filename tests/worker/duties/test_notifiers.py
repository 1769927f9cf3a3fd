"""The pause of an idle claimer ends with what was enqueued, whenever the notification comes."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from django_jobs.policy.notifications import CHANNEL, SCHEDULERS_CHANNEL
from django_jobs.store.dialects import open_dialect
from django_jobs.store.dialects.sqlite.data_version import written_files
from django_jobs.worker.duties.notifiers import Notifier, PollingOnly, create_notifier, sqlite
from tests.concurrency import DEADLINE_SECONDS, Background
from tests.factories import make_job
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db(transaction=True)

LONG = float(DEADLINE_SECONDS)
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has LISTEN")
on_sqlite = pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite is a file")


class Events(RecordedEvents):
    """Ends the pause, as the claimer does."""

    notifier: Notifier

    def work_enqueued(self, poll_seconds: float, queue_name: str | None = None, priority: int | None = None) -> None:
        super().work_enqueued(poll_seconds, queue_name, priority)
        self.notifier.set()


class Pausing:
    """A notifier on the test's connection, whose loop is the test."""

    def __init__(self, **options: object) -> None:
        self.events = Events()
        self.notifier = self.events.notifier = create_notifier(make_context(self.events, **options))

    def begin(self) -> None:
        """Do the first step, as a loop does: what it finds at its start is not what a test is about."""
        dialect, _ = open_dialect("default")
        dialect.prepare(connection, durable=False)
        self.step()
        self.events.notified.clear()
        self.notifier.clear()

    def step(self) -> None:
        self.notifier.clear()
        connection.ensure_connection()
        self.notifier.listen()

    def pause(self, seconds: float = LONG) -> list[tuple[str | None, int | None]]:
        """Pause, and return what was notified by then."""
        began = time.monotonic()
        self.notifier.wait(seconds)
        assert seconds < LONG or time.monotonic() - began < LONG, "nothing ended the pause"
        return self.events.notified


@pytest.fixture
def pausing(request: pytest.FixtureRequest) -> Iterator[Pausing]:
    one = Pausing(**getattr(request, "param", {}))
    one.begin()
    yield one
    one.notifier.close()


@contextmanager
def another_connection() -> Iterator[BaseDatabaseWrapper]:
    wrapper = connection.copy()
    wrapper.inc_thread_sharing()
    try:
        yield wrapper
    finally:
        wrapper.close()
        wrapper.dec_thread_sharing()


def notify(payload: str, channel: str = CHANNEL) -> None:
    with another_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [channel, payload])


def commit_elsewhere() -> None:
    Background(make_job).result()


def test_a_pause_ends_when_another_thread_ends_it(pausing: Pausing) -> None:
    pausing.notifier.set()
    pausing.pause()
    pausing.notifier.clear()
    pausing.pause(0.001)
    threading.Timer(0.01, pausing.notifier.set).start()
    pausing.pause()


@on_postgresql
def test_a_notification_during_the_pause_ends_it(pausing: Pausing) -> None:
    elsewhere = Background(lambda: notify("7 default"))
    assert pausing.pause() == [("default", 7)]
    elsewhere.result()


@on_postgresql
def test_a_notification_between_a_look_and_the_pause_ends_it(pausing: Pausing) -> None:
    notify("7 default")
    assert pausing.pause() == [("default", 7)]


@on_postgresql
def test_a_notification_that_came_with_the_answer_of_a_statement_ends_the_pause(pausing: Pausing) -> None:
    notify("-3 default")
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert pausing.pause() == [("default", -3)]


@on_postgresql
def test_what_was_notified_before_it_listened_is_looked_for() -> None:
    late = Pausing()
    late.step()
    assert late.events.notified == [(None, None)]
    assert late.events.schedule_changes == 1
    late.notifier.close()


@on_postgresql
def test_after_a_cut_connection_it_listens_again_and_looks_for_what_it_missed(pausing: Pausing) -> None:
    with another_connection() as other, other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])
    assert pausing.pause() == [], "it ends at once, and the step fails"
    with pytest.raises(DatabaseError):
        pausing.step()
    assert not pausing.notifier.is_listening
    began = time.monotonic()
    pausing.pause(0.02)
    assert time.monotonic() - began >= 0.02, "no spinning while the database is away"
    connection.close()

    pausing.step()

    assert pausing.notifier.is_listening
    assert pausing.events.notified == [(None, None)]
    pausing.events.notified.clear()
    pausing.step()
    notify("0 default")
    assert pausing.pause() == [("default", 0)]


@on_postgresql
@pytest.mark.parametrize("pausing", [{"queues": ("mail", "5 stars")}], indirect=True)
def test_foreign_payloads_and_other_queues_end_no_pause(pausing: Pausing) -> None:
    for payload in ("", " ", "7", "99999999999 mail", "5 other", "-- mail", "{}", "\x7fé ☃"):
        notify(payload)
    notify("", SCHEDULERS_CHANNEL)
    assert pausing.pause(0.05) == []
    assert pausing.events.schedule_changes == 2
    for payload in ("mail", "5 mail", "- mail", "5 stars"):
        notify(payload)
    while len(pausing.events.notified) < 4:
        pausing.notifier.clear()
        pausing.pause()
    assert pausing.events.notified == [("mail", None), ("mail", 5), ("mail", None), ("5 stars", None)]


@pytest.mark.parametrize("pausing", [{"works": False}], indirect=True)
def test_jobs_wake_no_process_that_only_fires_schedules(pausing: Pausing) -> None:
    commit_elsewhere()
    if connection.vendor == "postgresql":
        notify("7 default")
        notify("", SCHEDULERS_CHANNEL)
        pausing.pause(0.05)
        assert pausing.events.schedule_changes == 2
    else:
        pausing.pause(0.05)
    assert pausing.events.notified == []


@pytest.fixture(params=["told of writes", "not told"])
def watching(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pausing]:
    """With inotify, and as on a system that has none."""
    if request.param == "not told":

        def refuse() -> None:
            raise OSError("no inotify")

        monkeypatch.setattr(sqlite, "FileWrites", refuse)
    one = Pausing()
    one.begin()
    one.pause(0.05)  # the first check
    one.begin()
    yield one
    one.notifier.close()


@on_sqlite
def test_a_commit_of_another_connection_ends_the_pause(watching: Pausing) -> None:
    for _ in range(3):
        watching.step()
        elsewhere = Background(make_job)
        assert set(watching.pause()) == {(None, None)}
        elsewhere.result()
    watching.step()
    commit_elsewhere()
    assert set(watching.pause()) == {(None, None)}, "before the pause"


@on_sqlite
def test_a_commit_of_its_own_connection_ends_no_pause(watching: Pausing) -> None:
    make_job()
    assert watching.pause(0.1) == []


@on_sqlite
def test_a_large_transaction_ends_the_pause_when_it_commits(watching: Pausing) -> None:
    with another_connection() as other:
        other.ensure_connection()
        with other.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = 1")
            cursor.execute("BEGIN IMMEDIATE")
            for _ in range(50):
                cursor.execute("UPDATE django_jobs_queue SET paused_by = ''")
                cursor.execute("CREATE TABLE IF NOT EXISTS filler (content)")
                cursor.execute("INSERT INTO filler VALUES (zeroblob(10000))")
            assert watching.pause(0.1) == []
            cursor.execute("DROP TABLE filler")
            cursor.execute("COMMIT")
        assert set(watching.pause()) == {(None, None)}


@on_sqlite
def test_after_another_connection_was_opened_a_commit_ends_the_pause(watching: Pausing) -> None:
    """Its numbers of versions begin anew, and may come to the last of the one before."""
    commit_elsewhere()
    watching.pause()
    for _ in range(3):
        connection.close()
        watching.step()
        watching.events.notified.clear()
        commit_elsewhere()
        assert set(watching.pause()) == {(None, None)}


@on_sqlite
@pytest.mark.parametrize("name", ["{link}", "file:{file}?mode=rw"])
def test_writes_are_told_whatever_name_the_project_gave_the_file(name: str, tmp_path: Path) -> None:
    file, link = tmp_path / "real.db", tmp_path / "link.db"
    sqlite3.connect(file).close()
    file.touch()
    link.symlink_to(file)
    with another_connection() as other:
        other.settings_dict = {**other.settings_dict, "NAME": name.format(link=link, file=file)}
        with other.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.execute("CREATE TABLE one (number)")
        assert written_files(other) == (f"{file}-wal", str(file))
        assert all(Path(path).exists() for path in written_files(other))


def test_without_notifications_a_pause_is_a_plain_one() -> None:
    if connection.vendor == "mysql":
        assert isinstance(Pausing().notifier, PollingOnly)
