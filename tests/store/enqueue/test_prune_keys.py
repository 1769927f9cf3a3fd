"""Pruning of keys: what holds stays, what does not goes, and the job of a key stays as long as its window."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection

from django_jobs.models import EnqueueKey, Job
from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.store.enqueue.prune_keys import prune_keys
from django_jobs.store.lifecycle.prune import prune
from tests.concurrency import elsewhere
from tests.factories import ago
from tests.sampleapp.jobs import echo, sync

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


def is_over() -> None:
    EnqueueKey.objects.update(expires_at=ago(minutes=1))


def test_an_idempotency_key_goes_when_its_window_is_over_whatever_its_job_does() -> None:
    echo.using(idempotency_key="old").enqueue()
    is_over()
    new = echo.using(idempotency_key="new").enqueue()

    assert prune_keys() == 1
    assert EnqueueKey.objects.get().job_id == new.pk


@pytest.mark.parametrize("state", list(State))
def test_a_unique_key_goes_when_its_job_has_ended(state: State) -> None:
    job = sync.enqueue(7)
    times = {"run_after": ago(hours=-1)} if state is State.SCHEDULED else {}
    Job.objects.filter(pk=job.pk).update(state=state, **times)
    is_over()

    assert prune_keys() == (state in FINAL_STATES)
    if state not in FINAL_STATES:
        key = EnqueueKey.objects.get()
        assert timedelta(hours=23) < key.expires_at - ago() <= timedelta(days=1)


def test_a_key_whose_job_is_deleted_is_deleted_too() -> None:
    sync.enqueue(7)
    Job.objects.all()._raw_delete("default")
    is_over()

    assert prune_keys() == 1


def test_many_go_a_window_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_jobs.store.enqueue.prune_keys.WINDOW", 3)
    sync.enqueue_many([(number,) for number in range(7)])
    Job.objects.filter(pk__gt=Job.objects.earliest("pk").pk).update(state=State.SUCCEEDED)
    is_over()

    assert prune_keys() == 6
    assert EnqueueKey.objects.count() == 1


def test_a_job_stays_as_long_as_the_window_of_its_idempotency_key() -> None:
    keyed = echo.using(idempotency_key="k", idempotency_window=30 * MINUTE)
    kept, unique, plain = keyed.enqueue(), sync.enqueue(7), echo.enqueue()
    for job in (kept, unique, plain):
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, enqueued_at=ago(days=9), finished_at=ago(days=8))

    assert prune({State.SUCCEEDED: timedelta(days=7)}).jobs == 2
    assert keyed.enqueue().pk == kept.pk
    is_over()
    assert prune({State.SUCCEEDED: timedelta(days=7)}).jobs == 1


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_a_key_that_another_transaction_takes_over_is_passed_over() -> None:
    sync.enqueue(7)
    Job.objects.update(state=State.SUCCEEDED)
    is_over()
    with elsewhere(lambda: sync.enqueue(7)):
        assert prune_keys() == 0
    assert prune_keys() == 1
    assert not connection.in_atomic_block
