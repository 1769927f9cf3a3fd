"""Decide about an enqueue whose key a job holds already, and when a rescheduled job is due."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum
from json.encoder import encode_basestring_ascii
from typing import Any, NamedTuple, assert_never

from .states import WAITING_STATES, State

MAX_KEY_LENGTH = 255
UNIQUE_STATES = WAITING_STATES | {State.RUNNING}
"""The states in which a job can hold a unique key: jobs that have ended hold none."""
UNIQUE_KEY_TTL = timedelta(days=1)
"""After this time a unique key is checked; its row is deleted if the job no longer holds it."""


class KeyKind(StrEnum):
    """Kind of a key, as stored in the database."""

    IDEMPOTENCY = "idempotency"
    """Repeated requests: held for a time, in any state of the first job."""
    UNIQUE = "unique"
    """One job at a time: held while the job is in certain states."""


class OnConflict(StrEnum):
    """The option ``on_conflict``: what happens to the job that holds the key."""

    SKIP = "skip"
    REPLACE = "replace"
    RESCHEDULE = "reschedule"


class ConflictDecision(StrEnum):
    """The decision for one enqueue."""

    ENQUEUE = "enqueue"
    """No job holds the key: take it over."""
    SKIP = "skip"
    REPLACE = "replace"
    """The waiting job gets the arguments and the time of this enqueue."""
    RESCHEDULE = "reschedule"
    """The waiting job gets the time of this enqueue only."""


class NewKey(NamedTuple):
    """A key for a new job. ``states``: those in which the job holds it.

    ``seconds``: how long the row exists at least; ``expires``: after that the key is free in any state.
    """

    digest: str
    kind: str
    job_name: str
    text: str
    states: tuple[str, ...]
    seconds: float
    expires: bool


class ConflictRule(NamedTuple):
    """The rule for a key that a job already holds. ``max_wait``: the job is due at most this long after its enqueue."""

    on_conflict: OnConflict = OnConflict.SKIP
    max_wait: timedelta | None = None


def key_digest(*parts: str) -> str:
    """Return a hash of the parts as the 32 hexadecimal digits of a UUID.

    MariaDB's UUID type requires a valid version and variant, so 122 bits are the hash's. The boundaries of the
    parts are part of the hash.
    """
    text = f"[{', '.join(map(encode_basestring_ascii, parts))}]"  # as json.dumps writes it, in a third of the time
    digest = bytearray(hashlib.blake2b(text.encode(), digest_size=16).digest())
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # the variant of RFC 9562
    return digest.hex()


def canonical_json(value: Any) -> str:
    """Return JSON ``value`` as text that is equal for equal values, whatever the order of keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def decide_conflict(on_conflict: OnConflict, *, holder: State | None, states: Collection[str]) -> ConflictDecision:
    """Return what to do; ``holder`` is the state of the job that holds the key, None if it was deleted.

    A running job cannot be changed: if it holds the key, the enqueue is skipped.
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
    """Return when a job that is rescheduled to ``due`` becomes due; None: now.

    ``max_wait`` bounds the wait since its enqueue, so that an endless burst still runs now and then.
    """
    if max_wait is not None:
        due = min(due, enqueued_at + max_wait)
    return due if due > now else None
