from datetime import timedelta

import pytest

from django_jobs.models import AlertHistory, DeadLetterGroup
from django_jobs.store.dead_letters.alerts import MAX_ALERTS, take_alerts
from django_jobs.store.dead_letters.resolve_group import resolve_group
from django_jobs.store.lifecycle.redrive import redrive
from tests.concurrency import run_together
from tests.factories import ago, make_alerted_error, make_letter

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def taken(alerts):
    return {alert.dead_letter.fingerprint: (alert.dead_letter.pk, alert.number) for alert in alerts}


def test_a_new_error_is_returned_once_with_its_newest_dead_letter_and_the_number_of_deaths():
    make_letter(fingerprint="a", died_at=ago(hours=3))
    newest = make_letter(fingerprint="a", died_at=ago(hours=1))
    other = make_letter(fingerprint="b")

    assert taken(take_alerts(period=DAY)) == {"a": (newest.pk, 2), "b": (other.pk, 1)}
    assert take_alerts(period=DAY) == []


def test_a_known_error_is_not_returned_again_within_the_period():
    make_letter(fingerprint="a")
    take_alerts(period=DAY)
    make_letter(fingerprint="a")

    assert take_alerts(period=DAY) == []


def test_an_error_that_continues_is_returned_again_in_the_next_period():
    make_alerted_error(fingerprint="a", alerted_at=ago(hours=25))
    letter = make_letter(fingerprint="a")

    assert taken(take_alerts(period=DAY)) == {"a": (letter.pk, 1)}
    assert AlertHistory.objects.get().alerted_at > ago(minutes=1)
    assert take_alerts(period=DAY) == []


def test_an_error_whose_dead_letters_were_all_redriven_is_not_returned():
    redrive(make_letter(fingerprint="done"))
    redrive(make_letter(fingerprint="a"))
    left = make_letter(fingerprint="a")
    redrive(make_letter(fingerprint="a"))

    assert taken(take_alerts(period=DAY)) == {"a": (left.pk, 1)}


def test_deaths_before_the_period_are_neither_returned_nor_counted():
    make_letter(fingerprint="old", died_at=ago(hours=25))
    make_letter(fingerprint="a", died_at=ago(hours=25))
    letter = make_letter(fingerprint="a")

    assert taken(take_alerts(period=DAY)) == {"a": (letter.pk, 1)}


def test_many_new_errors_are_returned_in_portions():
    for number in range(MAX_ALERTS + 3):
        make_letter(fingerprint=f"{number:032}")

    first, second = take_alerts(period=DAY), take_alerts(period=DAY)

    assert (len(first), len(second)) == (MAX_ALERTS, 3)
    assert not taken(first).keys() & taken(second).keys()


def test_no_deaths_are_no_alerts():
    assert take_alerts(period=DAY) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("known", [False, True])
def test_each_error_is_returned_to_one_of_several_concurrent_workers(known):
    for number in range(5):
        make_letter(fingerprint=f"{number}")
        if known:
            make_alerted_error(fingerprint=f"{number}", alerted_at=ago(hours=25))

    told = run_together(*[lambda: take_alerts(period=DAY)] * 4)

    assert sorted(alert.dead_letter.fingerprint for alerts in told for alert in alerts) == ["0", "1", "2", "3", "4"]


def test_an_error_that_comes_back_after_its_resolution_is_returned_at_once_with_who_resolved_it():
    make_letter(fingerprint="a", died_at=ago(hours=1))
    take_alerts(period=DAY)
    AlertHistory.objects.update(alerted_at=ago(minutes=50))
    resolve_group("a", by="ada")
    assert take_alerts(period=DAY) == []

    back = make_letter(fingerprint="a")
    (alert,) = take_alerts(period=DAY)
    assert (alert.dead_letter.pk, alert.number, alert.resolution.by) == (back.pk, 1, "ada")
    make_letter(fingerprint="a")
    assert take_alerts(period=DAY) == []


def test_an_error_of_which_nobody_was_told_before_its_resolution_is_told_once_it_comes_back():
    redrive(make_letter(fingerprint="a", died_at=ago(hours=1)))
    make_letter(fingerprint="a", died_at=ago(hours=1))
    resolve_group("a", by="ada")
    assert take_alerts(period=DAY) == []

    make_letter(fingerprint="a")
    (alert,) = take_alerts(period=DAY)
    assert (alert.number, alert.resolution.by) == (1, "ada")


def test_an_error_that_goes_on_after_it_came_back_is_told_as_any_other():
    make_letter(fingerprint="a")
    resolve_group("a", by="ada")
    make_letter(fingerprint="a")
    take_alerts(period=DAY)
    DeadLetterGroup.objects.update(resolved_at=ago(hours=30))
    AlertHistory.objects.update(alerted_at=ago(hours=25))

    (alert,) = take_alerts(period=DAY)
    assert alert.resolution is None


@pytest.mark.django_db(transaction=True)
def test_a_return_is_told_to_one_of_several_concurrent_workers():
    make_letter(fingerprint="a")
    take_alerts(period=DAY)
    resolve_group("a", by="ada")
    make_letter(fingerprint="a")

    told = run_together(*[lambda: take_alerts(period=DAY)] * 4)

    assert [alert.resolution.by for alerts in told for alert in alerts] == ["ada"]
