"""On PostgreSQL no filter of the jobs' list reads a whole table: each statement's plan is asked for.

Also with statistics that mislead the planner: each sample that ANALYZE may have drawn is made by hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC
from itertools import product

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import Attempt, DeadLetter, Job, JobIdCheckpoint
from django_jobs.policy.states import State
from django_jobs.store.doctor.why_not_running import why_not_running
from django_jobs.store.search.jobs import JobFilter, find_jobs, find_jobs_of_object
from tests import factories
from tests.databases import chosen_vendor
from tests.plans import rows_read
from tests.sampleapp.models import Customer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() != "postgresql", reason="asks PostgreSQL for its plans"),
]

ROWS, SCAN = 30_000, 1_000
WHOLE = re.compile(r"Seq Scan on django_jobs_(job|attempt|deadletter)\b")

FILL = """
INSERT INTO django_jobs_job (name, queue_name, priority, state, arguments, metadata, attempt, max_attempts,
    claim_number, worker_id, enqueued_at, run_after, ready_at, started_at, finished_at, worker_deaths, progress_message)
SELECT 'job' || n %% 7, 'queue' || n %% 5, n %% 3, s, json_build_object('user_id', n), '{}',
    CASE WHEN s IN ('ready', 'scheduled') THEN 0 ELSE 1 END, 5, 1, n %% 50, now() - (%s - n) * interval '1 second',
    CASE WHEN s = 'scheduled' THEN now() + n * interval '1 second' END,
    CASE WHEN s <> 'scheduled' THEN now() - (%s - n) * interval '1 second' END, NULL,
    CASE WHEN s IN ('succeeded', 'dead') THEN now() END, 0, ''
FROM (SELECT n, CASE WHEN n %% 10 < 6 THEN 'succeeded' WHEN n %% 10 = 6 THEN 'dead' WHEN n %% 10 = 7 THEN 'ready'
    WHEN n %% 10 = 8 THEN 'scheduled' WHEN n %% 1000 = 9 THEN 'running' ELSE 'cancelled' END AS s
    FROM generate_series(1, %s) AS n) AS numbered
"""
TRIES = """
INSERT INTO django_jobs_attempt
    (job_id, number, claim_number, worker_id, outcome, finished_at, error_class, error_message, traceback)
SELECT id, 1, 1, worker_id, 'failed', now(), 'E', 'error ' || id, ''
FROM django_jobs_job WHERE state IN ('succeeded', 'dead')
"""
LETTERS = """
INSERT INTO django_jobs_deadletter (job_id, job_name, queue_name, reason, attempt, error_class, error_message,
    traceback, fingerprint, died_at, status, resolved_by)
SELECT id, name, queue_name, 'discarded', 1, 'E', 'error', '', 'f', now(), CASE WHEN state <> 'dead' THEN 'redriven'
    WHEN id % 20 < 10 THEN 'open' ELSE 'resolved' END, '' FROM django_jobs_job
"""

QUERIES = [
    {},
    *({"state": state.value} for state in State),
    *({"state": state.value, "queue": "queue3", "name": "job1"} for state in State),
    *({"state": state.value, "argument": "user_id=17", "error": "error 1"} for state in State),
    {"state": "ready", "queue": "queue2"},
    {"q": "job1"},
    {"q": "user_id=17"},
    {"name": "nothing"},
    {"worker": "7"},
    {"worker": "7", "state": "running"},
    {"schedule": "1"},
    {"since": "PT1H"},
    {"since": "PT1H", "until": "2020-01-01"},
    {"error": "error 17"},
    {"ids": "1,2,3"},
]


STATES = [*(state.value for state in State), ""]
NAMES = [{}, {"queue": "queue1"}, {"name": "job1"}, {"queue": "queue1", "name": "job1"}]
OTHERS = [{"worker": "7"}, {"since": "PT1H"}, {"argument": "user_id=17"}, {"error": "error 17"}, {"q": "job"}]
COMBINATIONS = [
    {"state": state, **names, **other}
    for state in STATES
    for names, other in [*product(NAMES, [{}]), *product((NAMES[0], NAMES[-1]), OTHERS)]
]

TABLES = ("django_jobs_job", "django_jobs_attempt", "django_jobs_deadletter")
ANALYZE = f"ANALYZE {', '.join(TABLES)}"
TRUNCATE = f"TRUNCATE {', '.join(TABLES)} CASCADE"
SAMPLES = {
    # What every row of the sample looks like, in tables that then fill up with others.
    "nothing matches": {"name": "other", "queue": "other", "state": "blocked", "status": "purged"},
    "dead letters are resolved": {"name": "job1", "queue": "other", "state": "dead", "status": "resolved"},
    "all matches": {"name": "job1", "queue": "queue1", "state": "ready", "status": "open"},
}


def fill(rows: int) -> None:
    """Add jobs with their attempts and dead letters."""
    with connection.cursor() as cursor:
        cursor.execute(FILL, [rows, rows, rows])
        cursor.execute(TRIES, [])
        cursor.execute(LETTERS)


def forget_statistics() -> None:
    """Make the tables as new: what autovacuum noted of an earlier test's few rows outlives them."""
    with connection.cursor() as cursor:
        cursor.execute(TRUNCATE)  # and with it the number of rows and pages
        cursor.execute("DELETE FROM pg_statistic WHERE starelid = ANY(%s::regclass[])", [list(TABLES)])


@pytest.fixture
def rows(transactional_db: None, sample: str) -> Iterator[int]:
    """Analyse small tables of one kind of row, then fill them with others; return how many."""
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    forget_statistics()
    if sample != "never analysed":
        fill(300)
        look = SAMPLES[sample]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE django_jobs_job"
                " SET name = %(name)s, queue_name = %(queue)s, state = %(state)s, ready_at = now(), run_after = NULL",
                look,
            )
            cursor.execute(
                "UPDATE django_jobs_deadletter SET job_name = %(name)s, queue_name = %(queue)s, status = %(status)s",
                look,
            )
            cursor.execute(ANALYZE)
            cursor.execute(TRUNCATE)
    # Without statistics 200 rows by their keys are thought to be as dear as all of 30,000, and rightly so.
    rows = 2 * ROWS if sample == "never analysed" else ROWS
    fill(rows)
    yield rows
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} RESET (autovacuum_enabled)")


@pytest.fixture
def full_tables(transactional_db: None) -> int:
    """Fill the tables and return the lowest id."""
    fill(ROWS)
    with connection.cursor() as cursor:
        cursor.execute(ANALYZE)
    lowest = Job.objects.order_by("pk").values_list("pk", flat=True)[0]
    JobIdCheckpoint.objects.create(recorded_at=factories.ago(hours=2), job_id=lowest + ROWS // 2)
    schedule = factories.make_schedule(pk=1)
    factories.make_tick(schedule, job_id=lowest + 7)
    return lowest


def whole_scans(queries: CaptureQueriesContext) -> list[str]:
    """Return those of the statements, with their plans, that read a whole table."""
    found = []
    statements = [query["sql"] for query in queries.captured_queries if query["sql"].startswith("SELECT")]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(f"EXPLAIN {statement}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
            if WHOLE.search(plan):
                found.append(f"{statement}\n{plan}")
    return found


def test_no_page_of_any_filter_reads_a_whole_table(full_tables: int) -> None:
    for query in [*QUERIES, {"q": str(full_tables + 17)}]:
        with CaptureQueriesContext(connection) as queries:
            wanted = JobFilter.from_query(query, zone=UTC)
            page = find_jobs(wanted, scan=SCAN)
            if page.next_cursor is not None:
                find_jobs(wanted, after=page.next_cursor, scan=SCAN)
        assert not whole_scans(queries), query


def test_statistics_of_earlier_tests_are_forgotten(transactional_db: None) -> None:
    fill(300)
    with connection.cursor() as cursor:
        cursor.execute(ANALYZE)
        forget_statistics()
        cursor.execute("SELECT count(*) FROM pg_stats WHERE tablename = ANY(%s)", [list(TABLES)])
        assert cursor.fetchone() == (0,)
        cursor.execute("SELECT reltuples, relpages FROM pg_class WHERE relname = ANY(%s)", [list(TABLES)])
        assert cursor.fetchall() == [(-1, 0)] * len(TABLES)


@pytest.mark.parametrize("sample", [*SAMPLES, "never analysed"])
def test_no_sample_of_statistics_turns_a_page_into_a_read_of_the_table(rows: int, sample: str) -> None:
    scan = SCAN // 4 if sample == "never analysed" else SCAN
    for query in COMBINATIONS:
        wanted = JobFilter.from_query(query, zone=UTC)
        with CaptureQueriesContext(connection) as queries:
            page = find_jobs(wanted, scan=scan)
            if page.next_cursor is not None:
                find_jobs(wanted, after=page.next_cursor, scan=scan)
        for statement in [captured["sql"] for captured in queries.captured_queries]:
            assert rows_read(statement) <= rows / 4, (query, statement)


def test_an_index_of_arguments_finds_rare_values_anywhere(full_tables: int) -> None:
    query = JobFilter(argument="user_id=1")
    assert find_jobs(query, scan=SCAN).rows == []
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX by_argument ON django_jobs_job USING gin (arguments jsonb_path_ops)")
        cursor.execute("ANALYZE django_jobs_job")
    try:
        with CaptureQueriesContext(connection) as queries:
            page = find_jobs(query, scan=SCAN)
        assert [job.pk for job in page.rows] == [full_tables]
        assert page.next_cursor is None
        assert not whole_scans(queries)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX by_argument")


def test_a_frequent_argument_is_found_by_ranges_of_ids_in_spite_of_the_index(
    full_tables: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("django_jobs.store.search.jobs.MAX_INDEXED", 3)
    Job.objects.filter(pk__lte=full_tables + 9).update(arguments={"region": "eu"})
    with connection.cursor() as cursor:
        cursor.execute("CREATE INDEX by_argument ON django_jobs_job USING gin (arguments jsonb_path_ops)")
    try:
        page = find_jobs(JobFilter(argument="region=eu"), scan=SCAN)
        assert (page.rows, page.is_truncated, page.highest) == ([], True, full_tables + ROWS - 1)
        assert len(find_jobs(JobFilter(argument="region=eu"), scan=ROWS).rows) == 10
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX by_argument")


def test_the_jobs_of_a_row_are_searched_by_ranges_of_ids(full_tables: int) -> None:
    with CaptureQueriesContext(connection) as queries:
        find_jobs_of_object(Customer(pk=7), argument="user_id", scan=SCAN)
    assert not whole_scans(queries)


def test_why_a_job_waits_is_found_by_indexes(full_tables: int) -> None:
    factories.make_worker()
    for state in (State.READY, State.SCHEDULED, State.RUNNING):
        for job in (Job.objects.filter(state=state).earliest("pk"), Job.objects.filter(state=state).latest("pk")):
            with CaptureQueriesContext(connection) as queries:
                assert why_not_running(job) is not None
            assert not whole_scans(queries), state


def test_the_tables_are_large_enough_for_this_to_mean_something(full_tables: int) -> None:
    assert Job.objects.count() == ROWS
    assert Attempt.objects.count() + DeadLetter.objects.count() > ROWS / 2
    with CaptureQueriesContext(connection) as queries:
        list(Job.objects.filter(name="nothing"))
    assert whole_scans(queries)
