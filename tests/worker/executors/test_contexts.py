"""Each job finds its context as in a new thread, whatever the job before has left there."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import pytest
from django.utils import timezone, translation

from django_jobs.testing import drain
from django_jobs.worker.options import PROCESSES
from tests.misbehaving import leftovers

from .running import run_in_turn

JOBS = [leftovers.swap_context, leftovers.swap_context_async]


def _enqueue(*definitions: Any) -> list[Any]:
    """Enqueue each: one that succeeds, one that fails, one that succeeds."""
    return [definition.enqueue(fail) for definition in definitions for fail in (False, True, False)]


def _found(jobs: list[Any]) -> list[Any]:
    return [job.refresh().result for job in jobs if job.state == "succeeded"]


def _fresh() -> Any:
    return Context().run(leftovers.read_context)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("definition", JOBS, ids=["thread", "event loop"])
def test_a_job_finds_its_context_as_in_a_new_thread(definition: Any) -> None:
    jobs = run_in_turn(*_enqueue(definition))
    assert _found(jobs) == [_fresh()] * 2


@pytest.mark.django_db(transaction=True)
def test_an_atomic_job_has_a_context_of_its_own() -> None:
    jobs = run_in_turn(*[leftovers.swap_context_atomic.enqueue() for _ in range(2)])
    assert _found(jobs) == [_fresh()] * 2


@pytest.mark.django_db(transaction=True)
def test_so_does_a_job_in_a_job_process(worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    jobs = run_in_turn(*_enqueue(*JOBS), pool=PROCESSES)
    assert _found(jobs) == [_fresh()] * 4


@pytest.mark.django_db(transaction=True)
def test_signal_handlers_and_timers_of_a_job_do_not_reach_the_next(
    worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a job process, whose main thread runs the jobs; other threads cannot set any."""
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    first, second = run_in_turn(*[leftovers.swap_signals.enqueue() for _ in range(2)], pool=PROCESSES)
    assert (first.state, second.state) == ("succeeded", "succeeded")
    assert second.result == first.result


@pytest.mark.django_db
def test_so_does_a_drained_job_and_the_tests_context_stays() -> None:
    jobs = _enqueue(*JOBS)
    leftovers.SHARED.set(["of the test"])
    with translation.override("fr"), timezone.override("America/Lima"):
        drain()
        after = leftovers.read_context()
    assert _found([job.refresh() for job in jobs]) == [_fresh()] * 4
    assert after == ["fr", "America/Lima", _fresh()[2], "nothing", ["of the test"]]
