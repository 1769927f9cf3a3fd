"""The snapshot of the queues reads a few entries of an index on MySQL and MariaDB, however many jobs there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection

from django_jobs.store.dialects import open_dialect
from tests.databases import chosen_vendor
from tests.factories import make_queues_of_one_job

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() != "mysql", reason="only MySQL and MariaDB count what a session reads"),
]

DISTINCT = {"n_diff_pfx01": 4, "n_diff_pfx02": 6, "n_diff_pfx03": 6, "n_diff_pfx04": 2_000, "n_diff_pfx05": 4_000}
"""States, queues and priorities of 4,000 jobs."""


def _execute(statement: str, values: list[object] | None = None) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _reads() -> int:
    return sum(int(str(number)) for _, number in _execute("SHOW SESSION STATUS LIKE 'Handler_read%%'", []))


@pytest.fixture
def _statistics(transactional_db: None) -> Iterator[None]:
    """Keep the server from counting anew: what other tests deleted would be among it."""
    _execute("ALTER TABLE django_jobs_job STATS_AUTO_RECALC = 0")
    yield
    _execute("ALTER TABLE django_jobs_job STATS_AUTO_RECALC = DEFAULT")


@pytest.mark.usefixtures("_statistics")
def test_its_reads_do_not_grow_with_the_jobs() -> None:
    make_queues_of_one_job(2_000, queue_name="default")
    make_queues_of_one_job(1_000, queue_name="other", priority=5)
    make_queues_of_one_job(1_000, state="scheduled", ready_at=None, run_after="2100-01-01T00:00+00:00")
    table = "database_name = database() AND table_name = 'django_jobs_job'"
    _execute(f"UPDATE mysql.innodb_table_stats SET n_rows = 4000 WHERE {table}")
    for name, number in DISTINCT.items():
        _execute(
            "UPDATE mysql.innodb_index_stats SET stat_value = %s"
            f" WHERE {table} AND index_name = 'django_jobs_ready' AND stat_name = %s",
            [number, name],
        )
    _execute("FLUSH TABLES django_jobs_job")
    dialect, _ = open_dialect()

    before = _reads()
    snapshot = dialect.jobs.read_snapshot(connection, None)
    reads = _reads() - before

    assert {(lane.queue_name, lane.priority) for lane in snapshot.lanes} == {("default", 0), ("other", 5)}
    assert snapshot.next_due is not None
    assert snapshot.next_due.year == 2100
    assert reads < 200
