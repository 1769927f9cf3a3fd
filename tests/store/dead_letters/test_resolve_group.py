"""A group is resolved as a whole, comes back, and no death is hidden, whenever it commits."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction

from django_jobs.builtin_jobs import resolve_matching
from django_jobs.models import DeadLetter, DeadLetterGroup, Job, RollupPosition
from django_jobs.policy.group_states import GroupState
from django_jobs.store.dead_letters import resolve_group as module
from django_jobs.store.dead_letters.mute import mute
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.dead_letters.resolve_group import resolve_group, undo_resolve_group
from django_jobs.store.dead_letters.triage import find_triaged_group
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.stats.rollup import roll_up
from django_jobs.testing import drain
from tests.concurrency import DEADLINE_SECONDS, Background
from tests.crashing import crash_at_every_point
from tests.factories import ago, make_letter

pytestmark = pytest.mark.django_db
NOW = timedelta(0)
A, B = "a" * 32, "b" * 32


def state(fingerprint=A):
    return find_triaged_group(fingerprint).state


@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_a_resolved_group_has_actor_and_time_and_no_open_dead_letter(is_rolled_up):
    for _ in range(3):
        make_letter(fingerprint=A)
    make_letter(fingerprint=B)
    if is_rolled_up:
        roll_up(min_age=NOW)

    assert resolve_group(A, by="ada", note="deployed") == (3, True)
    group = DeadLetterGroup.objects.get(pk=A)
    assert (group.resolved_by, group.regressed_at) == ("ada", None)
    assert group.resolved_at > ago(minutes=1)
    assert set(DeadLetter.objects.filter(fingerprint=A).values_list("status", "resolved_by", "note")) == {
        ("resolved", "ada", "deployed")
    }
    assert (state(), state(B)) == (GroupState.RESOLVED, GroupState.NEW)
    roll_up(min_age=NOW)
    assert (state(), state(B)) == (GroupState.RESOLVED, GroupState.NEW)


def test_a_group_that_is_resolved_or_does_not_exist_is_left_alone():
    assert resolve_group(A) == (0, False)
    make_letter(fingerprint=A)
    resolve_group(A, by="ada")

    assert resolve_group(A, by="grace") == (0, False)
    assert DeadLetterGroup.objects.get().resolved_by == "ada"


@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_a_death_after_the_resolution_makes_the_group_regressed_and_says_when(is_rolled_up):
    make_letter(fingerprint=A, died_at=ago(hours=9))
    resolve_group(A, by="ada")
    DeadLetterGroup.objects.update(resolved_at=ago(hours=4))
    back = make_letter(fingerprint=A, died_at=ago(hours=1))
    make_letter(fingerprint=A)
    if is_rolled_up:
        roll_up(min_age=NOW)

    found = find_triaged_group(A)
    assert found.state == GroupState.REGRESSED
    assert (found.group.resolved_by, found.group.open) == ("ada", 2)
    assert found.group.regressed_at == back.died_at


def test_a_regressed_group_is_resolved_anew():
    make_letter(fingerprint=A)
    resolve_group(A, by="ada")
    make_letter(fingerprint=A)
    roll_up(min_age=NOW)
    assert state() == GroupState.REGRESSED

    assert resolve_group(A, by="grace") == (1, True)
    group = DeadLetterGroup.objects.get()
    assert (group.resolved_by, group.regressed_at) == ("grace", None)
    assert state() == GroupState.RESOLVED


def test_a_death_that_was_redriven_before_it_was_rolled_up_is_a_return_all_the_same():
    make_letter(fingerprint=A, died_at=ago(hours=9))
    resolve_group(A)
    DeadLetterGroup.objects.update(resolved_at=ago(hours=4))
    back = make_letter(fingerprint=A, died_at=ago(hours=1))
    redrive(back)
    roll_up(min_age=NOW)

    assert DeadLetterGroup.objects.get().regressed_at == back.died_at
    assert state() == GroupState.CLOSED


def test_deaths_before_the_resolution_are_no_return_when_they_are_rolled_up_later():
    redrive(make_letter(fingerprint=A))
    make_letter(fingerprint=A)
    resolve_group(A)
    roll_up(min_age=NOW)

    assert DeadLetterGroup.objects.get().regressed_at is None
    assert state() == GroupState.RESOLVED


def test_dead_letters_resolved_one_by_one_close_a_group_and_resolve_it_not():
    resolve(make_letter(fingerprint=A))
    assert state() == GroupState.CLOSED
    make_letter(fingerprint=A)
    assert state() == GroupState.NEW


def test_a_muted_group_stays_muted_when_it_comes_back():
    make_letter(fingerprint=A)
    mute([A])
    resolve_group(A)
    make_letter(fingerprint=A)
    assert state() == GroupState.MUTED


# While it runs


def commit_a_death():
    Background(lambda: make_letter(fingerprint=A)).result()


def roll_up_elsewhere():
    Background(lambda: roll_up(min_age=NOW)).result()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("moment", ["before it closes any", "between closing and recording"])
def test_a_death_that_commits_while_a_group_is_resolved_reopens_it(monkeypatch, moment, is_rolled_up):
    make_letter(fingerprint=A)

    def resolve_meanwhile(*args, **options):
        number = resolve(*args, **options) if moment.startswith("between") else None
        commit_a_death()
        if is_rolled_up:
            roll_up_elsewhere()
        return resolve(*args, **options) if number is None else number

    monkeypatch.setattr(module, "resolve", resolve_meanwhile)
    assert resolve_group(A, by="ada") == (1, True)

    assert DeadLetter.objects.get(status="open").resolved_by == ""
    group = DeadLetterGroup.objects.get()
    assert group.regressed_at >= group.resolved_at
    assert state() == GroupState.REGRESSED
    roll_up(min_age=NOW)
    assert state() == GroupState.REGRESSED


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor == "sqlite", reason="this database has one writer at a time")
def test_a_death_whose_transaction_began_before_and_commits_after_reopens_the_group():
    died, resolved = threading.Event(), threading.Event()

    def die_slowly():
        with transaction.atomic():
            make_letter(fingerprint=A)
            died.set()
            assert resolved.wait(DEADLINE_SECONDS)

    dying = Background(die_slowly)
    assert died.wait(DEADLINE_SECONDS)
    make_letter(fingerprint=A)
    assert resolve_group(A, by="ada") == (1, True)
    assert state() == GroupState.RESOLVED
    resolved.set()
    dying.result()

    assert DeadLetter.objects.get(status="open").pk < DeadLetter.objects.get(status="resolved").pk
    assert state() == GroupState.REGRESSED
    roll_up(min_age=NOW)
    group = DeadLetterGroup.objects.get()
    assert group.regressed_at == group.resolved_at, "it had died before: it came back at once"
    assert state() == GroupState.REGRESSED


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_killed_resolve_hides_nothing_and_is_finished_by_the_next():
    def prepare():
        for model in (DeadLetter, DeadLetterGroup, RollupPosition, Job):
            model.objects.all()._raw_delete("default")
        make_letter(fingerprint=A)
        roll_up(min_age=NOW)
        make_letter(fingerprint=A)

    for _ in crash_at_every_point(prepare, lambda _: resolve_group(A, by="ada")):
        is_open = DeadLetter.objects.filter(status="open").count()
        assert state() == GroupState.NEW if is_open else state() in {GroupState.CLOSED, GroupState.RESOLVED}
        resolve_group(A, by="ada")
        assert state() == GroupState.RESOLVED


# By a job


def run_now(dead_letter_filter, *, by):
    resolve_matching.enqueue(dead_letter_filter, by=by)
    assert drain().succeeded == 1


@pytest.mark.django_db(transaction=True)
def test_the_bulk_job_of_a_whole_group_records_the_resolution_and_of_a_part_does_not():
    first = make_letter(fingerprint=A)
    make_letter(fingerprint=A)
    run_now({"ids": [first.pk]}, by="ada")
    assert state() == GroupState.NEW
    later = {"fingerprint": A, "up_to_id": str(DeadLetter.objects.latest("pk").pk)}
    commit_a_death()
    run_now(later, by="ada")
    group = DeadLetterGroup.objects.get()
    assert group.resolved_by == "ada"
    assert state() == GroupState.REGRESSED, "one died after the job was enqueued"
    run_now({"fingerprint": A}, by="grace")
    assert (state(), DeadLetterGroup.objects.get().resolved_by) == (GroupState.RESOLVED, "grace")


# Undone


@pytest.mark.parametrize("is_rolled_up", [False, True])
def test_an_undone_resolution_opens_the_dead_letters_again(is_rolled_up):
    letters = [make_letter(fingerprint=A) for _ in range(3)]
    early = make_letter(fingerprint=A)
    resolve(early, by="grace")
    DeadLetter.objects.filter(pk=early.pk).update(resolved_at=ago(hours=1))
    if is_rolled_up:
        roll_up(min_age=NOW)
    resolve_group(A, by="ada")

    assert undo_resolve_group(A) == 3
    assert {row.pk for row in DeadLetter.objects.filter(status="open")} == {letter.pk for letter in letters}
    assert set(DeadLetter.objects.filter(status="open").values_list("resolved_by", "resolved_at")) == {("", None)}
    group = DeadLetterGroup.objects.get()
    assert (group.resolved_at, group.resolved_by) == (None, "")
    assert find_triaged_group(A).group.open == 3
    roll_up(min_age=NOW)
    assert find_triaged_group(A).group.open == 3
    assert undo_resolve_group(A) is None


def test_an_undone_resolution_leaves_alone_what_was_redriven_or_purged_since():
    redriven, purged, died_again, kept = (make_letter(fingerprint=A) for _ in range(4))
    resolve_group(A)
    redrive(redriven.job)
    purge(purged.job)
    make_letter(died_again.job, fingerprint=B)

    assert undo_resolve_group(A) == 1
    assert DeadLetter.objects.get(status="open", fingerprint=A).pk == kept.pk


def test_a_group_that_came_back_is_not_undone():
    make_letter(fingerprint=A)
    resolve_group(A, by="ada")
    make_letter(fingerprint=A)
    assert undo_resolve_group(A) is None
    roll_up(min_age=NOW)
    assert undo_resolve_group(A) is None
    assert DeadLetter.objects.filter(status="open").count() == 1


def test_a_resolution_of_very_many_is_not_undone(monkeypatch):
    monkeypatch.setattr(module, "MAX_UNDONE", 2)
    for _ in range(3):
        make_letter(fingerprint=A)
    resolve_group(A)
    assert undo_resolve_group(A) is None
    assert state() == GroupState.RESOLVED


@pytest.mark.django_db(transaction=True)
def test_a_group_that_is_resolved_anew_during_an_undo_stays_as_it_is(monkeypatch):
    make_letter(fingerprint=A)
    resolve_group(A, by="ada")
    reopen = module.reopen_dead_letters

    def reopen_after_another(ids, *, using):
        if connection.vendor == "sqlite":
            DeadLetterGroup.objects.update(resolved_at=ago(days=0))
        else:
            Background(lambda: DeadLetterGroup.objects.update(resolved_at=ago(days=0))).result()
        return reopen(ids, using=using)

    monkeypatch.setattr(module, "reopen_dead_letters", reopen_after_another)
    assert undo_resolve_group(A) is None
    assert not DeadLetter.objects.filter(status="open").exists()
