"""How PostgreSQL would do the statements of a call, on tables of some size whose statistics are fresh."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext

# Some of everything, most of it long over: as in a project that has run for a while.
FILL = """
INSERT INTO django_jobs_job
    (name, queue_name, priority, state, max_attempts, metadata, arguments, enqueued_at, ready_at, run_after, started_at,
     finished_at, attempt, claim_number, worker_deaths, progress_message)
SELECT 'job' || n % 7, 'queue' || n % 5, n % 3, state, 5, '{}', '{}', at, at,
       CASE WHEN state = 'scheduled' THEN at + interval '3 days' END, at, at, n % 2, 1, 0, ''
FROM (SELECT n, now() - (40000 - n) * interval '1 second' AS at,
             CASE WHEN n % 100 < 90 THEN 'succeeded' WHEN n % 100 < 95 THEN 'dead' WHEN n % 100 < 97 THEN 'ready'
                  WHEN n % 100 < 99 THEN 'scheduled' WHEN n % 1000 = 999 THEN 'running' ELSE 'cancelled' END AS state
      FROM generate_series(1, 40000) AS n) AS made;
INSERT INTO django_jobs_attempt
    (job_id, claim_number, number, outcome, ready_at, started_at, finished_at, error_class, error_message, traceback)
SELECT id, 1, 1, CASE WHEN state = 'succeeded' THEN 'succeeded' ELSE 'failed' END, ready_at, started_at,
       coalesce(finished_at, started_at), '', '', ''
FROM django_jobs_job WHERE state IN ('succeeded', 'dead');
INSERT INTO django_jobs_deadletter
    (job_id, job_name, queue_name, reason, attempt, error_class, error_message, traceback, fingerprint, died_at, status,
     resolved_by)
SELECT job.id, name, queue_name, 'attempts_used_up', 5, 'Error', 'it broke', '', 'f' || n % 300, finished_at,
       CASE WHEN n = 5 THEN 'open' ELSE 'redriven' END, ''
FROM django_jobs_job AS job CROSS JOIN generate_series(1, 5) AS n WHERE state = 'dead';
"""
TABLES = ("django_jobs_job", "django_jobs_attempt", "django_jobs_deadletter")
WHOLE_TABLE = re.compile(rf"Seq Scan on ({'|'.join(TABLES)})\b")


def fill_tables() -> None:
    """Fill the tables of jobs, attempts and letters with 40,000, 38,000 and 10,000 rows, as autovacuum leaves them."""
    with connection.cursor() as cursor:
        cursor.execute(FILL)
        for table in TABLES:
            cursor.execute(f"VACUUM ANALYZE {table}")


def whole_table_reads(call: Callable[[], object]) -> list[str]:
    """Return the statements of ``call`` that would read all of a large table, with their plans."""
    with CaptureQueriesContext(connection) as captured:
        call()
    found = []
    for query in captured.captured_queries:
        if re.match(r"\s*(SELECT|WITH|UPDATE|DELETE)", query["sql"]):
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + query["sql"])
                plan = "\n".join(line for (line,) in cursor.fetchall())
            if WHOLE_TABLE.search(plan):
                found.append(f"{query['sql']}\n{plan}")
    return found


def rows_read(statement: str) -> int:
    """Return how many rows of tables the statement reads: those that it finds, and those that it drops."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}")
        plan = cursor.fetchone()[0]
    return _rows_of((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def _rows_of(node: dict[str, Any]) -> int:
    below = sum(_rows_of(child) for child in node.get("Plans", []))
    if "Relation Name" not in node:
        return below
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return below + int((node["Actual Rows"] + dropped) * node["Actual Loops"])
