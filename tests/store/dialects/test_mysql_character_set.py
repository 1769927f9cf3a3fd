"""A MariaDB or MySQL database whose default character set is latin1, as older servers make them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from django_jobs.models import Job
from django_jobs.testing import drain
from tests.databases import chosen_vendor
from tests.sampleapp.jobs import echo

if chosen_vendor() != "mysql":
    pytest.skip("a database has a default character set on MariaDB and MySQL", allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)

TEXT = "ä € 日本 😀"


@pytest.fixture
def _latin1_by_default() -> Iterator[None]:
    """Change the default of new tables and of JSON_TABLE; the tables stay as they are."""
    name = connection.ops.quote_name(connection.settings_dict["NAME"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@character_set_database, @@collation_database")
        before = cursor.fetchone()
        cursor.execute(f"ALTER DATABASE {name} CHARACTER SET latin1")
    connection.close()
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER DATABASE {name} CHARACTER SET {before[0]} COLLATE {before[1]}")
    connection.close()


@pytest.mark.usefixtures("_latin1_by_default")
def test_many_arguments_and_results_keep_every_character() -> None:
    jobs = echo.enqueue_many([(TEXT,), (TEXT,)])
    drain()
    saved = Job.objects.in_bulk([job.pk for job in jobs]).values()
    assert [(job.arguments, job.result) for job in saved] == [({"value": TEXT}, TEXT)] * 2
