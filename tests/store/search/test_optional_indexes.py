"""Indexes that a project may add: made and dropped by a command, and used by searches where they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.search.jobs import JobFilter, find_jobs
from django_jobs.store.search.optional_indexes import drop_optional_index, has_argument_index, has_name_index
from tests import factories
from tests.databases import chosen_vendor
from tests.plans import rows_read

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif(chosen_vendor() != "postgresql", reason="only PostgreSQL has one of arguments")


@pytest.fixture(autouse=True)
def _without_indexes() -> Iterator[None]:
    yield
    drop_optional_index("names")
    if chosen_vendor() == "postgresql":
        drop_optional_index("arguments")


def index(*arguments: str) -> str:
    out = StringIO()
    call_command("jobs", "index", *arguments, stdout=out)
    return out.getvalue().strip()


def test_a_name_is_found_anywhere_by_its_index() -> None:
    rare = factories.make_jobs(3, State.SUCCEEDED, name="rare")
    factories.make_jobs(20, State.SUCCEEDED)
    wanted = JobFilter(name="rare")
    assert find_jobs(wanted, scan=5).rows == []
    assert index("names") == "the index of names is created"
    assert index("names") == "the index of names was already created"
    page = find_jobs(wanted, scan=5, limit=2)
    assert (page.rows, page.is_truncated) == ([rare[2], rare[1]], False)
    page = find_jobs(wanted, scan=5, limit=2, after=page.next_cursor or "")
    assert (page.rows, page.next_cursor) == ([rare[0]], None)
    Job.objects.filter(pk=rare[0].pk).update(queue_name="mail")
    assert find_jobs(JobFilter(name="rare", queue="mail"), scan=5).rows == [rare[0]]
    assert find_jobs(JobFilter(name="rare", state=State.SUCCEEDED), scan=5, limit=1).rows == [rare[2]]
    assert index("names", "--drop") == "the index of names is dropped"
    assert json.loads(index("names", "--drop", "--json")) == {"dropped": None}
    assert not has_name_index(Job.objects.all())


@on_postgresql
def test_an_argument_is_found_anywhere_by_its_index() -> None:
    rare = factories.make_job(State.SUCCEEDED, arguments={"user_id": 7})
    factories.make_jobs(20, State.SUCCEEDED)
    wanted = JobFilter(argument="user_id=7")
    assert find_jobs(wanted, scan=5).rows == []
    assert index("arguments") == "the index of arguments is created"
    assert find_jobs(wanted, scan=5).rows == [rare]


@on_postgresql
def test_an_index_whose_build_failed_is_not_used_and_is_made_anew() -> None:
    for kind in ("names", "arguments"):
        index(kind)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE pg_index SET indisvalid = false FROM pg_class"
            " WHERE pg_class.oid = indexrelid AND relname IN ('django_jobs_by_name', 'django_jobs_by_argument')"
        )
    assert not has_name_index(Job.objects.all())
    assert not has_argument_index(Job.objects.all())
    for kind in ("names", "arguments"):
        assert index(kind) == f"the index of {kind} is created"
    assert has_name_index(Job.objects.all())
    assert has_argument_index(Job.objects.all())


@pytest.mark.skipif(chosen_vendor() == "postgresql", reason="PostgreSQL has one of arguments")
def test_an_index_of_arguments_is_refused_where_there_is_none() -> None:
    with pytest.raises(CommandError, match="an index of arguments needs PostgreSQL; the jobs' database is"):
        index("arguments")


@on_postgresql
def test_a_page_by_the_index_of_names_reads_the_rows_of_that_name_only() -> None:
    factories.make_jobs(5, State.SUCCEEDED, name="rare")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_jobs_job"
            " (name, queue_name, priority, state, arguments, metadata, attempt, max_attempts, claim_number,"
            " enqueued_at, worker_deaths, progress_message)"
            " SELECT 'job' || n % 7, 'default', 0, 'succeeded', '{}', '{}', 1, 5, 1, now(), 0, ''"
            " FROM generate_series(1, 20000) AS n"
        )
    index("names")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE django_jobs_job")
    for wanted in (JobFilter(name="rare"), JobFilter(name="rare", queue="default", state=State.SUCCEEDED)):
        with CaptureQueriesContext(connection) as queries:
            assert len(find_jobs(wanted, limit=3).rows) == 3
        for query in queries.captured_queries:
            if "django_jobs_job" in query["sql"].partition("WHERE")[0]:
                assert rows_read(query["sql"]) <= 5, query["sql"]
