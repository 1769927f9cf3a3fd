"""What an enqueue does that meets a job which holds its key, and when a job that is put off again is due."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, assert_never
from uuid import UUID

from .states import WAITING_STATES, State

MAX_KEY_LENGTH = 255
UNIQUE_STATES = WAITING_STATES | {State.RUNNING}
"""The states in which a job can be unique: what has ended stands in nobody's way."""
UNIQUE_KEY_TTL = timedelta(days=1)
"""After so long it is looked up whether the job of a unique key still holds it; the row goes where it does not."""


class KeyKind(StrEnum):
    """What a key is for. The values are stored."""

    IDEMPOTENCY = "idempotency"
    """The same request twice: whatever became of the first job, for a time."""
    UNIQUE = "unique"
    """One job at a time: while it is in certain states."""


class OnConflict(StrEnum):
    """What becomes of the job that holds the key, and of the new arguments."""

    SKIP = "skip"
    REPLACE = "replace"
    RESCHEDULE = "reschedule"


class ConflictDecision(StrEnum):
    """What to do with one enqueue."""

    ENQUEUE = "enqueue"
    """Nothing holds the key any more: take it over."""
    SKIP = "skip"
    REPLACE = "replace"
    """The waiting job gets the new arguments, and the time for which this enqueue asks."""
    RESCHEDULE = "reschedule"
    """The waiting job gets that time only."""


class NewKey(NamedTuple):
    """A key that one new job is to hold. ``states`` are those in which a job holds it.

    ``seconds`` is how long the row is kept at least; ``expires``: after that it holds no more, in whatever state.
    """

    digest: str
    kind: str
    job_name: str
    text: str
    states: tuple[str, ...]
    seconds: float
    expires: bool


class ConflictRule(NamedTuple):
    """What to do where a job holds the key. ``max_wait``: no job is put off for longer than that after its enqueue."""

    on_conflict: OnConflict = OnConflict.SKIP
    max_wait: timedelta | None = None


def key_digest(*parts: str) -> str:
    """Return a hash as the 32 hexadecimal digits of a UUID; where one part ends and the next begins counts.

    MariaDB's own type refuses what has not a UUID's version and variant, so 122 bits are the hash's.
    """
    text = json.dumps(parts, ensure_ascii=True)
    return UUID(bytes=hashlib.blake2b(text.encode(), digest_size=16).digest(), version=5).hex


def canonical_json(value: Any) -> str:
    """Return JSON ``value`` as the one text that equal values have, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decide_conflict(
    on_conflict: OnConflict, *, holder: State | None, states: Collection[str]
) -> ConflictDecision:
    """Return what to do where ``holder`` is the state of the job that holds the key, None where it is gone.

    What runs cannot be changed any more: where running jobs hold the key, the enqueue is skipped.
    """
    if holder is None or holder not in states:
        return ConflictDecision.ENQUEUE
    if holder not in WAITING_STATES:
        return ConflictDecision.SKIP
    match on_conflict:
        case OnConflict.SKIP:
            return ConflictDecision.SKIP
        case OnConflict.REPLACE:
            return ConflictDecision.REPLACE
        case OnConflict.RESCHEDULE:
            return ConflictDecision.RESCHEDULE
        case _:
            assert_never(on_conflict)


def rescheduled_due(
    due: datetime, *, now: datetime, enqueued_at: datetime, max_wait: timedelta | None
) -> datetime | None:
    """Return when a job is due that is put off until ``due``; None for at once.

    ``max_wait`` bounds it to so long after the job was enqueued: a burst that never ends runs now and then.
    """
    if max_wait is not None:
        due = min(due, enqueued_at + max_wait)
    return due if due > now else None
