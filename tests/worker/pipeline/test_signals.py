"""Signals: who hears what, and that a receiver which raises changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.dispatch import Signal

from django_jobs import signals
from django_jobs.testing import drain
from tests.sampleapp import jobs as sample

pytestmark = pytest.mark.django_db(transaction=True)

ALL = ("job_enqueued", "job_started", "job_succeeded", "job_retried", "job_dead", "job_cancelled")


@pytest.fixture
def heard() -> Iterator[list[tuple[str, int, str]]]:
    """What was sent: (signal, job id, the job's state as the receiver saw it)."""
    calls: list[tuple[str, int, str]] = []
    receivers: list[tuple[Signal, Callable[..., None]]] = []
    for name in ALL:

        def receive(sender: Any, job: Any, name: str = name, **kwargs: Any) -> None:
            calls.append((name, job.pk, job.state))

        signal: Signal = getattr(signals, name)
        signal.connect(receive)
        receivers.append((signal, receive))
    yield calls
    for signal, receive in receivers:
        signal.disconnect(receive)


def test_a_success_sends_signals_from_enqueue_to_finish(heard: list[Any]) -> None:
    job = sample.add.enqueue(1)
    drain()
    assert heard == [
        ("job_enqueued", job.pk, "ready"),
        ("job_started", job.pk, "running"),
        ("job_succeeded", job.pk, "succeeded"),
    ]


def test_a_failure_sends_retried_then_dead(heard: list[Any]) -> None:
    job = sample.fail.enqueue()
    drain(run_scheduled=True)
    assert [name for name, *_ in heard] == [
        "job_enqueued",
        "job_started",
        "job_retried",
        "job_started",
        "job_dead",
    ]
    assert heard[-1] == ("job_dead", job.pk, "dead")


def test_job_dead_has_the_dead_letter() -> None:
    letters: list[Any] = []

    def receive(sender: Any, job: Any, dead_letter: Any, **kwargs: Any) -> None:
        letters.append(dead_letter)

    signals.job_dead.connect(receive)
    try:
        job = sample.discard.enqueue("not wanted")
        drain()
    finally:
        signals.job_dead.disconnect(receive)
    assert [(letter.job_id, letter.error_message) for letter in letters] == [(job.pk, "not wanted")]


def test_a_cancelled_job_sends_job_cancelled(heard: list[Any]) -> None:
    job = sample.add.enqueue(1)
    job.cancel()
    assert heard == [("job_enqueued", job.pk, "ready"), ("job_cancelled", job.pk, "cancelled")]


@pytest.mark.parametrize("name", ALL)
def test_a_receiver_that_raises_is_logged_and_changes_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    def receive(**kwargs: Any) -> None:
        raise RuntimeError("a bad receiver")

    signal: Signal = getattr(signals, name)
    signal.connect(receive)
    try:
        with caplog.at_level(logging.ERROR):
            good, bad, waiting = sample.add.enqueue(1), sample.fail.enqueue(), sample.add.enqueue(2)
            waiting.cancel()
            drain(run_scheduled=True)
    finally:
        signal.disconnect(receive)
    assert [job.refresh().state for job in (good, bad, waiting)] == ["succeeded", "dead", "cancelled"]
    assert "a bad receiver" in caplog.text
