"""On PostgreSQL no statement about limits reads a whole table, however many limits there are and jobs wait."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from django_jobs.limits import RateLimit
from django_jobs.models import Job, Limit
from django_jobs.policy.limits import LimitKind, PermitPhase
from django_jobs.policy.states import State
from django_jobs.store.doctor.why_not_running import why_not_running
from django_jobs.store.limits.reopen import reopen_limit
from django_jobs.store.limits.search import LimitFilter, limits_page
from tests import factories
from tests.admin.staff import log_in, url
from tests.databases import chosen_vendor

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() != "postgresql", reason="asks PostgreSQL for its plans"),
]

WHOLE = re.compile(r"Seq Scan on django_jobs_(job|limit|permit)\b")
ROWS = 30_000

# One limit with 30,000 waiting jobs, and 30,000 others with four permits each: where one limit has half of the table,
# PostgreSQL may rightly read it to count a third.
FILL = """
INSERT INTO django_jobs_limit (id, kind, name, key, rule, is_tripped, failures)
SELECT n, 1 + n %% 4, 'name' || n %% 3, 'key ' || n, %s, false, '[]' FROM generate_series(1, %s) AS n;
INSERT INTO django_jobs_job (name, queue_name, priority, state, arguments, metadata, attempt, max_attempts,
    claim_number, enqueued_at, worker_deaths, progress_message, flags)
SELECT 'sample', 'default', 0, 'blocked', '{}', '{}', 0, 5, 0, now(), 0, '', 1 FROM generate_series(1, %s);
INSERT INTO django_jobs_permit (job_id, limit_id, run, kind, phase, urgency, since, is_last, free_at)
SELECT id, %s, 0, 4, 1, 0, now(), true, NULL FROM django_jobs_job WHERE state = 'blocked';
INSERT INTO django_jobs_permit (job_id, limit_id, run, kind, phase, urgency, since, is_last, free_at)
SELECT n, n, run, 4, CASE WHEN n %% 2 = 0 THEN 2 ELSE 3 END, 0, now(), true, now() + interval '1 hour'
FROM generate_series(1, %s) AS n, generate_series(1, 4) AS run
"""


@pytest.fixture
def busiest() -> Limit:
    """The limit at which all wait."""
    limit = factories.make_limit(RateLimit(1), name="name1", key="busiest", is_tripped=True)
    factories.make_permit(limit, factories.make_job(State.RUNNING), phase=PermitPhase.HELD)
    with connection.cursor() as cursor:
        rule = '{"kind": 4, "capacity": 10, "window_seconds": 1}'
        cursor.execute(FILL, [rule, ROWS, ROWS, limit.pk, ROWS])
        for table in ("limit", "job", "permit"):
            cursor.execute(f"VACUUM ANALYZE django_jobs_{table}")
    return limit


def _scans(captured: CaptureQueriesContext) -> list[str]:
    """Return those of the captured statements that would read all of a table, with their plans."""
    found = []
    for query in list(captured.captured_queries):
        if re.match(r"\s*(SELECT|UPDATE)", query["sql"]):
            with connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN {query['sql']}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
            if WHOLE.search(plan):
                found.append(f"{query['sql']}\n{plan}")
    return found


def test_no_page_of_limits_reads_a_whole_table(client: Client, busiest: Limit) -> None:
    log_in(client, "view_limit", "view_job", "view_job_arguments", "reopen_limit")
    queries = ("", "?name=name1", "?name=name1&kind=rate")
    addresses = [url("limit_changelist") + query for query in queries]
    waiting = Job.objects.filter(state=State.BLOCKED).order_by("-pk")[0]
    with CaptureQueriesContext(connection) as captured:
        for address in [*addresses, url("limit_change", busiest.pk), url("job_change", waiting.pk)]:
            assert client.get(address).status_code == 200
        reopen_limit(busiest.pk)
    assert _scans(captured) == []


FILTERS = (
    LimitFilter(),
    LimitFilter(kind=LimitKind.RATE),
    LimitFilter(name="name1"),
    LimitFilter(name="name1", kind=LimitKind.RATE),
    LimitFilter(name="name1", kind=LimitKind.RATE, key_part="7"),
    LimitFilter(key_part="no such key"),
)


def test_a_page_and_the_one_behind_it_are_found_by_the_index(busiest: Limit) -> None:
    for wanted in FILTERS:
        with CaptureQueriesContext(connection) as captured:
            page = limits_page(wanted, scan=1_000)
            assert page.next_cursor is not None, wanted
            limits_page(wanted, after=page.next_cursor, scan=1_000)
        assert _scans(captured) == [], wanted


def test_saying_why_the_last_of_a_long_line_waits_reads_no_more_than_it_counts(busiest: Limit) -> None:
    last = Job.objects.filter(state=State.BLOCKED).order_by("-pk")[0]
    with CaptureQueriesContext(connection) as captured:
        reason = why_not_running(last)
    assert reason is not None
    assert reason.values["ahead"] == "10000+"
    assert _scans(captured) == []
