"""What state a batch is in, and which of its callbacks are due: the rules of a batch's end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MAX_DESCRIPTION_LENGTH = 200


class BatchState(StrEnum):
    """Where a batch stands. The values are what the database stores."""

    OPEN = "open"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_BATCH_STATES = frozenset({BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED})


class Callback(StrEnum):
    """The three jobs that a batch may enqueue at its end, in the order in which they are."""

    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    ON_COMPLETE = "on_complete"


class Counts(NamedTuple):
    """How many members a batch has, its jobs and the batches inside it, and how many of them ended how."""

    total: int = 0
    succeeded: int = 0
    dead: int = 0
    cancelled: int = 0

    @property
    def waiting(self) -> int:
        """How many have not ended. Below zero for an instant only, where an end is seen before its beginning."""
        return self.total - self.succeeded - self.dead - self.cancelled

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(one + another for one, another in zip(self, other, strict=True)))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """What a verdict needs to know. ``outcome`` is the state in which the batch ended last, None before it did."""

    counts: Counts
    is_closed: bool
    is_abandoned: bool = False
    is_cancelled: bool = False
    outcome: BatchState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDecision:
    """The state that a batch is in, and the callbacks to be enqueued now."""

    state: BatchState
    callbacks: tuple[Callback, ...] = ()

    @property
    def has_ended(self) -> bool:
        """True where every member has ended and nothing is added any more."""
        return self.state in FINAL_BATCH_STATES


def decide_batch(facts: BatchFacts) -> BatchDecision:
    """Return where a batch stands.

    It ends when it is closed and every member has ended: a failure where one is dead, or where its builder
    died before it was closed; cancelled where somebody cancelled it, or one of its jobs, and none is dead; a
    success otherwise, an empty batch too. ``on_complete`` and ``on_failure`` are due at the first end only,
    ``on_success`` at the first success, which may come later, when what was dead was redriven.
    """
    if not facts.is_closed:
        return BatchDecision(state=BatchState.OPEN)
    if facts.counts.waiting > 0:
        return BatchDecision(state=BatchState.RUNNING)
    state = _final_state(facts)
    return BatchDecision(
        state=state, callbacks=tuple(one for one in Callback if _is_due(one, state, facts.outcome))
    )


def _final_state(facts: BatchFacts) -> BatchState:
    if facts.is_cancelled:
        return BatchState.CANCELLED
    if facts.is_abandoned or facts.counts.dead > 0:
        return BatchState.FAILED
    return BatchState.CANCELLED if facts.counts.cancelled > 0 else BatchState.SUCCEEDED


def _is_due(callback: Callback, state: BatchState, outcome: BatchState | None) -> bool:
    match callback:
        case Callback.ON_SUCCESS:
            return state is BatchState.SUCCEEDED and outcome is not BatchState.SUCCEEDED
        case Callback.ON_FAILURE:
            return state is BatchState.FAILED and outcome is None
        case Callback.ON_COMPLETE:
            return outcome is None


def parent_count_delta(before: BatchState | None, after: BatchState) -> Counts:
    """Return what is added to the counts of the batch around this one when its outcome becomes ``after``."""
    if before is after:
        return Counts()
    gone = _as_member(before) if before else Counts()
    return _as_member(after).plus(Counts(*(-number for number in gone)))


def _as_member(outcome: BatchState) -> Counts:
    match outcome:
        case BatchState.SUCCEEDED:
            return Counts(succeeded=1)
        case BatchState.FAILED:
            return Counts(dead=1)
        case _:
            return Counts(cancelled=1)


def accepts_jobs(facts: BatchFacts) -> bool:
    """Tell whether jobs may be added: until it was cancelled or has ended; after a failure while it runs again."""
    if facts.is_cancelled or facts.outcome in {BatchState.SUCCEEDED, BatchState.CANCELLED}:
        return False
    return facts.outcome is None or facts.counts.waiting > 0
