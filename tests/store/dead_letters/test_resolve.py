import pytest
from django.db.models import Q

from django_jobs.models import DeadLetter, DeadLetterGroup
from django_jobs.policy.states import State
from django_jobs.store.dead_letters.resolve import resolve, set_dead_letter_note
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.stats.rollup import roll_up
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db


def test_a_resolved_dead_letter_has_actor_time_and_note_and_its_job_stays_dead():
    letter = make_letter()

    assert resolve(letter, by="ada", note="refunded by hand") == 1

    letter = DeadLetter.objects.get()
    assert (letter.status, letter.resolved_by, letter.note) == ("resolved", "ada", "refunded by hand")
    assert letter.resolved_at > ago(minutes=1)
    assert letter.job.state == State.DEAD


def test_without_a_note_the_dead_letter_keeps_its_own():
    letter = make_letter(note="known")
    resolve(letter)

    assert DeadLetter.objects.get().note == "known"


@pytest.mark.parametrize("status", ["redriven", "purged", "resolved"])
def test_a_dead_letter_that_is_not_open_is_left_alone(status):
    letter = make_letter(status=status, resolved_by="grace")

    assert resolve(letter, by="ada", note="mine") == 0
    letter = DeadLetter.objects.get()
    assert (letter.status, letter.resolved_by, letter.note) == (status, "grace", "")


def test_a_filter_or_a_queryset_resolves_what_it_matches():
    for name in ("mail", "other", "third"):
        make_letter(job_name=name)

    assert resolve(Q(job_name="mail")) == 1
    assert resolve(DeadLetter.objects.filter(job_name="other")) == 1
    assert resolve(DeadLetter.objects.order_by("pk")[:3]) == 1
    assert not DeadLetter.objects.filter(status="open").exists()


def test_a_dead_letter_without_a_job_can_be_resolved():
    make_letter()
    DeadLetter.objects.update(job=None)

    assert resolve(Q()) == 1


def test_a_job_whose_dead_letter_is_resolved_can_still_be_redriven():
    letter = make_letter()
    resolve(letter)

    assert redrive(letter.job) == 1
    assert letter.job.refresh().state == State.READY
    assert DeadLetter.objects.get().status == "resolved"


def test_resolved_dead_letters_leave_their_group():
    letters = [make_letter() for _ in range(3)]
    roll_up()
    resolve(letters[0])

    group = DeadLetterGroup.objects.get()
    assert group.open == -1, "none is folded yet"
    assert group.job_name == "sample"


def test_a_note_can_be_written_on_any_dead_letter():
    letter = make_letter(status="redriven")

    assert set_dead_letter_note(letter.pk, note="watch this")
    assert DeadLetter.objects.get().note == "watch this"
    assert not set_dead_letter_note(letter.pk + 1, note="gone")
