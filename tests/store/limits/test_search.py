"""Limits to be looked at: lists by name and key, counts that end somewhere, and who has, waits and has used."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from django_jobs.limits import CircuitBreaker, Concurrency, Ordering, RateLimit
from django_jobs.models import Limit
from django_jobs.policy.filter_values import FilterError
from django_jobs.policy.limits import LimitKind, PermitPhase
from django_jobs.policy.states import State
from django_jobs.store.limits import search as module
from django_jobs.store.limits.search import (
    LimitFilter,
    LimitStatus,
    find_limit,
    limits_page,
    permits_of_job,
    permits_of_limit,
)
from django_jobs.store.search.keyset_pages import KeysetPage
from tests import factories

pytestmark = pytest.mark.django_db


def _which(page: KeysetPage[LimitStatus]) -> list[tuple[str, str, str]]:
    return [(shown.limit.name, LimitKind(shown.limit.kind).name.lower(), shown.limit.key) for shown in page.rows]


@pytest.fixture
def some_limits() -> None:
    for key in ("7", "77", "8"):
        factories.make_limit(RateLimit(10), name="shop.call", key=key)
        factories.make_limit(Ordering("customer"), name="shop.bill", key=key)
    factories.make_limit(Concurrency(3), name="shop.call")


def test_limits_are_listed_by_name_kind_and_key(some_limits: None) -> None:
    assert _which(limits_page(LimitFilter())) == [
        ("shop.bill", "order", "7"),
        ("shop.bill", "order", "77"),
        ("shop.bill", "order", "8"),
        ("shop.call", "concurrency", ""),
        ("shop.call", "rate", "7"),
        ("shop.call", "rate", "77"),
        ("shop.call", "rate", "8"),
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (LimitFilter(name="shop.bill"), 3),
        (LimitFilter(kind=LimitKind.RATE), 3),
        (LimitFilter(key_part="7"), 4),
        (LimitFilter(name="shop.call", kind=LimitKind.RATE), 3),
        (LimitFilter(name="shop.call", kind=LimitKind.RATE, key_part="77"), 1),
        (LimitFilter(name="shop.call", key_part="7"), 2),
        (LimitFilter(name="nobody's"), 0),
        (LimitFilter(kind=LimitKind.BREAKER, key_part="7"), 0),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 50])
def test_page_after_page_finds_all_that_match_and_nothing_twice(
    some_limits: None, wanted: LimitFilter, found: int, limit: int
) -> None:
    rows: list[tuple[str, str, str]] = []
    after: str | None = ""
    while after is not None:
        page = limits_page(wanted, after=after, limit=limit, scan=3)
        rows += _which(page)
        after = page.next_cursor
    assert len(rows) == len(set(rows)) == found


def test_a_place_that_no_page_ended_at_is_refused(some_limits: None) -> None:
    for after in ("x", "[1]", '["a", "b", "c"]', '["shop.call", 4]'):
        with pytest.raises(FilterError):
            limits_page(LimitFilter(), after=after)


def test_a_limit_says_how_many_have_permits_and_how_many_wait_since_when() -> None:
    limit = factories.make_limit(RateLimit(10), key="acme")
    other = factories.make_limit(RateLimit(10), key="other")
    long_ago = factories.ago(minutes=5)
    factories.make_permit(limit)
    factories.make_permit(limit, since=long_ago)
    factories.make_permit(limit, phase=PermitPhase.ASLEEP)
    factories.make_permit(limit, phase=PermitPhase.HELD)
    factories.make_permit(limit, phase=PermitPhase.COOLING, free_at=factories.ago(minutes=-1))
    factories.make_permit(limit, phase=PermitPhase.COOLING, free_at=factories.ago(minutes=1))
    factories.make_permit(other, phase=PermitPhase.HELD)
    first, second = limits_page(LimitFilter()).rows
    assert (first.in_use, first.waiting, first.waiting_since) == (2, 2, long_ago)
    assert (second.in_use, second.waiting, second.waiting_since) == (1, 0, None)
    assert first.rule == RateLimit(10).rule()


def test_counts_end_at_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED", 2)
    limit = factories.make_limit(Concurrency(9))
    for phase in (PermitPhase.WAITING, PermitPhase.HELD):
        for _ in range(5):
            factories.make_permit(limit, phase=phase)
    (shown,) = limits_page(LimitFilter()).rows
    assert (shown.in_use, shown.waiting) == (3, 3)


def test_a_limit_tells_whether_it_is_closed() -> None:
    soon, past = factories.ago(minutes=-1), factories.ago(minutes=1)
    cases: list[tuple[dict[str, Any], bool, bool]] = [
        ({}, False, False),
        ({"closed_until": past}, False, False),
        ({"closed_until": soon}, True, True),
        ({"closed_until": past, "is_tripped": True}, False, True),
    ]
    for at, (fields, is_closed, can_be_reopened) in enumerate(cases):
        limit = factories.make_limit(CircuitBreaker(failures=3), key=str(at), **fields)
        shown = find_limit(limit.pk)
        assert shown is not None
        assert (shown.is_closed, shown.can_be_reopened) == (is_closed, can_be_reopened)


def test_a_limit_that_is_not_there_is_none() -> None:
    assert find_limit(7) is None


def test_permit_holders_waiting_jobs_and_cooling_permits_are_listed_with_their_jobs() -> None:
    limit = factories.make_limit(RateLimit(10))
    running = factories.make_job(State.RUNNING, name="shop.call")
    factories.make_permit(limit, running, phase=PermitPhase.HELD)
    later = factories.make_permit(limit)
    first = factories.make_permit(limit, urgency=-5)
    gone = factories.make_permit(limit, phase=PermitPhase.COOLING, free_at=factories.ago(minutes=-1), run=3)
    gone.job.__class__.objects.filter(pk=gone.job_id)._raw_delete("default")
    factories.make_permit(limit, phase=PermitPhase.COOLING, free_at=factories.ago(minutes=1))
    permits = permits_of_limit(limit.pk, now=factories.ago(seconds=0))
    assert [(row.permit.job_id, row.job_name, row.job_state) for row in permits.held] == [
        (running.pk, "shop.call", "running")
    ]
    assert [row.permit.job_id for row in permits.waiting] == [first.job_id, later.job_id]
    assert [(row.permit.job_id, row.job_state) for row in permits.cooling] == [(gone.job_id, "")]


def test_no_more_than_a_hundred_of_each_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHOWN_PERMITS", 2)
    limit = factories.make_limit(Ordering("customer"))
    for _ in range(4):
        factories.make_permit(limit)
    assert len(permits_of_limit(limit.pk, now=factories.ago(seconds=0)).waiting) == 2


def test_a_job_names_its_limits_in_the_order_in_which_it_takes_their_permits() -> None:
    job = factories.make_job(State.BLOCKED)
    rate, order = factories.make_limit(RateLimit(10)), factories.make_limit(Ordering("customer"))
    factories.make_permit(rate, job, phase=PermitPhase.ASLEEP)
    factories.make_permit(order, job)
    factories.make_permit(rate, job, phase=PermitPhase.COOLING, run=1, free_at=factories.ago(minutes=-1))
    assert [permit.limit for permit in permits_of_job(job.pk)] == [order, rate]


@pytest.mark.parametrize("number", [10, 50])
def test_a_page_takes_four_statements_however_many_limits(number: int, django_assert_max_num_queries: Any) -> None:
    for at in range(number):
        limit = factories.make_limit(RateLimit(5, per=timedelta(minutes=1)), key=f"{at:03}")
        factories.make_permit(limit)
    with django_assert_max_num_queries(4):
        assert len(limits_page(LimitFilter(key_part="0")).rows) > 5
    pk = Limit.objects.all()[0].pk
    with django_assert_max_num_queries(7):
        shown = find_limit(pk)
        assert shown is not None
        permits_of_limit(shown.limit.pk, now=shown.now)
