"""Unique jobs and keys under limits: a job that is changed gives up permits that it needs no more, and no others."""

from __future__ import annotations

import pytest

from django_jobs.models import Job, Permit
from django_jobs.policy.limits import PermitPhase
from django_jobs.policy.outcomes import SUCCEEDED
from django_jobs.policy.states import State
from django_jobs.store.lifecycle.finish import finish
from django_jobs.store.lifecycle.promote import promote
from tests.admission import admit_all
from tests.factories import ago, ended, make_worker, take
from tests.sampleapp.jobs import index_alone, render, sync_by_api

pytestmark = pytest.mark.django_db(transaction=True)


def phases(job: Job) -> list[PermitPhase]:
    return [PermitPhase(phase) for phase in Permit.objects.filter(job=job.pk).values_list("phase", flat=True)]


def run_all() -> list[int]:
    worker = make_worker()
    claims = take(worker)
    finish([ended(claim, SUCCEEDED) for claim in claims], worker_id=worker.pk)
    admit_all()
    return [claim.job_id for claim in claims]


def test_an_idempotent_job_waits_at_its_limit_like_any_other() -> None:
    keyed = render.using(idempotency_key=lambda customer_id: f"render-{customer_id}")
    first, second = keyed.enqueue(1), keyed.enqueue(1)
    assert (first.state, second.pk, second.is_duplicate) == (State.BLOCKED, first.pk, True)
    assert phases(first) == [PermitPhase.WAITING]
    admit_all()
    assert run_all() == [first.pk]
    many = keyed.enqueue_many([(1,), (2,), (3,), (None,)])
    assert [job.is_duplicate for job in many] == [True, False, False, False]
    assert [job.state for job in many[1:]] == [State.BLOCKED, State.BLOCKED, State.READY]


def test_a_job_that_is_replaced_under_the_same_limit_keeps_its_permit_and_its_place() -> None:
    first = sync_by_api.enqueue(1, api="crm")
    admit_all()
    assert first.refresh().state == State.READY
    ready_at = first.ready_at
    second = sync_by_api.enqueue(1, api="crm")
    assert (second.pk, second.state, second.ready_at) == (first.pk, State.READY, ready_at)
    assert phases(first) == [PermitPhase.HELD]


def test_a_job_that_is_replaced_under_another_limit_waits_at_that_and_frees_the_first() -> None:
    first = sync_by_api.enqueue(1, api="crm")
    behind = sync_by_api.enqueue(2, api="crm")
    admit_all()
    assert (first.refresh().state, behind.refresh().state) == (State.READY, State.BLOCKED)

    moved = sync_by_api.enqueue(1, api="erp")
    assert (moved.pk, moved.state, phases(first)) == (first.pk, State.BLOCKED, [PermitPhase.WAITING])
    admit_all()
    assert sorted(run_all()) == [first.pk, behind.pk]
    assert {job.arguments["api"] for job in Job.objects.all()} == {"crm", "erp"}


def test_a_job_that_is_replaced_under_no_limit_is_ready_and_one_that_gets_a_limit_waits() -> None:
    first = sync_by_api.enqueue(1, api="crm")
    free = sync_by_api.enqueue(1)
    assert (free.pk, free.state, phases(first)) == (first.pk, State.READY, [])
    assert free.ready_at is not None
    again = sync_by_api.enqueue(1, api="erp")
    assert (again.pk, again.state, phases(first)) == (first.pk, State.BLOCKED, [PermitPhase.WAITING])
    admit_all()
    assert run_all() == [first.pk]


def test_a_burst_that_is_put_off_holds_no_permit_meanwhile() -> None:
    first, other = index_alone.enqueue(1), index_alone.enqueue(2)
    Job.objects.update(run_after=ago(seconds=1))
    promote()
    admit_all()
    assert {first.refresh().state, other.refresh().state} == {State.READY, State.BLOCKED}
    ready, blocked = sorted((first, other), key=lambda job: job.state, reverse=True)

    again = index_alone.enqueue(ready.arguments["user_id"])
    assert (again.pk, again.state, phases(again)) == (ready.pk, State.SCHEDULED, [PermitPhase.ASLEEP])
    admit_all()
    assert blocked.refresh().state == State.READY
    blocked_again = index_alone.using(run_after=ago(seconds=1)).enqueue(ready.arguments["user_id"])
    assert (blocked_again.pk, blocked_again.state) == (ready.pk, State.BLOCKED)
    assert run_all() == [blocked.pk]
    assert run_all() == [ready.pk]
