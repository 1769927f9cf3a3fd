"""The scheduler's rounds: when it looks again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from django_jobs.conf import get_settings
from django_jobs.models import CronSchedule, Tick
from django_jobs.store.schedules.definitions import SyncResult
from django_jobs.worker.duties.notifiers import PollingOnly
from django_jobs.worker.duties.scheduler import LOCKED_PAUSE_SECONDS, MAX_LOCKED_PAUSE_SECONDS, Scheduler, log_sync
from tests.concurrency import elsewhere
from tests.factories import make_schedule

pytestmark = pytest.mark.django_db(transaction=True)


def scheduler() -> Scheduler:
    notifier = PollingOnly()
    notifier.is_listening_for_schedules = True
    return Scheduler(get_settings(), notifier, started=time.monotonic())


@pytest.mark.skipif("connection.vendor == 'sqlite'", reason="SQLite has one writer at a time")
def test_it_does_not_spin_while_another_scheduler_locks_all_due_schedules() -> None:
    """The other one may be frozen within its transaction; what it holds is due all the while."""
    ours = scheduler()
    ours.step()
    held = make_schedule("held")
    statements = 0

    def count(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal statements
        statements += 1
        assert statements < 200, "it spins"
        return execute(*arguments)

    with (
        elsewhere(lambda: CronSchedule.objects.select_for_update().get(pk=held.pk)),
        connection.execute_wrapper(count),
    ):
        pauses = [ours.step() for _ in range(12)]
    assert pauses[0] == LOCKED_PAUSE_SECONDS
    assert pauses == sorted(pauses)
    assert pauses[-1] == MAX_LOCKED_PAUSE_SECONDS
    assert ours.step() > MAX_LOCKED_PAUSE_SECONDS
    assert Tick.objects.count() == 1


def test_schedules_that_are_disabled_or_taken_over_are_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    log_sync(SyncResult(made=["a"], changed=[], disabled=["b"], problems=[], taken_over=["c (of shop)"]))
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "schedules new: a"),
        ("WARNING", "schedules taken over from another project: c (of shop)"),
        ("WARNING", "schedules no longer defined in the code of 'testproject', and disabled: b"),
    ]
