"""Dead letters of a period: found, counted and iterated between the ids that the index of deaths gives."""

from __future__ import annotations

from datetime import timedelta

import pytest

from django_jobs.models import DeadLetter
from django_jobs.policy.dead_letter_filter import DeadLetterFilter
from django_jobs.store.dead_letters import search
from django_jobs.store.dead_letters.search import (
    count_open_dead_letters,
    filter_dead_letters,
    id_bounds,
    iter_dead_letter_ids,
    newest_dead_letter_ids,
)
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db

HOURS = (5, 4, 3, 2, 1)


@pytest.fixture(autouse=True)
def letters() -> dict[int, DeadLetter]:
    """One dead letter per hour, oldest first."""
    return {hours: make_letter(died_at=ago(hours=hours)) for hours in HOURS}


def _between(first: float, last: float | None = None) -> DeadLetterFilter:
    return DeadLetterFilter(since=ago(hours=first), until=None if last is None else ago(hours=last))


@pytest.mark.parametrize(
    ("wanted", "hours"),
    [
        (lambda: _between(4.5), [4, 3, 2, 1]),
        (lambda: DeadLetterFilter(since=timedelta(hours=2, minutes=30)), [2, 1]),
        (lambda: DeadLetterFilter(until=ago(hours=2.5)), [5, 4, 3]),
        (lambda: _between(4.5, 1.5), [4, 3, 2]),
        (lambda: _between(0.5), []),
        (lambda: DeadLetterFilter(until=ago(hours=9)), []),
        (lambda: _between(1.5, 4.5), []),
    ],
)
def test_a_period_is_found_counted_and_iterated(wanted, hours, letters) -> None:  # type: ignore[no-untyped-def]
    ids = [letters[hour].pk for hour in hours]
    given = wanted()
    assert list(filter_dead_letters(given, using="default").order_by("pk").values_list("pk", flat=True)) == ids
    assert (count_open_dead_letters(given).number, count_open_dead_letters(given).is_more) == (
        len(ids),
        False,
    )
    assert newest_dead_letter_ids(given, 10) == ids[::-1]
    assert [pk for found, _ in iter_dead_letter_ids(given) for pk in found] == ids


def test_until_itself_is_left_out(letters: dict[int, DeadLetter]) -> None:
    wanted = DeadLetterFilter(since=letters[4].died_at, until=letters[2].died_at)
    assert {dead_letter.pk for dead_letter in filter_dead_letters(wanted, using="default")} == {
        letters[4].pk,
        letters[3].pk,
    }


def test_a_dead_letter_committed_out_of_order_is_found(letters: dict[int, DeadLetter]) -> None:
    late = make_letter(died_at=ago(hours=4.2))
    wanted = _between(4.5, 2.5)
    assert [pk for found, _ in iter_dead_letter_ids(wanted) for pk in found] == [
        letters[4].pk,
        letters[3].pk,
        late.pk,
    ]
    assert id_bounds(wanted) == (letters[4].pk - 1, late.pk + 1)


def test_an_old_time_is_counted_among_its_own_ids(
    letters: dict[int, DeadLetter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "COUNT_SCAN", 2)
    assert (
        count_open_dead_letters(DeadLetterFilter(until=ago(hours=2.5))).number,
        newest_dead_letter_ids(_between(6, 2.5), 10),
    ) == (
        2,
        [letters[3].pk, letters[4].pk],
    )
    assert count_open_dead_letters(DeadLetterFilter(until=ago(hours=2.5))).is_more
    assert not count_open_dead_letters(_between(4.5, 2.5)).is_more


def test_an_iteration_is_limited_to_the_given_status(letters: dict[int, DeadLetter]) -> None:
    DeadLetter.objects.filter(pk=letters[3].pk).update(status="resolved")
    wanted = _between(4.5, 1.5)

    def found(status: str | None) -> list[int]:
        return [pk for ids, _ in iter_dead_letter_ids(wanted, status=status) for pk in ids]

    assert found("resolved") == [letters[3].pk]
    assert found("open") == [letters[4].pk, letters[2].pk]
    assert found(None) == [letters[4].pk, letters[3].pk, letters[2].pk]
