"""The runtime that all runs of a process share, and the record of one run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...arguments.metadata import read_metadata
from ...conf import Settings
from ...context import JobContext
from ...hooks import AroundHook, around_hooks
from ...policy.decide import DecisionSettings
from ...policy.metadata import RESERVED_KEYS
from ...policy.prefetch import RunTimes
from ...registry import DefinedJob
from ...store.clock import DatabaseClock
from ...store.dialects.base.jobs import Claim, StartedRun
from ..options import PROCESSES, WorkerOptions
from ..system.forked_copies import fork_count
from .cancellation import Interrupts
from .events import ProgressUpdate, RunEvents, WorkerEvents
from .run_log import LogSaver, RunLog
from .timeouts import Watchdog


@dataclass(slots=True, kw_only=True)
class RunContext:
    """Runtime shared by all runs of a process: settings, clock, worker id, watchdog, events, hooks.

    Only ``worker_id`` changes, if a worker that was declared lost goes on under a new one, and ``hooks``, before the
    first run. ``on_exception`` is called with
    each exception that ends a run, while it is alive. Raises ConfigurationError for a wrong hook.
    """

    settings: Settings
    events: RunEvents
    worker_id: int = 0
    clock: DatabaseClock = field(default_factory=DatabaseClock)
    watchdog: Watchdog = field(default_factory=Watchdog)
    interrupts: Interrupts = field(default_factory=Interrupts)
    random: random.Random = field(default_factory=random.SystemRandom)
    log_saver: LogSaver | None = field(default_factory=LogSaver)
    on_exception: Callable[[Claim, BaseException], object] | None = None
    hooks: tuple[AroundHook, ...] = field(default_factory=around_hooks)
    using: str = field(init=False)
    rules: DecisionSettings = field(init=False)

    def __post_init__(self) -> None:
        self.using = self.settings.database
        self.rules = self.settings.worker.rules

    def end_threads(self) -> None:
        """End the threads that runs have started."""
        self.watchdog.close()
        if self.log_saver is not None:
            self.log_saver.close()

    def report_exception(self, claim: Claim, error: BaseException) -> None:
        """Tell the exception of a run, or of a hook after its commit, to whoever wants to know."""
        if self.on_exception is not None:
            self.on_exception(claim, error)


@dataclass(slots=True, kw_only=True)
class WorkerContext(RunContext):
    """RunContext of a worker process, with its options and the state that its parts share.

    ``active_claims``: claimed and not yet finished, by job id. ``seen_queues``: that ever had ready jobs.
    ``counts_as_lost_at``: when others may declare this worker lost unless a heartbeat is saved (monotonic seconds).
    """

    options: WorkerOptions
    events: WorkerEvents
    active_claims: dict[int, Claim] = field(default_factory=dict)
    seen_queues: frozenset[str] = frozenset()
    counts_as_lost_at: float = math.inf
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
        return self.isolates_all or (claim.worker_deaths > 0 and self.rules.needs_isolation(claim.worker_deaths))


@dataclass(slots=True, repr=False)
class Run:
    """One run of a claimed job. The steps of ``run.py`` fill it in.

    ``arguments`` are the loaded values by name, ``args`` and ``kwargs`` the same as the function takes them.
    ``context_argument``: ``job`` as functions of this kind of job take it. ``started`` becomes None if the function is
    not called. ``is_called``: the function was called, or nearly. ``error``: what the function raised, until
    that is logged: its traceback holds this run. ``forks`` tells copies of this process, made by code of the project,
    which must not go on with the run.
    """

    claim: Claim
    context: RunContext
    started: float | None = None
    definition: DefinedJob = field(init=False)
    job: JobContext = field(init=False)
    context_argument: Any = field(init=False)
    log: RunLog | None = None
    arguments: Any = None
    args: list[Any] = field(init=False)
    kwargs: dict[str, Any] = field(init=False)
    timeout_seconds: float | None = None
    is_called: bool = False
    error: BaseException | None = None
    forks: int = field(default_factory=fork_count)

    def __repr__(self) -> str:
        """Leave out the arguments: this appears in logs and error mails."""
        return f"<run of {self.claim!r}>"

    def report_exception(self, error: BaseException) -> None:
        """Tell the exception that ends the run to whoever wants to know."""
        self.context.report_exception(self.claim, error)

    def as_started(self) -> StartedRun:
        """Return the run as its observer sees it."""
        started = self.claim.claimed if self.started is None else self.started
        return StartedRun(self.claim, self.context.worker_id, started)

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
    metadata = read_metadata(claim.metadata)
    reserved = {key: metadata.pop(key) for key in RESERVED_KEYS & metadata.keys()} if metadata else None
    return JobContext(
        job_id=claim.job_id,
        name=claim.name,
        queue_name=claim.queue_name,
        priority=claim.priority,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        enqueued=claim.enqueued,
        ready=claim.ready,
        metadata=metadata,
        reserved=reserved,
        stored_arguments=claim.arguments,
        save=lambda fields: context.events.progress(ProgressUpdate(claim, fields)),
        log=log,
        database=context.using,
    )
