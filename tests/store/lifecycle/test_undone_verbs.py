"""An operation that the server rolls back as a deadlock's victim is repeated, without an error."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from django_jobs.models import DeadLetter, Job
from django_jobs.policy.states import State
from django_jobs.store.dead_letters.resolve import resolve
from django_jobs.store.lifecycle.cancel import cancel
from django_jobs.store.lifecycle.move import move
from django_jobs.store.lifecycle.prioritize import set_priority
from django_jobs.store.lifecycle.purge import purge
from django_jobs.store.lifecycle.redrive import redrive
from django_jobs.store.lifecycle.run_now import run_now
from tests import factories
from tests.concurrency import Background
from tests.databases import chosen_vendor
from tests.lock_waits import LOCK, session, wait_for_waiters

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(chosen_vendor() == "sqlite", reason="SQLite has one writer at a time, and no deadlocks"),
]


def _cancel(target: Any) -> int:
    return cancel(target).cancelled


@pytest.mark.parametrize(
    ("verb", "state", "after"),
    [
        (_cancel, State.READY, {"cancelled"}),
        (redrive, State.DEAD, {"ready"}),
        (purge, State.DEAD, set()),
        (partial(move, to="mail"), State.READY, {"ready"}),
        (partial(set_priority, priority=7), State.READY, {"ready"}),
        (run_now, State.SCHEDULED, {"ready"}),
    ],
)
def test_an_operation_that_was_a_deadlocks_victim_is_repeated(
    verb: Callable[[Any], int], state: State, after: set[str]
) -> None:
    first, second = (factories.make_job(state) for _ in range(2))
    with session() as other:
        other.execute(LOCK, second.pk)
        running = Background(lambda: verb(Job.objects.filter(pk__in=[first.pk, second.pk])))
        wait_for_waiters(other.number)
        assert len(other.execute(LOCK, first.pk)) == 1, "the verb was undone and let it go"
        other.rollback()
    assert running.result() == 2
    assert set(Job.objects.values_list("state", flat=True)) == after


def test_resolving_dead_letters_is_repeated_too() -> None:
    first, second = (factories.make_letter() for _ in range(2))
    lock = LOCK.replace("django_jobs_job", "django_jobs_deadletter")
    with session() as other:
        other.execute(lock, second.pk)
        running = Background(lambda: resolve(DeadLetter.objects.all()))
        wait_for_waiters(other.number)
        assert len(other.execute(lock, first.pk)) == 1, "it was undone and let it go"
        other.rollback()
    assert running.result() == 2
    assert not DeadLetter.objects.filter(status="open").exists()
