"""The values that a run is made of: what it needs, what it calls, and what it leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ...arguments.serialization import as_object, read_json
from ...conf import Settings
from ...context import JobContext
from ...definition import JobDefinition
from ...policy.decide import DecisionSettings
from ...policy.log_lines import LogExcerpt
from ...store.clock import DatabaseClock
from ...store.dialects.base.jobs import Claim, FinishedRun
from .cancellation import Interrupts
from .run_log import LogSaver, RunLog
from .timeouts import Watchdog


class ProgressUpdate(NamedTuple):
    """What a running job says of itself: progress or metadata fields to be saved while its claim stands."""

    claim: Claim
    fields: dict[str, Any]


class LogUpdate(NamedTuple):
    """That a run has logged more: ``lines`` returns what to save of it, as of the moment when it is called."""

    claim: Claim
    lines: Callable[[], LogExcerpt]


class CommittedRun(NamedTuple):
    """A run whose end is saved already: ``ended`` is None where its claim was lost and all rolled back."""

    claim: Claim
    ended: FinishedRun | None


def _default_log_sink() -> Callable[[RunLog], None]:
    return LogSaver().put


@dataclass(slots=True, kw_only=True)
class RunContext:
    """What every run needs of its worker. ``send_update`` takes progress without waiting for the database."""

    using: str
    settings: Settings
    clock: DatabaseClock
    worker_id: Callable[[], int]
    send_update: Callable[[ProgressUpdate | LogUpdate], None]
    watchdog: Watchdog = field(default_factory=Watchdog)
    interrupts: Interrupts = field(default_factory=Interrupts)
    random: random.Random = field(default_factory=random.SystemRandom)
    on_log_lines: Callable[[RunLog], None] = field(default_factory=_default_log_sink)
    rules: DecisionSettings = field(init=False)

    def __post_init__(self) -> None:
        self.rules = self.settings.worker.rules


class PreparedCall(NamedTuple):
    """A job about to be called: its definition, the arguments read back, its context and its time limit."""

    claim: Claim
    definition: JobDefinition[Any, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    context: JobContext
    timeout_seconds: float | None
    log: RunLog | None = None

    def __repr__(self) -> str:
        """Leave the arguments out: this stands in logs and error mails."""
        return f"<call for {self.claim!r}>"


def create_run_log(claim: Claim, run_context: RunContext) -> RunLog | None:
    """Return what takes the lines that a run logs, None where none are kept."""
    if not run_context.settings.logs.max_lines:
        return None
    return RunLog(
        max_lines=run_context.settings.logs.max_lines,
        max_line_length=run_context.settings.logs.max_line_length,
        clock=run_context.clock,
        on_new_lines=run_context.on_log_lines,
        request_save=lambda lines: run_context.send_update(LogUpdate(claim, lines)),
    )


def create_job_context(claim: Claim, run_context: RunContext, *, log: RunLog | None = None) -> JobContext:
    """Return what a job sees of its own run. Raises SerializationError where its metadata is no JSON object."""
    return JobContext(
        job_id=claim.job_id,
        name=claim.name,
        queue_name=claim.queue_name,
        priority=claim.priority,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        enqueued=claim.enqueued,
        metadata={} if claim.metadata == "{}" else as_object(read_json(claim.metadata), "metadata"),
        save=lambda fields: run_context.send_update(ProgressUpdate(claim, fields)),
        log=log,
    )
