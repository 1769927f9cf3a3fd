"""The runtime that all runs of a process share, and the record of one run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from ...arguments.metadata import read_metadata
from ...conf import Settings
from ...context import JobContext
from ...policy.decide import DecisionSettings
from ...policy.prefetch import RunTimes
from ...registry import DefinedJob
from ...store.clock import DatabaseClock
from ...store.dialects.base.jobs import Claim
from ..forked_copies import fork_count
from ..options import PROCESSES, WorkerOptions
from .cancellation import Interrupts
from .events import ProgressUpdate, RunEvents, WorkerEvents
from .run_log import LogSaver, RunLog
from .timeouts import Watchdog


@dataclass(slots=True, kw_only=True)
class RunContext:
    """Runtime shared by all runs of a process: settings, clock, worker id, watchdog, events.

    Only ``worker_id`` changes: a worker that was declared lost goes on under a new one.
    """

    settings: Settings
    events: RunEvents
    worker_id: int = 0
    clock: DatabaseClock = field(default_factory=DatabaseClock)
    watchdog: Watchdog = field(default_factory=Watchdog)
    interrupts: Interrupts = field(default_factory=Interrupts)
    random: random.Random = field(default_factory=random.SystemRandom)
    log_saver: LogSaver | None = field(default_factory=LogSaver)
    using: str = field(init=False)
    rules: DecisionSettings = field(init=False)

    def __post_init__(self) -> None:
        self.using = self.settings.database
        self.rules = self.settings.worker.rules


@dataclass(slots=True, kw_only=True)
class WorkerContext(RunContext):
    """RunContext of a worker process, with its options and the state that its parts share.

    ``active_claims``: claimed and not yet finished, by job id. ``seen_queues``: that ever had ready jobs.
    """

    options: WorkerOptions
    events: WorkerEvents
    active_claims: dict[int, Claim] = field(default_factory=dict)
    seen_queues: frozenset[str] = frozenset()
    run_times: RunTimes = field(init=False)

    def __post_init__(self) -> None:
        RunContext.__post_init__(self)
        self.run_times = RunTimes(unknown_seconds=self.settings.worker.prefetch_horizon.total_seconds())

    @property
    def isolates_all(self) -> bool:
        """True if every job runs in a job process (``--pool processes``)."""
        return self.options.pool == PROCESSES

    def isolates(self, claim: Claim) -> bool:
        """Tell whether a job runs in a job process: any job of that pool, or one that workers died of.

        Such a suspect dies alone: no neighbour is counted as its victim.
        """
        return self.isolates_all or self.rules.needs_isolation(claim.worker_deaths)


@dataclass(slots=True, repr=False)
class Run:
    """One run of a claimed job. The steps of ``run.py`` fill it in.

    ``arguments`` are the loaded values by name, ``args`` and ``kwargs`` the same as the function takes them.
    ``started`` becomes None if the function is not called. ``is_called``: the function was called, or nearly. ``forks``
    tells copies of this process, made by code of the project, which must not go on with the run.
    """

    claim: Claim
    context: RunContext
    started: float | None = None
    definition: DefinedJob = field(init=False)
    job: JobContext = field(init=False)
    log: RunLog | None = None
    arguments: Any = None
    args: list[Any] = field(init=False)
    kwargs: dict[str, Any] = field(init=False)
    timeout_seconds: float | None = None
    is_called: bool = False
    forks: int = field(default_factory=fork_count)

    def __repr__(self) -> str:
        """Leave out the arguments: this appears in logs and error mails."""
        return f"<run of {self.claim!r}>"

    def end_log(self) -> None:
        """Have the unsaved log lines saved; later ones are dropped."""
        if self.log is not None:
            self.log.end()


def create_run_log(claim: Claim, context: RunContext) -> RunLog | None:
    """Return the log of a run, None if the settings keep none."""
    settings = context.settings.logs
    if not settings.max_lines:
        return None
    return RunLog(claim, settings=settings, clock=context.clock, events=context.events, saver=context.log_saver)


def create_job_context(claim: Claim, context: RunContext, *, log: RunLog | None = None) -> JobContext:
    """Return the JobContext of a run. Raises SerializationError if its metadata is no JSON object."""
    return JobContext(
        job_id=claim.job_id,
        name=claim.name,
        queue_name=claim.queue_name,
        priority=claim.priority,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        enqueued=claim.enqueued,
        metadata=read_metadata(claim.metadata),
        save=lambda fields: context.events.progress(ProgressUpdate(claim, fields)),
        log=log,
    )
