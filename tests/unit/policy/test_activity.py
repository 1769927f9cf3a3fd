"""Reports of what a worker runs: their form in the worker's row, and how they age."""

from __future__ import annotations

from typing import Any

import pytest

from django_jobs.policy.activity import (
    MAX_RUNS,
    THREAD,
    Activity,
    Load,
    ReportedRun,
    current_load,
    oldest_first,
    read_activity,
)

RUN = ReportedRun(7, 2, 1_000.5, THREAD)


def test_a_report_is_read_as_it_was_written() -> None:
    report = Activity(threads=1, async_runs=2, async_capacity=100, claimed=9, runs=(RUN,))

    read = read_activity(report.as_json())

    assert read == report
    assert read.find(7, 2) == RUN
    assert read.find(7, 3) is None, "another run of the same job"


@pytest.mark.parametrize("value", [None, 5, "text", [], {}, {"runs": 3}, {"runs": [[1]]}, {"runs": [], "new": 1}])
def test_a_row_without_a_readable_report_has_none(value: Any) -> None:
    assert read_activity(value) is None


def test_only_the_longest_runs_are_reported() -> None:
    runs = [ReportedRun(at, 1, 1_000.0 - at, THREAD) for at in range(MAX_RUNS + 1)]

    assert oldest_first(runs) == tuple(reversed(runs[1:]))


BUSY = Activity(threads=8, async_runs=2, async_capacity=100, claimed=45)


@pytest.mark.parametrize(
    ("claimed", "started", "load"),
    [
        (45, 10, Load(8, 2, 35)),
        (45, 0, Load(8, 2, 35)),  # all that ran have ended, and others have begun
        (3, 3, Load(3, 0, 0)),  # the rest has ended
        (0, 0, Load(0, 0, 0)),
        (500, 490, Load(8, 2, 10)),  # a chunk is many jobs in one thread
    ],
)
def test_a_report_ages_with_the_jobs_that_the_worker_has(claimed: int, started: int, load: Load) -> None:
    assert current_load(BUSY, claimed=claimed, started=started) == load
