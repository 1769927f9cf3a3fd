"""A claim after a conflict begins further down its lane, and all that it passed over is claimed by later ones."""

import time

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.policy.claim_cursors import ClaimCursors, Lane
from django_jobs.policy.claim_spread import CALM_SECONDS
from django_jobs.store.lifecycle.claim import claim, refresh_cursors, spread_claims
from tests.factories import make_worker
from tests.sampleapp.jobs import echo

pytestmark = pytest.mark.django_db

LANE = Lane("default", 0)


@pytest.fixture
def _galera_speaks_mysql():
    if connection.vendor != "mysql":
        pytest.skip("Galera is MariaDB and MySQL")


@pytest.mark.usefixtures("_galera_speaks_mysql")
def test_a_claim_begins_at_another_place_and_the_jobs_passed_over_are_claimed_later(monkeypatch):
    jobs = [job.pk for job in echo.enqueue_many([(number,) for number in range(40)])]
    monkeypatch.setattr("random.random", lambda: 0.5)
    cursors, worker = ClaimCursors(), make_worker()
    refresh_cursors(cursors, queues=None)

    assert spread_claims(cursors, LANE, limit=5)

    assert [one.job_id for one in claim(cursors, LANE, limit=5, worker_id=worker.pk)] == jobs[18:23]
    refresh_cursors(cursors, queues=None)
    assert [one.job_id for one in claim(cursors, LANE, limit=5, worker_id=worker.pk)] == jobs[15:18] + jobs[23:25]

    calm_at = time.monotonic() + CALM_SECONDS
    monkeypatch.setattr("time.monotonic", lambda: calm_at)
    refresh_cursors(cursors, queues=None)
    assert [one.job_id for one in claim(cursors, LANE, limit=30, worker_id=worker.pk)] == jobs[:15] + jobs[25:]


def test_one_claim_of_what_is_left_is_no_place_to_spread_claims():
    echo.enqueue_many([(number,) for number in range(5)])
    cursors = ClaimCursors()
    refresh_cursors(cursors, queues=None)
    assert not spread_claims(cursors, LANE, limit=5)
    assert [one.attempt for one in claim(cursors, LANE, limit=5, worker_id=make_worker().pk)] == [1] * 5


def test_a_claim_without_conflicts_reads_no_positions():
    echo.enqueue_many([(number,) for number in range(40)])
    cursors, worker = ClaimCursors(), make_worker()
    refresh_cursors(cursors, queues=None)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        claim(cursors, LANE, limit=5, worker_id=worker.pk)
    statements = [query["sql"] for query in queries if "SAVEPOINT" not in query["sql"]]
    assert len(statements) == (2 if connection.vendor == "mysql" else 1)
