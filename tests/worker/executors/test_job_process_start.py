"""No job is claimed for a job process that is still starting: another worker can have it meanwhile."""

from __future__ import annotations

import time

import pytest

from django_jobs.conf import get_settings
from django_jobs.worker.duties.notifiers import PollingOnly
from django_jobs.worker.execution.runtime import WorkerContext
from django_jobs.worker.executors import job_process
from django_jobs.worker.executors.event_loop import EventLoopExecutor
from django_jobs.worker.executors.threads import ThreadExecutor
from django_jobs.worker.options import PROCESSES, WorkerOptions
from django_jobs.worker.pipeline.claimer import Claimer
from django_jobs.worker.pipeline.finisher import Finisher
from tests.concurrency import DEADLINE_SECONDS, wait_until
from tests.factories import make_worker
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents


@pytest.mark.django_db(transaction=True)
def test_jobs_are_claimed_once_a_process_is_ready_and_a_slow_start_is_warned_of(
    worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(job_process, "SLOW_START_SECONDS", 0.001)
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    events = RecordedEvents()
    options = WorkerOptions(concurrency=1, pool=PROCESSES)
    context = WorkerContext(settings=get_settings(), options=options, events=events, worker_id=make_worker().pk)
    executor, event_loop, notifier = ThreadExecutor(context), EventLoopExecutor(context), PollingOnly()
    event_loop.start()
    claimer = Claimer(
        context,
        threads=executor,
        event_loop=event_loop,
        finisher=Finisher(context),
        notifier=notifier,
    )
    events.capacity_freed = claimer.capacity_freed  # type: ignore[method-assign]
    sample.add.enqueue(1, 2)
    for _ in range(3):
        claimer.step()
    assert not context.active_claims
    executor.start()
    assert notifier.wait(DEADLINE_SECONDS), "the process is ready"
    wait_until(lambda: claimer.step() >= 0 and context.active_claims, "the job to be claimed")
    wait_until(lambda: events.finished, "the run to end")
    for each in (executor, event_loop):
        each.stop()
        assert each.join(time.monotonic() + DEADLINE_SECONDS)
    assert (len(events.finished), events.released, events.stops) == (1, [], [])
    [warning] = [text for text in caplog.messages if "is not ready after" in text]
    assert "its thread of the worker runs no jobs until it is" in warning
