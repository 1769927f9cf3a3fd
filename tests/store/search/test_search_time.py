"""A search goes on until its page is full, the rows have ended or its time is used up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, timedelta
from itertools import count
from typing import Any

import pytest

from django_jobs.models import BatchJob
from django_jobs.policy.states import State
from django_jobs.store.search.jobs import JobFilter, find_jobs, find_jobs_of_object
from django_jobs.store.search.search_time import SearchTime
from tests import factories
from tests.sampleapp.models import Customer

pytestmark = pytest.mark.django_db(transaction=True)


def reads(seconds: float) -> Any:
    """Return a clock on which each step takes so long."""
    instants: Iterator[float] = count(0.0, seconds)
    return lambda: next(instants)


def search(query: dict[str, str], *, seconds_a_step: float = 0.01, **options: Any) -> Any:
    wanted = JobFilter.from_query(query, zone=UTC)
    return find_jobs(wanted, within=SearchTime(clock=reads(seconds_a_step), seconds=2), **options)


def test_a_rare_job_is_on_the_first_page_however_many_are_newer() -> None:
    rare = factories.make_job(State.SUCCEEDED, name="rare")
    factories.make_jobs(40, State.SUCCEEDED)
    page = search({"name": "rare"}, scan=5)
    assert (page.rows, page.next_cursor, page.is_truncated, page.scanned) == ([rare], None, False, 0)
    page = search({"q": "RAR"}, scan=5)
    assert page.rows == [rare]


def test_a_search_whose_time_is_over_says_how_far_it_looked_and_goes_on_from_there() -> None:
    enqueued_at = factories.ago(days=2)
    rare = factories.make_job(State.SUCCEEDED, name="rare")
    jobs = factories.make_jobs(40, State.SUCCEEDED, enqueued_at=enqueued_at)
    page = search({"name": "rare"}, scan=5, seconds_a_step=0.5)
    assert (page.rows, page.is_truncated) == ([], True)
    assert (page.highest, page.scanned) == (jobs[-1].pk, jobs[-1].pk - page.lowest + 1)
    assert 10 <= page.scanned < 40
    assert abs(page.back_to - enqueued_at) < timedelta(seconds=1)
    page = search({"name": "rare"}, scan=100, after=page.next_cursor)
    assert (page.rows, page.next_cursor) == ([rare], None)


def test_one_slow_step_is_the_last() -> None:
    jobs = factories.make_jobs(40, State.SUCCEEDED)
    page = search({"name": "rare"}, scan=5, seconds_a_step=3)
    assert (page.scanned, page.lowest) == (5, jobs[-5].pk)


def test_steps_fill_one_page_and_no_more() -> None:
    found = [factories.make_jobs(9, State.SUCCEEDED), factories.make_jobs(1, State.SUCCEEDED, name="rare")]
    found += [factories.make_jobs(9, State.SUCCEEDED), factories.make_jobs(2, State.SUCCEEDED, name="rare")]
    wanted = [job.pk for job in (*found[3][::-1], *found[1])]
    page = search({"name": "rare"}, scan=5, limit=2)
    assert [job.pk for job in page.rows] == wanted[:2]
    page = search({"name": "rare"}, scan=5, limit=2, after=page.next_cursor)
    assert [job.pk for job in page.rows] == wanted[2:]
    page = search({"name": "rare"}, scan=5, limit=3)
    assert ([job.pk for job in page.rows], page.is_truncated) == (wanted, False)


@pytest.mark.parametrize("query", [{"state": "ready"}, {"state": "dead"}, {"batch": "batch"}])
def test_a_search_along_an_index_goes_on_too(query: dict[str, str]) -> None:
    state = State(query.get("state", "ready"))
    batch = factories.make_batch()
    ready_at = factories.ago(minutes=9)
    jobs = [factories.make_job(state, name="rare", ready_at=ready_at), *factories.make_jobs(30, state)]
    for job in jobs:
        if state is State.DEAD:
            factories.make_letter(job)
        BatchJob.objects.create(job=job, batch=batch)
    query = {**query, "batch": str(batch.pk)} if "batch" in query else query
    page = search({**query, "q": "rar"}, scan=10, limit=3)
    assert [job.pk for job in page.rows] == [jobs[0].pk]


def test_the_jobs_of_a_row_are_searched_on() -> None:
    customer = Customer.objects.create(name="ada")
    job = factories.make_job(State.SUCCEEDED, arguments={"customer_id": customer.pk})
    factories.make_jobs(40, State.SUCCEEDED)
    within = SearchTime(clock=reads(0.01), seconds=2)
    page = find_jobs_of_object(customer, argument="customer_id", scan=5, within=within)
    assert ([row.pk for row in page.rows], page.next_cursor) == ([job.pk], None)


@pytest.mark.parametrize("query", [{"name": "x"}, {"state": "dead", "error": "x"}, {"since": "P1D", "argument": "a=1"}])
def test_a_search_takes_a_bounded_number_of_statements(
    query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    for _ in range(60):
        factories.make_letter()
    with django_assert_max_num_queries(13):
        search(query, scan=1, limit=1)
