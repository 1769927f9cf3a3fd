"""Held jobs are released by a worker that knows their names: at its start, and when it comes to know them."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs import registry
from django_jobs.models import Job
from django_jobs.policy.states import State
from django_jobs.worker.duties.held_jobs import HeldJobs
from tests.factories import ago, make_job
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents, make_context

pytestmark = pytest.mark.django_db


def _held(name: str, **fields: Any) -> Job:
    return make_job(State.SCHEDULED, name=name, run_after=ago(seconds=-50), unknown_since=ago(hours=1), **fields)


def _is_held(job: Job) -> bool:
    return job.refresh().unknown_since is not None


def test_names_that_are_known_are_released_once_and_the_claimer_hears_of_it(django_assert_num_queries: Any) -> None:
    known, unknown = _held(sample.add.name), _held("shop.unknown")
    events = RecordedEvents()
    held_jobs = HeldJobs(make_context(events))
    held_jobs.step()
    assert not _is_held(known)
    assert _is_held(unknown)
    assert events.delays == [0]
    with django_assert_num_queries(0):
        held_jobs.step()


def test_a_name_that_the_process_comes_to_know_is_released_then(monkeypatch: pytest.MonkeyPatch) -> None:
    job = _held("shop.lazy")
    held_jobs = HeldJobs(make_context(RecordedEvents()))
    held_jobs.step()
    assert _is_held(job)
    monkeypatch.setattr(registry, "names", lambda: frozenset({"shop.lazy"}))
    held_jobs.step()
    assert not _is_held(job)


def test_a_worker_releases_what_it_may_claim_only() -> None:
    elsewhere = _held(sample.add.name, queue_name="slow")
    HeldJobs(make_context(RecordedEvents(), queues=("mail",))).step()
    HeldJobs(make_context(RecordedEvents(), works=False)).step()
    assert _is_held(elsewhere)
    HeldJobs(make_context(RecordedEvents(), queues=("mail", "slow"))).step()
    assert not _is_held(elsewhere)


def test_a_job_of_another_source_is_released_if_that_can_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    job, broken = _held("shop.tasks.later"), _held("shop.tasks.broken")

    def find(name: str) -> object:
        if name == "shop.tasks.broken":
            raise SystemExit("not here")
        return object()

    monkeypatch.setattr(registry, "find", find)
    HeldJobs(make_context(RecordedEvents())).step()
    assert not _is_held(job)
    assert _is_held(broken)
