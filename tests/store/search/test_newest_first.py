"""Pages by ranges of ids, newest first."""

from __future__ import annotations

import pytest

from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.store.search.newest_first import newest_first
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_pages_of_a_table_show_every_row_once_newest_first() -> None:
    made = [job.pk for job in factories.make_jobs(7)]
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        page = newest_first(Job.objects.all(), after=after, limit=3)
        seen += [job.pk for job in page.rows]
        after = page.next_cursor
    assert seen == made[::-1]


def test_a_rare_match_is_searched_in_a_bounded_range_and_the_next_page_continues_there() -> None:
    dead = factories.make_job(State.DEAD)
    others = factories.make_jobs(9)
    page = newest_first(Job.objects.filter(state=State.DEAD), scan=5)
    assert (page.rows, page.lowest, page.highest) == ([], others[-5].pk, others[-1].pk)
    assert page.is_truncated
    assert page.next_cursor is not None
    page = newest_first(Job.objects.filter(state=State.DEAD), after=page.next_cursor, scan=5)
    assert (page.rows, page.next_cursor, page.is_truncated) == ([dead], None, False)


def test_an_empty_table_has_one_empty_page() -> None:
    page = newest_first(Job.objects.all())
    assert (page.rows, page.next_cursor, page.is_truncated) == ([], None, False)


def test_nothing_at_or_under_the_lower_bound_is_shown() -> None:
    jobs = factories.make_jobs(4)
    page = newest_first(Job.objects.all(), above=jobs[1].pk)
    assert (page.rows, page.next_cursor) == ([jobs[3], jobs[2]], None)


@pytest.mark.parametrize("waiting", [10, 60])
def test_a_page_takes_at_most_three_statements_whatever_the_number_of_rows(
    waiting: int, django_assert_max_num_queries: pytest.FixtureRequest
) -> None:
    factories.make_jobs(waiting)
    with django_assert_max_num_queries(3):  # type: ignore[operator]
        newest_first(Job.objects.all(), limit=20)
