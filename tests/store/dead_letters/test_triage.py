"""Groups with their states, the most urgent first, in pages of bounded reads."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_jobs.models import DeadLetterGroup, DeadLetterHour
from django_jobs.policy.filter_values import FilterError
from django_jobs.policy.group_states import UNRESOLVED, GroupState
from django_jobs.policy.rollup import span_start
from django_jobs.store.clock import database_now
from django_jobs.store.dead_letters import group_reads
from django_jobs.store.dead_letters.resolve_group import resolve_group
from django_jobs.store.dead_letters.triage import find_triaged_group, triage_page
from django_jobs.store.stats.rollup import roll_up
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db
NOW = timedelta(0)
HOUR = timedelta(hours=1)
ALL = frozenset(GroupState)


def make_group(fingerprint, *, hours=None, **fields):
    """Insert a group as the rollup would, with so many deaths so many hours ago."""
    values = {
        "job_name": "sample",
        "queue_name": "default",
        "first_died_at": ago(days=30),
        "last_died_at": ago(hours=1),
        "total": 1,
        "open": 1,
    }
    first_hour = span_start(database_now().timestamp(), 3600)
    for at, number in (hours or {}).items():
        DeadLetterHour.objects.create(fingerprint=fingerprint, starts_at=first_hour - at * HOUR, number=number)
    return DeadLetterGroup.objects.create(fingerprint=fingerprint, **(values | fields))


def make_each():
    """Make a group of each state, named by it."""
    make_group("ongoing", hours={1: 5, 30: 5})
    make_group("new", first_died_at=ago(hours=2))
    make_group("rising", hours={1: 50, 30: 5}, last_died_at=ago(hours=2))
    make_group("regressed", resolved_at=ago(hours=5), regressed_at=ago(hours=2), last_died_at=ago(hours=2))
    make_group("muted", muted_at=ago(hours=1))
    make_group("resolved", resolved_at=ago(hours=1), open=0)
    make_group("closed", open=0)


def fingerprints(page):
    return [row.group.fingerprint for row in page.rows]


def test_groups_are_ordered_by_what_is_urgent_and_counted_by_state():
    make_each()
    page = triage_page(ALL)
    assert fingerprints(page) == ["regressed", "new", "rising", "ongoing", "muted", "resolved", "closed"]
    assert all(row.state == row.group.fingerprint for row in page.rows)
    assert page.numbers == dict.fromkeys(GroupState, 1)
    assert fingerprints(triage_page(UNRESOLVED)) == ["regressed", "new", "rising", "ongoing"]
    assert fingerprints(triage_page({GroupState.MUTED})) == ["muted"]
    assert triage_page({GroupState.MUTED}).numbers == page.numbers


def test_a_group_that_comes_back_is_on_top_before_and_after_it_is_counted():
    make_each()
    make_letter(fingerprint="x" * 32)
    make_letter(fingerprint="y" * 32)
    roll_up(min_age=NOW)
    resolve_group("x" * 32, by="ada")
    assert triage_page(UNRESOLVED).rows[0].group.fingerprint == "regressed"
    make_letter(fingerprint="x" * 32)
    for _ in range(2):
        row = triage_page(UNRESOLVED).rows[0]
        assert (row.group.fingerprint, row.state) == ("x" * 32, GroupState.REGRESSED)
        assert row.group.regressed_at >= row.group.resolved_at
        roll_up(min_age=NOW)


@pytest.mark.parametrize("after", [0, 1])
def test_deaths_that_are_not_counted_yet_may_be_a_rise(after):
    make_group("f" * 32, hours={30: 2, 60: 4}, open=6)
    assert find_triaged_group("f" * 32).state == GroupState.ONGOING
    for _ in range(10):
        make_letter(fingerprint="f" * 32)
    if after:
        roll_up(min_age=NOW)
    found = find_triaged_group("f" * 32)
    assert found.state == GroupState.RISING
    assert (found.rates.hour, found.rates.hour_before, found.rates.day, found.rates.day_before) == (10, 4, 10, 4)


def test_the_hours_of_a_day_are_those_up_to_now():
    make_group("f" * 32, hours={0: 1, 1: 2, 2: 4, 23: 8, 24: 16, 47: 32, 48: 64, 143: 128, 167: 256, 168: 512})
    rates = find_triaged_group("f" * 32).rates
    assert (rates.hour, rates.hour_before) == (2, 256)
    assert (rates.day, rates.day_before) == (15, 256)


def test_names_narrow_groups_and_numbers():
    make_group("a", job_name="mail")
    make_group("b", queue_name="slow")
    assert fingerprints(triage_page(ALL, job_name="mail")) == ["a"]
    page = triage_page(ALL, queue_name="slow")
    assert (fingerprints(page), page.numbers) == (["b"], {GroupState.ONGOING: 1})


def test_the_chosen_group_is_read_on_whatever_page_it_is():
    make_each()
    assert triage_page({GroupState.NEW}, chosen="muted").chosen.state == GroupState.MUTED
    assert triage_page(ALL, chosen="new", limit=1).chosen.state == GroupState.NEW
    assert fingerprints(triage_page(ALL, chosen="new", limit=1)) == ["regressed"]
    assert triage_page(ALL, chosen="nothing").chosen is None
    assert find_triaged_group("nothing") is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
@pytest.mark.parametrize("scan", [2, 3, 100])
def test_pages_have_every_group_once(monkeypatch, scan, limit):
    monkeypatch.setattr(group_reads, "SCAN_LIMIT", scan)
    make_each()
    make_letter(fingerprint="t" * 32)
    seen, after, pages = [], "", 0
    while after is not None:
        page = triage_page(ALL, after=after, limit=limit)
        seen += fingerprints(page)
        after = page.next_cursor
        pages += 1
        assert pages < 20
    assert sorted(seen) == sorted([*(state.value for state in GroupState), "t" * 32])
    if scan == 100:
        assert seen[:3] == ["regressed", "t" * 32, "new"]


@pytest.mark.parametrize("after", ["x", "[]", "{}", '["x"]', "[1]", '["",0]', '["",true,"x"]', '["",0,""]', "[[1]]"])
def test_a_wrong_cursor_is_refused(after):
    with pytest.raises(FilterError):
        triage_page(ALL, after=after)


def test_a_page_takes_few_statements_however_many_groups():
    for at in range(60):
        make_group(f"{at:032}", hours={1: 50, 30: 5})
    make_letter(fingerprint="t" * 32)
    with CaptureQueriesContext(connection) as asked:
        page = triage_page(ALL, chosen=f"{3:032}")
    assert len(page.rows) == 50
    assert len(asked) <= 9
