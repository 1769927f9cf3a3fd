"""Check that the database can be used, and explain errors which say that it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connection, connections, transaction

from django_jobs.store.dialects import is_outage, is_refusal, is_unmigrated
from django_jobs.store.readiness import (
    UnappliedMigrationsError,
    check_readiness,
    explain,
    reason_of,
    unapplied_migrations,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_database_with_all_migrations_is_ready() -> None:
    assert unapplied_migrations("django_jobs") == unapplied_migrations("django_jobs_web") == []
    check_readiness()


def test_a_missing_migration_is_named_although_all_tables_are_there() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'django_jobs'")
    try:
        assert unapplied_migrations("django_jobs") == ["django_jobs.0001_initial"]
        with pytest.raises(UnappliedMigrationsError) as refused:
            check_readiness()
        assert "(not applied: django_jobs.0001_initial); run 'manage.py migrate'" in explain(refused.value)
    finally:
        call_command("migrate", "django_jobs", fake=True, verbosity=0)


def test_a_project_without_migrations_has_none_to_apply(settings: Any) -> None:
    settings.MIGRATION_MODULES = {"django_jobs": None}
    assert unapplied_migrations("django_jobs") == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1 FROM django_jobs_nothing",
        "SELECT absent FROM django_jobs_job",
        "INSERT INTO django_jobs_queue (absent) VALUES (1)",
        "UPDATE django_jobs_job SET absent = 1",
    ],
    ids=lambda statement: statement.split()[0].lower(),
)
def test_a_missing_table_or_column_is_no_refusal_of_data_and_no_outage(statement: str) -> None:
    with pytest.raises(DatabaseError) as refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    wrapper = connections[DEFAULT_DB_ALIAS]
    assert is_unmigrated(wrapper, refused.value)
    assert not is_refusal(wrapper, refused.value)
    assert not is_outage(wrapper, refused.value)
    assert "run 'manage.py migrate'" in explain(refused.value)


def test_another_database_is_named_in_the_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections[DEFAULT_DB_ALIAS], "alias", "jobs")
    assert explain(UnappliedMigrationsError("not applied: x")).endswith("run 'manage.py migrate --database jobs'")
    monkeypatch.setattr(connections[DEFAULT_DB_ALIAS], "alias", "the jobs")
    assert explain(UnappliedMigrationsError("not applied: x")).endswith(
        "run \"manage.py migrate --database 'the jobs'\""
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OperationalError("connection failed: FATAL:  no\n\tIs it there?"), "connection failed: FATAL: no"),
        (OperationalError(2002, "Can't connect"), "Can't connect (2002)"),
        (OperationalError("\n"), "OperationalError"),
        (OSError(), "OSError"),
    ],
    ids=["psycopg", "mysqlclient", "empty", "none"],
)
def test_the_reason_is_one_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="Galera is MariaDB and MySQL")
@pytest.mark.parametrize(
    "error",
    [
        OperationalError(1047, "WSREP has not yet prepared node for application use"),
        OperationalError(1180, "Error while appending streaming replication fragment (Not connected to Primary)"),
    ],
    ids=["statement", "commit"],
)
def test_a_galera_node_without_its_cluster_is_an_outage_and_no_refusal_of_data(error: OperationalError) -> None:
    wrapper = connections[DEFAULT_DB_ALIAS]
    assert is_outage(wrapper, error)
    assert not is_refusal(wrapper, error)
