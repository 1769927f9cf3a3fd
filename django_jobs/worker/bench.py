"""The values that a run is made of: what it needs, what it calls, and what it leaves behind."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..conf import Settings
from ..context import JobContext
from ..definition import JobDefinition
from ..policy.decide import Rules
from ..serialization import as_object, read_json
from ..store.clock import DatabaseClock
from ..store.dialects.base import Claim, Ended
from .interrupts import Interrupts
from .timeouts import Watchdog


class Note(NamedTuple):
    """What a running job says of itself: progress or metadata fields to be saved while its claim stands."""

    claim: Claim
    fields: dict[str, Any]


class Settled(NamedTuple):
    """A run whose end is saved already: ``ended`` is None where its claim was lost and all rolled back."""

    claim: Claim
    ended: Ended | None


@dataclass(slots=True, kw_only=True)
class Bench:
    """What every run needs of its worker. ``note`` takes progress without waiting for the database."""

    using: str
    settings: Settings
    clock: DatabaseClock
    worker_id: Callable[[], int]
    note: Callable[[Note], None]
    watchdog: Watchdog = field(default_factory=Watchdog)
    interrupts: Interrupts = field(default_factory=Interrupts)
    random: random.Random = field(default_factory=random.SystemRandom)
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

    def __repr__(self) -> str:
        """Leave the arguments out: this stands in logs and error mails."""
        return f"<call for {self.claim!r}>"


def context_of(claim: Claim, bench: Bench) -> JobContext:
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
    )
