"""``manage.py jobs doctor`` finds real damage, on the database of the tests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, models, transaction
from django.db.migrations.loader import MigrationLoader

from django_jobs import chain, chord
from django_jobs.models import Job, LimitSignal
from django_jobs.policy.states import State
from django_jobs.store.clock import database_now
from django_jobs.workflows import RESULT
from tests import factories
from tests.sampleapp import jobs as sample

DIALECTS = "django_jobs.store.dialects"
OF_THE_SERVER = {"vacuum", "settings"}
"""Findings that the test server may really have: dead rows of earlier tests, or fsync switched off."""

pytestmark = pytest.mark.django_db(transaction=True)


def _doctor() -> dict[str, dict[str, str]]:
    """Return the findings by what they are about; several of one kind are joined."""
    out = StringIO()
    try:
        call_command("jobs", "doctor", "--json", stdout=out)
        code = 0
    except SystemExit as end:
        code = int(str(end.code))
    findings = json.loads(out.getvalue())
    assert code == any(one["severity"] == "problem" for one in findings)
    found: dict[str, dict[str, str]] = {}
    for one in findings:
        before = found.get(one["about"])
        found[one["about"]] = {**one, "what": f"{before['what']}; {one['what']}" if before else one["what"]}
    return found


@pytest.fixture(autouse=True)
def _immediate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite be set as the docs say."""
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"transaction_mode": "IMMEDIATE"})
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")


def test_nothing_is_wrong_with_what_is_sound() -> None:
    factories.make_worker()
    for state in State:
        factories.make_job(state, name="elsewhere")
    sample.add.enqueue(1, 2)
    found = {about: one for about, one in _doctor().items() if about not in OF_THE_SERVER}
    assert found == {}


def test_a_silent_worker_and_its_claims_are_named() -> None:
    worker = factories.make_worker(hostname="web7", pid=12, heartbeat_at=database_now() - timedelta(hours=3))
    factories.make_job(State.RUNNING, worker=worker)
    found = _doctor()
    assert found["workers"]["what"].startswith(
        f"worker {worker.pk} (web7, process 12) has been silent for 3 h with 1 claimed job,"
    )
    assert "runworker" in found["workers"]["advice"]


def test_findings_are_printed_with_what_to_do() -> None:
    factories.make_job(State.RUNNING, worker=factories.make_worker(state="lost"))
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("jobs", "doctor", stdout=out)
    assert end.value.code == 1
    assert "problem  claims: running jobs whose worker is lost or gone: " in out.getvalue()
    assert "\n         -> Any living worker rescues them" in out.getvalue()
    assert re.search(r"^\d problems?, \d hints?$", out.getvalue(), re.MULTILINE)


def test_a_claim_of_a_lost_worker_is_named() -> None:
    job = factories.make_job(State.RUNNING, worker=factories.make_worker(state="lost"))
    assert _doctor()["claims"]["what"].endswith(f"lost or gone: {job.pk}")


def test_jobs_that_no_function_takes_are_explained() -> None:
    job = sample.add.enqueue(1, 2)
    Job.objects.filter(pk=job.pk).update(arguments={"left": 1, "middle": 2})
    damaged = sample.add.enqueue(1, 2)
    Job.objects.filter(pk=damaged.pk).update(arguments=[1])
    found = _doctor()["jobs"]
    assert f"job {job.pk} cannot be called: TypeError: " in found["what"]
    assert f"job {damaged.pk} cannot be called: SerializationError: arguments: expected a JSON object" in found["what"]


def test_names_that_no_worker_knows_are_counted() -> None:
    factories.make_job(State.SCHEDULED, name="gone.away", unknown_since=database_now() - timedelta(minutes=10))
    found = _doctor()["jobs"]
    assert found["severity"] == "hint"
    assert found["what"] == "waiting for a worker that knows the name 'gone.away': 1 job, up to 10 min so far"


def test_ended_jobs_that_are_never_pruned_are_named() -> None:
    job = factories.make_job(State.SUCCEEDED, finished_at=None)
    assert _doctor()["jobs"]["what"].endswith(f"never pruned: {job.pk}")


def test_instants_in_the_future_are_counted() -> None:
    factories.make_worker(heartbeat_at=database_now() + timedelta(hours=1))
    factories.make_schedule(cron="* * * * *", next_due_at=database_now() + timedelta(hours=1))
    found = _doctor()["clock"]
    assert found["severity"] == "problem"
    assert found["what"] == "instants in the future: 1 heartbeats, 1 next ticks of schedules"
    assert "clock was set back" in found["advice"]
    assert _doctor()["clock"] == found, "doctor changes nothing"


def test_permits_without_a_job_or_a_limit_are_named() -> None:
    sample.render.enqueue(1)
    assert "limits" not in _doctor()
    gone = sample.render.enqueue(1)
    Job.objects.filter(pk=gone.pk)._raw_delete("default")
    assert _doctor()["limits"]["what"].endswith(f"of jobs {gone.pk}")
    astray = sample.render.enqueue(2)
    LimitSignal.objects.all().delete()
    assert _doctor()["limits"]["what"].endswith(f"{gone.pk}, {astray.pk}")


@contextmanager
def _without(part: models.Index | models.BaseConstraint) -> Iterator[None]:
    """Take an index or a constraint away for a while."""
    is_index = isinstance(part, models.Index)
    if connection.vendor == "sqlite" and not is_index:
        pytest.skip("Django makes SQLite's table anew with all constraints of the model")

    def change(verb: str) -> None:
        with connection.schema_editor() as editor:
            getattr(editor, f"{verb}_{'index' if is_index else 'constraint'}")(Job, part)

    change("remove")
    try:
        yield
    finally:
        Job.objects.all()._raw_delete("default")
        change("add")


@contextmanager
def _unchecked() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA ignore_check_constraints = ON")
        yield
        cursor.execute("PRAGMA ignore_check_constraints = OFF")


@pytest.mark.parametrize("part", [*Job._meta.indexes, *Job._meta.constraints], ids=lambda part: part.name)
def test_a_missing_index_or_constraint_is_named(part: Any) -> None:
    with _without(part):
        assert _doctor()["schema"]["what"] == f"missing: {part.name}"
    assert "schema" not in _doctor()


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has parameters of a table")
def test_a_table_that_has_lost_its_storage_parameters_is_named() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_jobs_job SET (autovacuum_vacuum_scale_factor = 0.3)")
        assert "schema" not in _doctor(), "another value is the administrator's own"
        cursor.execute("ALTER TABLE django_jobs_rollup RESET (fillfactor)")
        found = _doctor()["schema"]
        transaction.set_rollback(True)
    assert found["severity"] == "hint"
    assert found["what"].endswith("the migration gave them: django_jobs_rollup")
    assert "sqlmigrate django_jobs 0001" in found["advice"]
    assert "schema" not in _doctor()


def test_a_row_that_contradicts_itself_is_named() -> None:
    (constraint,) = [one for one in Job._meta.constraints if one.name == "django_jobs_job_run_after"]
    with _unchecked() if connection.vendor == "sqlite" else _without(constraint):
        job = factories.make_job(State.SCHEDULED)
        Job.objects.filter(pk=job.pk).update(run_after=None)
        assert _doctor()["jobs"]["what"].endswith(f"no worker ever finds them: {job.pk}")


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite does not tell who reads")
def test_who_holds_back_the_removal_of_dead_rows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{DIALECTS}.{connection.vendor}.server.LONG_TRANSACTION_SECONDS", 0)
    reader = connection.copy()
    try:
        with reader.cursor() as cursor:
            isolation = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
            for statement in (
                ["START TRANSACTION", isolation]
                if connection.vendor == "postgresql"
                else [isolation, "START TRANSACTION"]
            ):
                cursor.execute(statement)
            cursor.execute("SELECT count(*) FROM django_jobs_job")
            cursor.execute("SELECT pg_backend_pid()" if connection.vendor == "postgresql" else "SELECT connection_id()")
            (number,) = cursor.fetchone()
            if connection.vendor == "mysql":
                cursor.execute("SELECT sleep(0.2)")  # its list is a copy, renewed once nobody read it for 0.1 s
            found = _doctor()["vacuum"]
    finally:
        reader.close()
    assert f"{'process' if connection.vendor == 'postgresql' else 'connection'} {number} (" in found["what"]
    assert "has blocked the removal of dead rows for " in found["what"]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL tells what a look reads")
def test_many_dead_rows_make_a_held_snapshot_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{DIALECTS}.{connection.vendor}.server.LONG_TRANSACTION_SECONDS", 0)
    reader = connection.copy()
    try:
        sample.do_nothing.enqueue_many([()] * 20_000)
        with reader.cursor() as cursor:
            cursor.execute("START TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("SELECT count(*) FROM django_jobs_job")
            Job.objects.update(state=State.CANCELLED)
            found = _doctor()["vacuum"]
    finally:
        reader.close()
    assert found["severity"] == "problem"
    assert "a claim from the head of the index reads " in found["what"]


def test_settings_that_weaken_a_promise_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "AUTOCOMMIT", False)
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {})
    found = _doctor()["settings"]
    assert (found["severity"], "AUTOCOMMIT" in found["what"]) == ("problem", True)
    assert ("IMMEDIATE" in found["what"]) == (connection.vendor == "sqlite")


@pytest.fixture
def _no_wal() -> Iterator[None]:
    """The journal mode of a file that no worker has opened."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = DELETE")
        assert cursor.fetchone() == ("delete",)
        yield
        cursor.execute("PRAGMA journal_mode = WAL")


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="only SQLite has a journal mode")
@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_no_wal")
def test_a_file_without_wal_mode_is_a_problem_once_there_was_a_worker_to_switch_it() -> None:
    assert "settings" not in _doctor()
    factories.make_worker()
    found = _doctor()["settings"]
    assert (found["severity"], "not in WAL mode" in found["what"]) == ("problem", True)


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="a session's own setting, which only PostgreSQL has")
def test_a_server_that_does_not_wait_for_the_disk_is_named() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = on")
        assert "does not wait for the disk" not in _doctor().get("settings", {}).get("what", "")
        cursor.execute("SET LOCAL synchronous_commit = off")
        assert "does not wait for the disk" in _doctor()["settings"]["what"]


@pytest.mark.parametrize("app", ["django_jobs", "django_jobs_web"])
def test_migrations_that_were_not_applied_are_all_that_is_said(app: str) -> None:
    ((_, newest),) = MigrationLoader(connection).graph.leaf_nodes(app)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = %s AND name = %s", [app, newest])
    try:
        found = _doctor()
    finally:
        call_command("migrate", app, newest, fake=True, verbosity=0)
    assert list(found) == ["migrations"]
    assert found["migrations"]["what"] == f"not applied: {app}.{newest}"


def test_a_chain_that_waits_for_results_can_be_called() -> None:
    factories.make_worker()
    chain(sample.add.s(1, 2), sample.add.s(RESULT, 3), sample.echo.s([RESULT])).enqueue()
    chord([sample.add.s(1, 2), sample.add.s(3, 4)], sample.echo.s(RESULT)).enqueue()
    assert "jobs" not in _doctor()
