"""The counter of runs: which runs count, under which labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import values
from prometheus_client.multiprocess import MultiProcessCollector

from django_jobs import observers
from django_jobs.contrib.prometheus.counters import count_in, stop_counting
from django_jobs.contrib.prometheus.names import OTHER_QUEUE, UNKNOWN_JOB
from django_jobs.policy.decide import EXPIRED, SUCCEEDED_WITHOUT_RESULT, Decision
from django_jobs.policy.outcomes import AttemptOutcome
from django_jobs.policy.states import State
from django_jobs.store.dialects.base.jobs import Claim, FinishedRun
from tests.sampleapp import jobs as sample

RELEASED = Decision(state=State.READY, attempt_outcome=AttemptOutcome.RELEASED, gives_back_attempt=True)


def _run(decision: Decision, *, name: str = sample.add.name, queue: str = "default", waited: float = 2) -> FinishedRun:
    claim = Claim(1, 1, name, queue, 0, 1, 5, "{}", "{}", 100.0, 100.0, None, 100.0 + waited)
    return FinishedRun(claim, decision, 100.0 + waited, 103.0 + waited)


def _samples(directory: Path) -> dict[tuple[str, tuple[str, ...]], float]:
    metrics: list[Any] = list(MultiProcessCollector(None, path=str(directory)).collect())
    return {
        (one.name, tuple(value for label, value in sorted(one.labels.items()) if label != "le" or value == "+Inf")): (
            one.value
        )
        for metric in metrics
        for one in metric.samples
        if one.labels.get("le", "+Inf") == "+Inf"
    }


@pytest.fixture
def counting(files: Path) -> Any:
    count_in(str(files))
    yield files
    stop_counting()
    values.close_all_multiprocess_files()


def test_attempts_count_by_outcome_and_their_times_if_they_ended_by_themselves(counting: Path) -> None:
    observers.tell_runs_ended([_run(SUCCEEDED_WITHOUT_RESULT), _run(SUCCEEDED_WITHOUT_RESULT, waited=-1)])
    observers.tell_runs_ended([_run(RELEASED), _run(EXPIRED), _run(SUCCEEDED_WITHOUT_RESULT, name="no.such.job")])
    observers.tell_ticks_decided({"fired": 2, "missed": 1})

    found = _samples(counting)
    job = sample.add.name
    assert found["django_jobs_runs_total", (job, "succeeded", "default")] == 2
    assert found["django_jobs_runs_total", (job, "released", "default")] == 1
    assert found["django_jobs_runs_total", (UNKNOWN_JOB, "succeeded", "default")] == 1
    assert sum(number for (name, _), number in found.items() if name == "django_jobs_runs_total") == 4
    assert found["django_jobs_run_seconds_count", (job, "default")] == 2
    assert found["django_jobs_run_seconds_sum", (job, "default")] == 6
    assert found["django_jobs_wait_seconds_sum", ("default",)] == 2 + 0 + 2, "clocks differ: no wait is negative"
    assert found["django_jobs_ticks_total", ("fired",)] == 2
    assert found["django_jobs_ticks_total", ("missed",)] == 1


def test_queues_beyond_the_first_hundred_share_a_series(counting: Path) -> None:
    observers.tell_runs_ended([_run(SUCCEEDED_WITHOUT_RESULT, queue=f"tenant-{number}") for number in range(130)])
    runs = {labels[2]: number for (name, labels), number in _samples(counting).items() if name.endswith("runs_total")}
    assert (len(runs), runs[OTHER_QUEUE]) == (101, 30)


def test_a_listener_that_fails_is_logged_and_harms_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []

    class Failing:
        def runs_ended(self, runs: Any) -> None:
            raise ValueError("full")

        ticks_decided = runs_ended

    class Working:
        runs_ended = ticks_decided = told.append

    monkeypatch.setattr(observers, "listeners", [Failing(), Working()])
    observers.tell_runs_ended([1])
    observers.tell_ticks_decided({"fired": 1})
    assert told == [[1], {"fired": 1}]
    assert caplog.text.count("ValueError: full") == 2
