"""How many statements an idle worker sends in a minute: those of each duty's round, as often as it asks to be called.

What is due every minute or more rarely (pruning, expiring results) is left out.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol

import pytest

from django_jobs.worker.duties.activity import ActivityReport
from django_jobs.worker.duties.heartbeat import Heartbeat
from django_jobs.worker.duties.maintenance import Maintenance
from django_jobs.worker.duties.notifiers import PollingOnly
from django_jobs.worker.duties.scheduler import Scheduler
from django_jobs.worker.pipeline.claimer import Claimer
from django_jobs.worker.pipeline.finisher import Finisher
from tests.concurrency import DEADLINE_SECONDS
from tests.factories import make_worker
from tests.statements import counted
from tests.worker.contexts import RecordedEvents, make_context
from tests.worker.pipeline.test_claimer import InstantExecutor

pytestmark = pytest.mark.django_db(transaction=True)

PER_ROUND = {"heartbeat": 1, "maintenance": 1, "scheduler": 1, "claimer": 1}
"""Statements. Whoever makes do with fewer lowers the number here, and that of a minute."""
PER_MINUTE = 55
LOOK_PAUSE_SECONDS = 0.05
"""The claimer pauses between two looks in proportion to what the first has cost."""


class Duty(Protocol):
    def step(self) -> float: ...


class Listening(PollingOnly):
    """A notifier that would hear of a job, and of a changed schedule: nothing has to be polled for quickly."""

    is_listening = is_listening_for_schedules = True


def test_an_idle_worker_sends_few_statements_a_minute() -> None:
    context = make_context(RecordedEvents(), worker_id=make_worker().pk)
    notifier = Listening()
    duties: dict[str, Duty] = {
        "heartbeat": Heartbeat(
            context, ActivityReport(context, threads=InstantExecutor(), event_loop=InstantExecutor())
        ),
        "maintenance": Maintenance(context),
        "scheduler": Scheduler(context.settings, notifier, started=time.monotonic()),
        "claimer": Claimer(
            context,
            threads=InstantExecutor(),
            event_loop=InstantExecutor(),
            finisher=Finisher(context),
            notifier=notifier,
        ),
    }
    rounds = {name: _settled(duty) for name, duty in duties.items()}

    assert {name: statements for name, (_, statements) in rounds.items()} == PER_ROUND
    assert round(sum(statements * 60 / seconds for seconds, statements in rounds.values())) == PER_MINUTE


def _settled(duty: Duty) -> tuple[float, int]:
    """Do rounds until two are alike; return the seconds until the next and the statements of one.

    A round of the claimer that comes before its next look is due has none, and does not count.
    """
    deadline, pause = time.monotonic() + DEADLINE_SECONDS, threading.Event()
    rounds: list[tuple[float, int]] = []
    while len(rounds) < 2 or rounds[-1] != rounds[-2]:
        assert time.monotonic() < deadline, rounds
        with counted() as cost:
            seconds = duty.step()
        if cost.statements:
            rounds.append((seconds, cost.statements))
        pause.wait(min(seconds, LOOK_PAUSE_SECONDS))
    return rounds[-1]
