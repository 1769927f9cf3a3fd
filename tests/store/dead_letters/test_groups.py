import json
from datetime import timedelta

import pytest

from django_jobs.models import DeadLetter, DeadLetterGroup
from django_jobs.policy.dead_letter_filter import DeadLetterFilter
from django_jobs.policy.filter_values import FilterError
from django_jobs.store.dead_letters import group_reads, search
from django_jobs.store.dead_letters.groups import find_group, groups_page
from django_jobs.store.dead_letters.mute import mute, set_group_note
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.stats.rollup import roll_up
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db
NOW = timedelta(0)
A, B, C = "a" * 32, "b" * 32, "c" * 32


def prints(**filters):
    return [group.fingerprint for group in groups_page(**filters).rows]


@pytest.fixture(params=["folded", "half folded", "not folded"])
def fold_some(request):
    """Called between insertions of dead letters: a page must not depend on how much is rolled up."""
    return {
        "folded": [lambda: roll_up(min_age=NOW)] * 2,
        "half folded": [lambda: roll_up(min_age=NOW), lambda: None],
        "not folded": [lambda: None] * 2,
    }[request.param]


def test_groups_show_their_newest_error_however_much_is_rolled_up(fold_some):
    first, last = ago(hours=5), ago(minutes=30)
    make_letter(fingerprint=A, died_at=first, error_message="old")
    make_letter(fingerprint=B, died_at=ago(hours=1), job_name="other", queue_name="mail")
    fold_some[0]()
    newest = make_letter(fingerprint=A, died_at=last, error_message="new " * 1_000)
    fold_some[1]()

    one, other = groups_page().rows

    assert (one.fingerprint, one.job_name, one.error_class) == (A, "sample", "builtins.RuntimeError")
    assert one.error_message == ("new " * 1_000)[:500]
    assert (one.first_died_at, one.last_died_at, one.total, one.open) == (first, last, 2, 2)
    assert (other.fingerprint, other.job_name, other.queue_name, other.open) == (B, "other", "mail", 1)
    assert find_group(A) == one
    assert find_group(C) is None
    resolve(newest)
    assert find_group(A).open == 1


def test_the_hours_of_the_last_day_end_with_the_current_one(fold_some):
    this_hour = ago(days=0).replace(minute=0, second=0, microsecond=0)
    for hours in (0, 1, 1, 23, 24, 100):
        make_letter(fingerprint=A, died_at=this_hour - timedelta(hours=hours))
        fold_some[hours % 2]()

    (group,) = groups_page().rows

    assert group.hours == (1, *[0] * 21, 2, 1)
    assert group.total == 6


def test_the_newest_death_comes_first_and_pages_join_without_gap_or_overlap(fold_some):
    same = ago(minutes=1)
    for number in range(8):
        make_letter(fingerprint=f"{number:032}", died_at=ago(hours=number) if number % 2 else same)
        if number == 4:
            fold_some[0]()
    fold_some[1]()

    seen, after = [], ""
    for _ in range(4):
        page = groups_page(limit=3, after=after)
        seen += [int(group.fingerprint) for group in page.rows]
        after = page.next_cursor
        if after is None:
            break

    assert seen == [6, 4, 2, 0, 1, 3, 5, 7]
    assert after is None


@pytest.mark.parametrize("cursor", ["yesterday", "7", '["yesterday","x"]', f'[null,"{A}"]', f'["2026-01-01","{A}"]'])
def test_a_cursor_that_no_page_of_groups_had_is_refused(cursor):
    make_letter(fingerprint=A)
    with pytest.raises(FilterError):
        groups_page(after=cursor)


def test_open_all_and_muted_groups(fold_some):
    for fingerprint in (A, B, C):
        make_letter(fingerprint=fingerprint, queue_name="mail" if fingerprint == A else "other")
    fold_some[0]()
    mute([A], by="ada")
    redrive(DeadLetter.objects.get(fingerprint=B))
    set_group_note(C, note="known", by="ada")
    fold_some[1]()

    assert prints() == [C]
    assert set(prints(status="all")) == {A, B, C}
    assert prints(status="muted") == [A]
    assert prints(status="all", queue_name="mail") == [A]
    assert prints(status="all", job_name="nobody") == []
    assert find_group(A).muted_by == "ada"
    assert find_group(C).note == "known"
    assert find_group(B).open == 0


def test_a_page_scans_a_bounded_number_of_groups_and_the_next_continues_there(monkeypatch):
    monkeypatch.setattr(group_reads, "SCAN_LIMIT", 3)
    for number in range(7):
        make_letter(fingerprint=f"{number:032}", died_at=ago(minutes=number), job_name=f"job {number}")
    roll_up(min_age=NOW)

    first = groups_page(job_name="job 5")
    assert (first.rows, json.loads(first.next_cursor)[1], first.is_truncated) == ([], f"{2:032}", True)
    second = groups_page(job_name="job 5", after=first.next_cursor)
    assert [group.job_name for group in second.rows] == ["job 5"]
    third = groups_page(job_name="job 5", after=second.next_cursor)
    assert (third.rows, third.next_cursor) == ([], None)


def test_a_long_tail_is_read_up_to_a_bound_and_reported_as_truncated(monkeypatch):
    monkeypatch.setattr(group_reads, "MAX_TAIL", 4)
    letters = [make_letter(fingerprint=A) for _ in range(4)]
    assert not groups_page().is_tail_truncated
    make_letter(fingerprint=A)
    page = groups_page()
    assert page.is_tail_truncated
    assert page.rows[0].open == 4

    resolve(DeadLetter.objects.filter(pk__in=[letter.pk for letter in letters]))
    assert [group.open for group in groups_page(status="all").rows] == [0]


def test_a_concurrent_rollup_counts_nothing_twice(monkeypatch):
    make_letter(fingerprint=A)
    read = group_reads._read_tail

    def folded_behind(now, alias):
        tail = read(now, alias)
        roll_up(min_age=NOW)
        return tail

    monkeypatch.setattr(group_reads, "_read_tail", folded_behind)

    assert [group.open for group in groups_page().rows] == [1]


@pytest.mark.parametrize("number", [10, 60])
def test_a_page_is_seven_statements_however_many_groups(number, django_assert_max_num_queries, fold_some):
    for at in range(number):
        make_letter(fingerprint=f"{at:032}")
    fold_some[0]()
    make_letter(fingerprint=A)
    fold_some[1]()

    with django_assert_max_num_queries(7):
        assert len(groups_page().rows) == min(number + 1, 25)
    assert DeadLetterGroup.objects.count() <= number + 1


def test_all_open_dead_letters_and_those_of_a_group_are_counted_exactly_above_the_bound(monkeypatch):
    monkeypatch.setattr(search, "MAX_COUNTED", 2)
    for at in range(8):
        make_letter(fingerprint=f"{at % 2:032}", job_name="send")
    group = DeadLetterFilter(fingerprint=f"{0:032}")
    assert (search.count_open_dead_letters(group).number, search.count_open_dead_letters(group).is_more) == (2, True)
    roll_up(min_age=NOW)
    make_letter(fingerprint=f"{0:032}")
    for wanted, number in ((group, 5), (DeadLetterFilter(), 9)):
        counted = search.count_open_dead_letters(wanted)
        assert (counted.number, counted.is_more, counted.by_queue) == (number, False, {"default": number})
    assert search.count_open_dead_letters(DeadLetterFilter(job_name="send")).is_more


def test_a_gap_between_ids_is_not_taken_for_dead_letters_that_were_not_read():
    wanted = DeadLetterFilter(job_name="send")
    make_letter(job_name="send", pk=3 * search.COUNT_SCAN)
    counted = search.count_open_dead_letters(wanted)
    assert (counted.number, counted.is_more, counted.up_to_id) == (1, False, 3 * search.COUNT_SCAN)
    make_letter(job_name="send", pk=search.COUNT_SCAN)
    counted = search.count_open_dead_letters(wanted)
    assert (counted.number, counted.is_more) == (1, True)
