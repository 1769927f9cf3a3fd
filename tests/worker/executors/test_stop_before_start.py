"""A worker that is told to stop while it registers: its heartbeat starts the executors after they were stopped."""

from __future__ import annotations

import time

import pytest

from django_jobs.conf import get_settings
from django_jobs.worker.execution.runtime import WorkerContext
from django_jobs.worker.executors.event_loop import EventLoopExecutor
from django_jobs.worker.executors.threads import ThreadExecutor
from django_jobs.worker.options import WorkerOptions
from tests.concurrency import DEADLINE_SECONDS
from tests.worker.contexts import RecordedEvents


@pytest.mark.parametrize("kind", [EventLoopExecutor, ThreadExecutor])
def test_an_executor_that_is_started_after_its_stop_ends(kind: type[EventLoopExecutor | ThreadExecutor]) -> None:
    context = WorkerContext(settings=get_settings(), options=WorkerOptions(concurrency=2), events=RecordedEvents())
    executor = kind(context)
    executor.stop()

    executor.start()

    assert executor.join(time.monotonic() + DEADLINE_SECONDS)
