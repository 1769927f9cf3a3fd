"""Reports of a worker about its runs: which have begun, since when and where, and how busy it is.

A worker claims jobs ahead. Those that no executor has taken yet are in hand: claimed, and not begun.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

MAX_RUNS = 200
"""Runs in a report, the longest first."""
THREAD, ASYNC, PROCESS = "thread", "async", "process"


class ReportedRun(NamedTuple):
    """A run that an executor has begun, at ``started`` seconds since the epoch; ``place`` is one of the three above."""

    job_id: int
    claim_number: int
    started: float
    place: str

    @property
    def run_started_at(self) -> datetime:
        """When it began, by the database's clock."""
        return datetime.fromtimestamp(self.started, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A report. ``threads`` and ``async_runs`` are busy; ``claimed`` counts begun jobs and those in hand."""

    threads: int = 0
    async_runs: int = 0
    async_capacity: int = 0
    claimed: int = 0
    runs: tuple[ReportedRun, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as the column of the worker's row has it."""
        return {
            "threads": self.threads,
            "async_runs": self.async_runs,
            "async_capacity": self.async_capacity,
            "claimed": self.claimed,
            "runs": [list(run) for run in self.runs],
        }

    def find(self, job_id: int, claim_number: int) -> ReportedRun | None:
        """Return a run if it had begun."""
        return next((run for run in self.runs if run[:2] == (job_id, claim_number)), None)


def read_activity(value: Any) -> Activity | None:
    """Return the report of a worker's row; None if there is none, or none that can be read."""
    try:
        return Activity(**{**value, "runs": tuple(ReportedRun(*run) for run in value["runs"])})
    except (TypeError, KeyError):
        return None


def oldest_first(runs: Iterable[ReportedRun]) -> tuple[ReportedRun, ...]:
    """Return the runs for a report: as many as it may have, in order of their beginning."""
    return tuple(sorted(runs, key=lambda run: run.started)[:MAX_RUNS])


class Load(NamedTuple):
    """How busy a worker is: executors that run a job, and claimed jobs that none runs."""

    threads: int
    async_runs: int
    in_hand: int


def current_load(report: Activity, *, claimed: int, started: int) -> Load:
    """Combine a report with what has happened since: the worker has ``claimed`` jobs now, ``started`` of the reported.

    Short jobs have ended since the report and others have taken their places: the reported numbers stay as far as
    there are jobs. A chunk is many jobs in one thread.
    """
    threads = min(report.threads, claimed)
    async_runs = min(report.async_runs, claimed - threads)
    return Load(threads, async_runs, max(claimed - max(threads + async_runs, started), 0))
