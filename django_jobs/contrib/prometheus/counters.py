"""Count runs and ticks in this process, as a listener of what the worker has saved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ... import registry
from ...conf import get_settings
from ...conf.database import current_database
from ...observers import listeners
from ...policy.outcomes import AttemptOutcome
from .bounded_names import BoundedNames
from .client import import_client
from .names import BUCKETS, RUN, RUNS, TICKS, UNKNOWN_JOB, WAIT
from .value_files import count_in_files

if TYPE_CHECKING:
    from ...store.dialects.base.jobs import FinishedRun

QUEUES_FILE = "queues"
NOT_TIMED = frozenset({AttemptOutcome.RELEASED, AttemptOutcome.SNOOZED})
"""Ends at which the function was interrupted, or had nothing to do: their times say nothing, as in the statistics."""


class RunCounter:
    """Counts in the files of a directory. Its metrics are in no registry: the page reads the files."""

    def __init__(self, directory: Path) -> None:
        client = import_client()
        self._has_many_databases = get_settings().has_many_databases
        runs, wait, run, ticks = (
            metric.of_each_database if self._has_many_databases else metric for metric in (RUNS, WAIT, RUN, TICKS)
        )
        self._queues = BoundedNames(directory / QUEUES_FILE)
        self._runs = client.Counter(runs.name, runs.help, runs.labels, registry=None)
        self._waits = client.Histogram(wait.name, wait.help, wait.labels, registry=None, buckets=BUCKETS)
        self._durations = client.Histogram(run.name, run.help, run.labels, registry=None, buckets=BUCKETS)
        self._ticks = client.Counter(ticks.name, ticks.help, ticks.labels, registry=None)

    def runs_ended(self, runs: Sequence[FinishedRun]) -> None:
        """Count the runs that are attempts, and the times of those that ended by themselves."""
        database = self._database_labels()
        numbers: Counter[tuple[str, str, str]] = Counter()
        for claim, decision, started, finished, _ in runs:
            outcome = decision.attempt_outcome
            if outcome is None:
                continue
            job, queue = _job_label(claim.name), self._queues.label(claim.queue_name)
            numbers[job, queue, outcome.value] += 1
            if started is not None and outcome not in NOT_TIMED:
                self._waits.labels(*database, queue).observe(max(started - claim.ready, 0.0))
                self._durations.labels(*database, job, queue).observe(max(finished - started, 0.0))
        for labels, number in numbers.items():
            self._runs.labels(*database, *labels).inc(number)

    def ticks_decided(self, numbers: Mapping[str, int]) -> None:
        """Count ticks."""
        database = self._database_labels()
        for outcome, number in numbers.items():
            self._ticks.labels(*database, outcome).inc(number)

    def _database_labels(self) -> tuple[str, ...]:
        """Return the database that this thread works for, if jobs are in several."""
        return (current_database(),) if self._has_many_databases else ()


def count_in(directory: str) -> None:
    """Count all runs and ticks of this process, and of those that it forks, in the directory."""
    count_in_files(directory)
    stop_counting()
    listeners.append(RunCounter(Path(directory)))


def stop_counting() -> None:
    """Count no more."""
    listeners[:] = [listener for listener in listeners if not isinstance(listener, RunCounter)]


@lru_cache(maxsize=10_000)
def _job_label(name: str) -> str:
    """Return the name of a registered job: what others put into the table is no series."""
    return name if registry.find(name) is not None else UNKNOWN_JOB
