"""The queries that DEBUG logs of one job are forgotten before the next."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from tests.misbehaving import leftovers

from .running import run_in_turn


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "job",
    [leftovers.log_queries, leftovers.log_queries_async, leftovers.log_queries_in_a_thread_async],
    ids=["thread", "event loop", "thread of the loop"],
)
def test_logged_queries_of_one_job_are_forgotten_before_the_next(job: Any) -> None:
    jobs = [job.enqueue(3) for _ in range(4)]
    with override_settings(DEBUG=True):
        jobs = run_in_turn(*jobs)
    assert [job.result for job in jobs[1:]] == [3] * 3
