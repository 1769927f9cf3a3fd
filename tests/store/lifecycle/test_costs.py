"""How many statements and commits take a hundred jobs from ready to succeeded: numbers that only go down."""

from __future__ import annotations

import pytest
from django.db import connection

from django_jobs.policy.outcomes import Succeeded
from django_jobs.store.lifecycle.finish import finish
from tests.factories import ended, make_jobs, make_worker, take
from tests.statements import counted

pytestmark = pytest.mark.django_db(transaction=True)

JOBS = 100
# Statements and commits. Whoever makes do with fewer lowers the number here.
CLAIM = {"postgresql": (2, 2), "mysql": (3, 2), "sqlite": (2, 2)}
"""A look at the queues, and the claim: on MySQL and MariaDB lock and read, then update."""
FINISH = {"postgresql": (1, 1), "mysql": (3, 1), "sqlite": (3, 1)}
"""Of the jobs and their attempts."""


def test_a_hundred_jobs_are_claimed_together_and_finished_together() -> None:
    worker = make_worker()
    make_jobs(JOBS)
    with counted() as claimed:
        claims = take(worker, JOBS)
    runs = [ended(claim, Succeeded()) for claim in claims]
    with counted() as finished:
        saved = finish(runs, worker_id=worker.pk)

    assert len(saved) == JOBS
    assert (claimed.statements, claimed.commits) == CLAIM[connection.vendor], claimed.texts
    assert (finished.statements, finished.commits) == FINISH[connection.vendor], finished.texts
