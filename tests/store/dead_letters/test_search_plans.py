"""On PostgreSQL no statement of the dead letters' pages scans a table, however large."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_jobs.policy.dead_letter_filter import DeadLetterFilter
from django_jobs.store.dead_letters.groups import groups_page
from django_jobs.store.dead_letters.search import (
    count_open_dead_letters,
    iter_dead_letter_ids,
    newest_dead_letter_ids,
    open_dead_letters,
)
from django_jobs.store.search.newest_first import newest_first
from tests import factories
from tests.admin.staff import log_in, url
from tests.factories import ago
from tests.plans import rows_read

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="reads PostgreSQL's plans"),
]

ROWS = 30_000
TABLES = ("django_jobs_deadletter", "django_jobs_job", "django_jobs_attempt")
PRINT = "0000007"


@pytest.fixture
def many_letters() -> None:
    """Thirty thousand dead letters of a hundred errors, each with its dead job, and tables that are analysed."""
    job, letter = factories.make_job(), factories.make_letter(fingerprint=PRINT)
    with connection.cursor() as cursor:
        for table, row, changes in (
            ("django_jobs_job", job.pk, {"state": "'dead'"}),
            (
                "django_jobs_deadletter",
                letter.pk,
                {"fingerprint": "lpad((n %% 100)::text, 7, '0')", "job_id": f"{job.pk} + n"},
            ),
        ):
            cursor.execute(
                "SELECT column_name FROM information_schema.columns"
                " WHERE table_name = %s AND table_schema = current_schema()",
                [table],
            )
            columns = [name for (name,) in cursor.fetchall() if name != "id"]
            values = ", ".join(changes.get(name, name) for name in columns)
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)})"
                f" SELECT {values} FROM {table}, generate_series(1, {ROWS}) AS n WHERE id = %s",
                [row],
            )
        cursor.execute("ANALYZE")


def _scans(captured: CaptureQueriesContext) -> list[str]:
    """Return those of the captured statements that scan one of the tables."""
    found = []
    for query in list(captured.captured_queries):
        sql = query["sql"]
        if not sql.startswith("SELECT") or not any(table in sql for table in TABLES):
            continue
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        if any(f"Seq Scan on {table} " in plan for table in TABLES):
            found.append(f"{sql}\n{plan}")
    return found


def test_no_page_of_dead_letters_scans_a_table(client: Client, many_letters: None) -> None:
    log_in(client, "view_deadletter", "view_job_arguments")
    queries = (
        "",
        "?status=purged",
        "?status=all",
        f"?fingerprint={PRINT}",
        "?job_name=sample",
        "?error=broke",
        "?q=broke",
        "?since=PT1H",
        "?since=2020-01-01&until=2020-02-01",
        "?until=2100-01-01&status=all",
    )
    addresses = [url("deadletter_changelist") + query for query in queries]
    with CaptureQueriesContext(connection) as captured:
        for address in [*addresses, url("deadlettergroups"), url("deadlettergroup", PRINT)]:
            assert client.get(address).status_code == 200
    assert _scans(captured) == []


COMBINATIONS = [
    {name: value for name, value in chosen.items() if value}
    for values in product(("", "0000007"), ("", "sample", "other"), ("", "default"), ("", "broke"), ("", "PT1H"))
    if (chosen := dict(zip(("fingerprint", "job_name", "queue_name", "error", "since"), values, strict=True)))
]


@pytest.mark.parametrize("sample", ["resolved", "open"])
def test_no_sample_of_statistics_turns_a_search_into_a_read_of_the_table(
    many_letters: None, monkeypatch: pytest.MonkeyPatch, sample: str
) -> None:
    """Statistics of a table whose rows were all of one other kind."""
    monkeypatch.setattr("django_jobs.store.dead_letters.search.SCAN_FACTOR", 2)
    monkeypatch.setattr("django_jobs.store.dead_letters.search.COUNT_SCAN", 1_000)
    monkeypatch.setattr("django_jobs.store.dead_letters.search.MAX_COUNTED", 1_000)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_jobs_deadletter SET (autovacuum_enabled = off)")
        cursor.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM django_jobs_deadletter")
        cursor.execute("DELETE FROM django_jobs_deadletter WHERE id %% 100 > 0", [])
        cursor.execute("UPDATE django_jobs_deadletter SET status = %s, job_name = 'rest', fingerprint = 'f'", [sample])
        cursor.execute("ANALYZE django_jobs_deadletter")
        cursor.execute("TRUNCATE django_jobs_deadletter")
        cursor.execute("INSERT INTO django_jobs_deadletter SELECT * FROM kept")
        cursor.execute("DROP TABLE kept")
    for query in COMBINATIONS:
        wanted = DeadLetterFilter.from_query(query)
        with CaptureQueriesContext(connection) as captured:
            page = newest_first(open_dead_letters(wanted), scan=1_000)
            if page.next_cursor is not None:
                newest_first(open_dead_letters(wanted), after=page.next_cursor, scan=1_000)
            next(iter_dead_letter_ids(wanted), None)
            if wanted.to_query().keys() - {"fingerprint"}:  # otherwise an index has them, however far back
                count_open_dead_letters(wanted)
        for statement in [query["sql"] for query in captured.captured_queries]:
            assert rows_read(statement) <= 2_500, (query, statement)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_jobs_deadletter RESET (autovacuum_enabled)")


def test_no_step_of_a_bulk_job_scans_a_table(many_letters: None) -> None:
    with CaptureQueriesContext(connection) as captured:
        count_open_dead_letters(DeadLetterFilter())
        count_open_dead_letters(DeadLetterFilter(fingerprint=PRINT))
        newest_dead_letter_ids(DeadLetterFilter(fingerprint=PRINT), 10)
        next(iter_dead_letter_ids(DeadLetterFilter(fingerprint=PRINT)))
        next(iter_dead_letter_ids(DeadLetterFilter(error="nothing has this")))
        count_open_dead_letters(DeadLetterFilter(since=timedelta(hours=1)))
        next(iter_dead_letter_ids(DeadLetterFilter(since=ago(hours=1), until=ago(hours=-1))))
        groups_page()
    assert _scans(captured) == []
