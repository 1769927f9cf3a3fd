"""A job process that is not kept ends after its run was reported: its end may take seconds."""

from __future__ import annotations

import pytest

from django_jobs.models import Job
from django_jobs.store.dialects.base.jobs import FinishedRun
from django_jobs.worker.execution.events import CommittedRun
from django_jobs.worker.executors.job_process import JobProcess
from tests.sampleapp import jobs as sample
from tests.worker.contexts import RecordedEvents

from .running import run_in_turn


@pytest.mark.django_db(transaction=True)
def test_a_run_is_reported_before_its_process_ends(
    worker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in worker_environment.items():
        monkeypatch.setenv(name, value)
    order: list[str] = []
    stop_idle, run_finished = JobProcess.stop_idle, RecordedEvents.run_finished

    def stop(process: JobProcess) -> None:
        order.append("end" if process.is_due_to_end else "stop")
        stop_idle(process)

    def report(events: RecordedEvents, run: FinishedRun | CommittedRun) -> None:
        order.append("report")
        run_finished(events, run)

    monkeypatch.setattr(JobProcess, "stop_idle", stop)
    monkeypatch.setattr(RecordedEvents, "run_finished", report)
    suspect = sample.add.enqueue(1, 2)
    Job.objects.filter(pk=suspect.pk).update(worker_deaths=2)
    (job,) = run_in_turn(suspect)
    assert job.result == 3
    assert order == ["report", "end", "stop"]
