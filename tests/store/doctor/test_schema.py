"""The migrations create the indexes and constraints on which the engine depends."""

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from django_jobs.models import Attempt, Job, RollupPosition
from django_jobs.policy.states import State
from django_jobs.store.dialects.postgresql.table_options import TABLE_OPTIONS
from tests.factories import make_attempt, make_job

pytestmark = pytest.mark.django_db

PARTIAL = {
    "django_jobs_ready": ["queue_name", "priority", "ready_at", "id"],
    "django_jobs_scheduled": ["run_after", "id"],
    "django_jobs_running": ["id"],
}
WHOLE = {
    "django_jobs_ready": ["state", "queue_name", "priority", "ready_at", "id"],
    "django_jobs_scheduled": ["run_after", "id"],
    "django_jobs_running": ["state", "id"],
}


def constraints(model):
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, model._meta.db_table)


@pytest.mark.parametrize("name", sorted(PARTIAL))
def test_each_index_has_the_columns_that_its_database_can_use(name):
    expected = PARTIAL if connection.features.supports_partial_indexes else WHOLE

    assert constraints(Job)[name]["columns"] == expected[name]


def test_where_indexes_can_be_partial_each_covers_one_state_only():
    if not connection.features.supports_partial_indexes:
        pytest.skip("MySQL and MariaDB have no partial indexes")
    table = "pg_indexes" if connection.vendor == "postgresql" else "sqlite_master"
    columns = "indexname, indexdef" if connection.vendor == "postgresql" else "name, sql"

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM {table}")
        definitions = dict(cursor.fetchall())

    for name, state in (("ready", "ready"), ("scheduled", "scheduled"), ("running", "running")):
        condition = definitions[f"django_jobs_{name}"].partition(" WHERE ")[2]
        assert "state" in condition
        assert f"'{state}'" in condition


def test_the_database_refuses_a_state_that_is_none():
    make_job()

    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.update(state="lost")


@pytest.mark.parametrize("state", list(State))
def test_the_database_takes_every_state(state):
    assert make_job(state).refresh().state == state.value


def test_the_database_refuses_a_second_record_of_one_claim():
    attempt = make_attempt(make_job())

    with pytest.raises(IntegrityError), transaction.atomic():
        make_attempt(attempt.job, claim_number=attempt.claim_number)
    make_attempt(attempt.job, claim_number=attempt.claim_number + 1)
    assert Attempt.objects.count() == 2


def test_the_migrations_are_those_of_the_models(capsys):
    call_command("makemigrations", "django_jobs", "django_jobs_web", "--check", "--dry-run")

    assert "No changes detected" in capsys.readouterr().out


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="Django prints no SQL for it within a transaction")
def test_the_migration_prints_what_tunes_the_tables():
    out = StringIO()
    call_command("sqlmigrate", "django_jobs", "0001", stdout=out)

    printed = [line for line in out.getvalue().splitlines() if " SET (" in line]
    assert len(printed) == (len(TABLE_OPTIONS) if connection.vendor == "postgresql" else 0)
    assert set(TABLE_OPTIONS) <= {model._meta.db_table for model in apps.get_app_config("django_jobs").get_models()}


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL tells")
def test_counters_are_updated_without_their_indexes():
    RollupPosition.objects.update_or_create(source=RollupPosition.Source.ATTEMPTS)

    with connection.cursor() as cursor:
        count = "SELECT pg_stat_get_xact_tuples_hot_updated('django_jobs_rollupposition'::regclass)"
        cursor.execute(count)
        (before,) = cursor.fetchone()
        RollupPosition.objects.filter(pk=RollupPosition.Source.ATTEMPTS).update(done_id=F("done_id") + 1)
        cursor.execute(count)
        assert cursor.fetchone() == (before + 1,)
