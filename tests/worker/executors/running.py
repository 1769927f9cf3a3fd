"""Run jobs one after another in a real executor, without a worker around it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from django_jobs.models import Job
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.store.lifecycle.finish import finish
from django_jobs.worker.execution.events import CommittedRun
from django_jobs.worker.executors.event_loop import EventLoopExecutor
from django_jobs.worker.executors.threads import ThreadExecutor
from django_jobs.worker.options import PROCESSES, THREADS, WorkerOptions
from django_jobs.worker.threads.sessions import observe_connections
from tests import factories
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.worker.contexts import RecordedEvents, make_context


def run_in_turn(
    *jobs: Job, pool: str = THREADS, after_each: Callable[[FinishedRun | CommittedRun], object] | None = None
) -> list[Job]:
    """Run jobs that were enqueued in this order, each after the one before has ended; return them refreshed."""
    observe_connections()
    events = RecordedEvents()
    worker = factories.make_worker()
    context = make_context(events, worker_id=worker.pk)
    context.options = WorkerOptions(concurrency=1, pool=pool)
    claims = factories.take(worker)
    assert [claim.job_id for claim in claims] == [job.pk for job in jobs]
    is_async = any(claim.name.endswith("_async") for claim in claims) and pool != PROCESSES
    executor: Any = EventLoopExecutor(context) if is_async else ThreadExecutor(context)
    executor.start()
    for number, claim in enumerate(claims, 1):
        executor.submit([claim])
        wait_until(lambda number=number: len(events.finished) == number or events.stops, "the run to end")
        if after_each is not None:
            after_each(events.finished[-1])
    executor.stop()
    assert executor.join(time.monotonic() + DEADLINE_SECONDS)
    assert not events.stops
    _save(events.finished, worker.pk)
    return [job.refresh() for job in jobs]


def _save(runs: Sequence[FinishedRun | CommittedRun], worker_id: int) -> None:
    finished = [run for run in runs if isinstance(run, FinishedRun)]
    if finished:
        finish(finished, worker_id=worker_id)
