"""Decide the state of a batch and which of its callbacks are due."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

MAX_DESCRIPTION_LENGTH = 200


class BatchState(StrEnum):
    """State of a batch, as stored in the database."""

    OPEN = "open"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_BATCH_STATES = frozenset({BatchState.SUCCEEDED, BatchState.FAILED, BatchState.CANCELLED})


class Callback(StrEnum):
    """The callbacks that a batch may enqueue when it ends, in the order in which it does."""

    ON_SUCCESS = "on_success"
    ON_FAILURE = "on_failure"
    ON_COMPLETE = "on_complete"


class Counts(NamedTuple):
    """Number of members of a batch (jobs and nested batches), and how many have ended in which way."""

    total: int = 0
    succeeded: int = 0
    dead: int = 0
    cancelled: int = 0

    @property
    def waiting(self) -> int:
        """How many have not ended. Briefly negative if a member's end is counted before its addition."""
        return self.total - self.succeeded - self.dead - self.cancelled

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(own + added for own, added in zip(self, other, strict=True)))


def are_wrong(counts: Counts, *, members: Counts) -> bool:
    """Tell whether a batch's counts contradict its existing members. Ended members may have been pruned, others not."""
    if counts.waiting != members.waiting:
        return True
    if counts.total == members.total:
        return counts != members
    return any(counted < existing for counted, existing in zip(counts, members, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchFacts:
    """Facts about a batch. ``outcome``: the state in which it last ended, None before it first ended."""

    counts: Counts
    is_closed: bool
    is_abandoned: bool = False
    is_cancelled: bool = False
    outcome: BatchState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDecision:
    """The state of a batch, and the callbacks to enqueue now."""

    state: BatchState
    callbacks: tuple[Callback, ...] = ()

    @property
    def has_ended(self) -> bool:
        """True if every member has ended and the batch is closed."""
        return self.state in FINAL_BATCH_STATES


def decide_batch(facts: BatchFacts) -> BatchDecision:
    """Return the state of a batch and the callbacks that are due.

    A batch ends when it is closed and every member has ended. It has failed if a member is dead or its builder
    died before closing it; it is cancelled if it or one of its jobs was cancelled and none is dead; else, also if
    empty, it has succeeded. ``on_complete`` and ``on_failure`` are due at the first end only, ``on_success`` at the
    first success, which may come later, after dead jobs were redriven.
    """
    if not facts.is_closed:
        return BatchDecision(state=BatchState.OPEN)
    if facts.counts.waiting > 0:
        return BatchDecision(state=BatchState.RUNNING)
    state = _final_state(facts)
    return BatchDecision(
        state=state,
        callbacks=tuple(callback for callback in Callback if _is_due(callback, state, facts.outcome)),
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
    """Return the change of the parent batch's counts when this one's outcome becomes ``after``."""
    if before is after:
        return Counts()
    removed = _as_member(before) if before else Counts()
    return _as_member(after).plus(Counts(*(-number for number in removed)))


def _as_member(outcome: BatchState) -> Counts:
    match outcome:
        case BatchState.SUCCEEDED:
            return Counts(succeeded=1)
        case BatchState.FAILED:
            return Counts(dead=1)
        case _:
            return Counts(cancelled=1)


def accepts_jobs(facts: BatchFacts) -> bool:
    """Tell whether jobs may be added: until it is cancelled or ends, and while it runs again after a failure."""
    if facts.is_cancelled or facts.outcome in {BatchState.SUCCEEDED, BatchState.CANCELLED}:
        return False
    return facts.outcome is None or facts.counts.waiting > 0
