from datetime import timedelta

import pytest

from django_jobs.models import DeadLetterGroup
from django_jobs.store.dead_letters.alerts import take_alerts
from django_jobs.store.dead_letters.mute import mute, set_group_note, unmute
from django_jobs.store.stats.rollup import roll_up
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
A, B = "a" * 32, "b" * 32


def test_a_muted_group_has_actor_and_time():
    make_letter(fingerprint=A)

    assert mute([A], by="ada") == 1
    group = DeadLetterGroup.objects.get()
    assert group.muted_by == "ada"
    assert group.muted_at > ago(minutes=1)
    assert mute([A], by="grace") == 0
    assert DeadLetterGroup.objects.get().muted_by == "ada"


def test_a_group_can_be_unmuted():
    make_letter(fingerprint=A)
    mute([A])

    assert unmute([A, B]) == 1
    assert unmute([A]) == 0
    assert DeadLetterGroup.objects.get().muted_at is None


@pytest.mark.parametrize("is_folded", [False, True])
def test_muting_counts_nothing(is_folded):
    make_letter(fingerprint=A)
    if is_folded:
        roll_up(min_age=timedelta(0))
    mute([A])
    roll_up(min_age=timedelta(0))

    group = DeadLetterGroup.objects.get()
    assert (group.open, group.total) == (1, 1)


def test_a_fingerprint_without_dead_letters_cannot_be_muted():
    assert mute([A]) == 0
    assert not set_group_note(A, note="what?")


def test_a_note_replaces_the_one_before():
    make_letter(fingerprint=A)

    assert set_group_note(A, note="ask Ada", by="grace")
    assert set_group_note(A, note="Ada is on it", by="ada")
    group = DeadLetterGroup.objects.get()
    assert (group.note, group.noted_by) == ("Ada is on it", "ada")
    assert group.noted_at > ago(minutes=1)


def test_nobody_is_mailed_about_a_muted_group():
    make_letter(fingerprint=A)
    make_letter(fingerprint=B)
    mute([A])

    assert [alert.dead_letter.fingerprint for alert in take_alerts(period=DAY)] == [B]
    unmute([A])
    assert [alert.dead_letter.fingerprint for alert in take_alerts(period=DAY)] == [A]
