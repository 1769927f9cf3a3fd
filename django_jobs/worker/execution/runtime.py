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
from ...policy.decide import Rules
from ...policy.log_lines import KeptLines
from ...store.clock import DatabaseClock
from ...store.dialects.base.jobs import Claim, Ended
from .cancellation import Interrupts
from .run_log import LogSaver, RunLog
from .timeouts import Watchdog


class Note(NamedTuple):
    """What a running job says of itself: progress or metadata fields to be saved while its claim stands."""

    claim: Claim
    fields: dict[str, Any]


class LogNote(NamedTuple):
    """That a run has logged more: ``lines`` returns what to save of it, as of the moment when it is called."""

    claim: Claim
    lines: Callable[[], KeptLines]


class Settled(NamedTuple):
    """A run whose end is saved already: ``ended`` is None where its claim was lost and all rolled back."""

    claim: Claim
    ended: Ended | None


def _hear_log() -> Callable[[RunLog], None]:
    return LogSaver().put


@dataclass(slots=True, kw_only=True)
class Bench:
    """What every run needs of its worker. ``note`` takes progress without waiting for the database."""

    using: str
    settings: Settings
    clock: DatabaseClock
    worker_id: Callable[[], int]
    note: Callable[[Note | LogNote], None]
    watchdog: Watchdog = field(default_factory=Watchdog)
    interrupts: Interrupts = field(default_factory=Interrupts)
    random: random.Random = field(default_factory=random.SystemRandom)
    hear_log: Callable[[RunLog], None] = field(default_factory=_hear_log)
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        self.rules = self.settings.rules


class Call(NamedTuple):
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


def log_of(claim: Claim, bench: Bench) -> RunLog | None:
    """Return what takes the lines that a run logs, None where none are kept."""
    if not bench.settings.max_log_lines:
        return None
    return RunLog(
        most=bench.settings.max_log_lines,
        longest=bench.settings.max_log_line_length,
        clock=bench.clock,
        news=bench.hear_log,
        tell=lambda lines: bench.note(LogNote(claim, lines)),
    )


def context_of(claim: Claim, bench: Bench, *, log: RunLog | None = None) -> JobContext:
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
        save=lambda fields: bench.note(Note(claim, fields)),
        log=log,
    )
