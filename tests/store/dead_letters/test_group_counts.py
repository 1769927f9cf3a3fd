"""Groups plus the tail that is not rolled up yet equal the open dead letters, in any order of events.

``DJANGO_JOBS_TEST_LONG=1`` tries longer.
"""

from __future__ import annotations

import os
from collections import Counter
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from django_jobs.models import DeadLetter, DeadLetterGroup, Job, RollupPosition
from django_jobs.policy.states import State
from django_jobs.store.dead_letters.group_counts import prune_groups
from django_jobs.store.dead_letters.groups import groups_page
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.prune import prune, prune_records
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.stats import rollup
from django_jobs.store.stats.rollup import roll_up
from tests.concurrency import run_together
from tests.crashing import crash_at_every_point
from tests.factories import ago, make_job, make_letter

NOW = timedelta(0)
EXAMPLES, STEPS = (300, 80) if "DJANGO_JOBS_TEST_LONG" in os.environ else (10, 30)
PRINTS = ["a" * 32, "b" * 32, "c" * 32]
AT_ONCE = {State.DEAD: timedelta(0)}


def open_by_group():
    """Return by fingerprint the sum of groups and tail, and the number of open dead letters."""
    position = RollupPosition.objects.filter(pk="dead_letters").first()
    tail = DeadLetter.objects.filter(pk__gt=position.done_id if position else 0)
    told = Counter(dict(DeadLetterGroup.objects.values_list("fingerprint", "open")))
    told.update(tail.values_list("fingerprint", flat=True))
    is_open = Counter(DeadLetter.objects.filter(status="open").values_list("fingerprint", flat=True))
    return {key: number for key, number in told.items() if number}, dict(is_open)


def multiply(row, number):
    """Insert copies of a row."""
    copies = [copy(row) for _ in range(number)]
    for row in copies:
        row.pk = None
    type(row).objects.bulk_create(copies)


class LettersLife(RuleBasedStateMachine):
    """Jobs die, dead letters are closed in every way, and rollups run in between."""

    def __init__(self) -> None:
        super().__init__()
        self.deaths: Counter[str] = Counter()
        self._transaction: Any = transaction.atomic()
        self._transaction.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._transaction.__exit__(None, None, None)

    def some(self, share: int) -> Any:
        """Return the dead letters with every second, third... id."""
        ids = [pk for pk in DeadLetter.objects.values_list("pk", flat=True) if pk % share == 0]
        return DeadLetter.objects.filter(pk__in=ids)

    @rule(fingerprint=st.sampled_from(PRINTS), number=st.integers(1, 3))
    def die(self, fingerprint: str, number: int) -> None:
        for _ in range(number):
            job = make_job(State.DEAD, finished_at=ago(seconds=1), enqueued_at=ago(seconds=2))
            make_letter(job, fingerprint=fingerprint, died_at=ago(seconds=1))
        self.deaths[fingerprint] += number

    @rule(fingerprint=st.sampled_from(PRINTS))
    def die_again(self, fingerprint: str) -> None:
        job = Job.objects.filter(state=State.READY).first()
        if job:
            Job.objects.filter(pk=job.pk).update(state=State.DEAD, finished_at=ago(seconds=1))
            make_letter(job, fingerprint=fingerprint, died_at=ago(seconds=1))
            self.deaths[fingerprint] += 1

    @rule(share=st.integers(1, 3))
    def redrive(self, share: int) -> None:
        redrive(self.some(share))

    @rule(share=st.integers(1, 3))
    def purge(self, share: int) -> None:
        purge(self.some(share))

    @rule(share=st.integers(1, 3))
    def purge_jobs_also_resolved_ones(self, share: int) -> None:
        purge(Job.objects.filter(dead_letters__in=self.some(share)))

    @rule(share=st.integers(1, 3))
    def resolve(self, share: int) -> None:
        resolve(self.some(share), by="ada")

    @rule()
    def prune(self) -> None:
        prune(AT_ONCE)

    @rule()
    def prune_orphans_and_groups(self) -> None:
        prune_records(AT_ONCE, alerted_for=timedelta(days=1))
        prune_groups(NOW)
        for fingerprint in set(self.deaths) - set(DeadLetterGroup.objects.values_list("pk", flat=True)):
            assert not DeadLetter.objects.filter(fingerprint=fingerprint, pk__lte=self.done_id()).exists()
            del self.deaths[fingerprint]
            self.deaths[fingerprint] += DeadLetter.objects.filter(fingerprint=fingerprint).count()

    @rule()
    def fold_a_little(self) -> None:
        before = rollup.DEAD_LETTERS_PER_RANGE, rollup.RANGES_PER_ROUND
        rollup.DEAD_LETTERS_PER_RANGE, rollup.RANGES_PER_ROUND = 2, 1
        try:
            roll_up(min_age=NOW)
        finally:
            rollup.DEAD_LETTERS_PER_RANGE, rollup.RANGES_PER_ROUND = before

    @rule()
    def fold_all(self) -> None:
        roll_up(min_age=NOW)

    def done_id(self) -> int:
        position = RollupPosition.objects.filter(pk="dead_letters").first()
        return position.done_id if position else 0

    @invariant()
    def groups_and_tail_tell_the_open_letters(self) -> None:
        told, is_open = open_by_group()
        assert told == is_open
        page = groups_page(status="open")
        assert {group.fingerprint: group.open for group in page.rows} == is_open

    @invariant()
    def a_group_has_counted_each_of_its_folded_letters(self) -> None:
        for group in DeadLetterGroup.objects.all():
            unfolded = DeadLetter.objects.filter(fingerprint=group.pk, pk__gt=self.done_id()).count()
            assert group.total + unfolded <= self.deaths[group.pk]


@pytest.mark.slow
@pytest.mark.django_db
def test_groups_plus_the_tail_always_equal_the_open_dead_letters() -> None:
    run_state_machine_as_test(
        LettersLife,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_concurrent_rollups_and_operations_leave_groups_consistent():
    # Of a table of few rows MariaDB reads, and locks, all for a DELETE by key, and says "deadlock" where two do.
    job = make_job()
    multiply(job, 1_000)
    multiply(make_letter(job), 1_000)
    letters = [make_letter(fingerprint=PRINTS[at % 3]) for at in range(60)]
    Job.objects.filter(state=State.DEAD).update(finished_at=ago(hours=1), enqueued_at=ago(hours=2))
    ids = [letter.pk for letter in letters]

    def every_fourth(start):
        return DeadLetter.objects.filter(pk__in=ids[start::4])

    done = run_together(
        lambda: [redrive(every_fourth(0)), redrive(every_fourth(1))],
        lambda: [purge(every_fourth(1)), purge(every_fourth(0))],
        lambda: [resolve(every_fourth(1)), resolve(every_fourth(2))],
        lambda: [roll_up(min_age=NOW) for _ in range(5)],
        lambda: [roll_up(min_age=NOW) for _ in range(5)],
        lambda: prune({State.DEAD: timedelta(minutes=1)}),
    )

    told, is_open = open_by_group()
    assert told == is_open
    assert sum(sum(counts) for counts in done[:3]) <= 60, "a job was ended twice"
    roll_up(min_age=NOW)
    told, is_open = open_by_group()
    assert told == is_open


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_folded", [False, True])
@pytest.mark.parametrize("verb", [redrive, purge, resolve])
def test_a_killed_operation_leaves_groups_consistent(verb, is_folded):
    def prepare():
        for model in (DeadLetter, DeadLetterGroup, RollupPosition, Job):
            model.objects.all()._raw_delete("default")
        for fingerprint in PRINTS:
            make_letter(fingerprint=fingerprint)
        if is_folded:
            roll_up(min_age=NOW)

    for _ in crash_at_every_point(prepare, lambda _: verb(DeadLetter.objects.all())):
        told, is_open = open_by_group()
        assert told == is_open
    assert not is_open


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_folded", [False, True])
def test_a_killed_prune_leaves_groups_consistent(is_folded):
    def prepare():
        for model in (DeadLetter, DeadLetterGroup, RollupPosition, Job):
            model.objects.all()._raw_delete("default")
        for fingerprint in PRINTS:
            job = make_job(State.DEAD, finished_at=ago(seconds=1), enqueued_at=ago(seconds=2))
            make_letter(job, fingerprint=fingerprint)
        resolve(DeadLetter.objects.filter(fingerprint=PRINTS[0]))
        if is_folded:
            roll_up(min_age=NOW)

    for _ in crash_at_every_point(prepare, lambda _: prune(AT_ONCE)):
        told, is_open = open_by_group()
        assert told == is_open
    assert not DeadLetter.objects.exists()


@pytest.mark.django_db
def test_groups_without_dead_letters_are_deleted_unless_muted_or_with_a_note():
    now = ago(days=0)
    for at, fields in enumerate(({}, {"note": "known"}, {"muted_at": now}, {"last_died_at": now}, {"open": 1})):
        values = {"job_name": "sample", "first_died_at": ago(days=100), "last_died_at": ago(days=100)}
        DeadLetterGroup.objects.create(fingerprint=str(at), **(values | fields))
    DeadLetterGroup.objects.create(fingerprint="f" * 32, **values)
    make_letter(died_at=ago(days=100), status="resolved")

    assert prune_groups(None) == 0
    assert prune_groups(timedelta(days=90)) == 1
    assert set(DeadLetterGroup.objects.values_list("pk", flat=True)) == {"1", "2", "3", "4", "f" * 32}
