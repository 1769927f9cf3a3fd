"""The seven states of a job and the legal transitions between them.

::

                 +-----------> cancelled <-----------+
                 |                 ^                 |
     enqueue --> scheduled --promote--> ready --claim--> running --finish--> succeeded
            \\--> ready            ^        ^             |  |  |
            \\--> blocked --release+        |             |  |  +--attempts used up / discard--> dead
                                           +--release----+  |                                    |
                 scheduled <----retry with backoff, snooze--+            ready <----redrive------+

``TRANSITIONS`` is authoritative: tests compare the code, the database constraint and the docs with it.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """State of a job, as stored in the database."""

    BLOCKED = "blocked"
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    DEAD = "dead"


FINAL_STATES = frozenset({State.SUCCEEDED, State.CANCELLED, State.DEAD})
WAITING_STATES = frozenset({State.BLOCKED, State.SCHEDULED, State.READY})

TRANSITIONS: dict[str, frozenset[tuple[State, State]]] = {
    "release": frozenset({(State.BLOCKED, State.READY)}),
    "promote": frozenset({(State.SCHEDULED, State.READY), (State.SCHEDULED, State.BLOCKED)}),
    "revoke": frozenset({(State.READY, State.BLOCKED)}),
    "claim": frozenset({(State.READY, State.RUNNING)}),
    "finish": frozenset(
        {
            (State.RUNNING, State.SUCCEEDED),
            (State.RUNNING, State.CANCELLED),
            (State.RUNNING, State.DEAD),
            (State.RUNNING, State.SCHEDULED),
            (State.RUNNING, State.READY),
            (State.RUNNING, State.BLOCKED),
        }
    ),
    "rescue": frozenset({(State.RUNNING, State.READY), (State.RUNNING, State.BLOCKED), (State.RUNNING, State.DEAD)}),
    "cancel": frozenset((state, State.CANCELLED) for state in WAITING_STATES),
    "redrive": frozenset({(State.DEAD, State.READY), (State.DEAD, State.BLOCKED)}),
    "run_now": frozenset({(State.SCHEDULED, State.READY), (State.SCHEDULED, State.BLOCKED)}),
    "reschedule": frozenset(
        {
            (State.SCHEDULED, State.READY),
            (State.SCHEDULED, State.BLOCKED),
            (State.READY, State.SCHEDULED),
            (State.READY, State.BLOCKED),
            (State.BLOCKED, State.SCHEDULED),
            (State.BLOCKED, State.READY),
        }
    ),
}
"""Verb -> the (from, to) pairs it may make. Each verb is one file in ``store/``."""


def is_legal(verb: str, before: State, after: State) -> bool:
    """Tell whether ``verb`` may move a job from ``before`` to ``after``."""
    return (before, after) in TRANSITIONS.get(verb, frozenset())


def source_states(verb: str, after: State | None = None) -> frozenset[State]:
    """Return the states that ``verb`` may change; with ``after``, only those it may change to ``after``."""
    return frozenset(old for old, new in TRANSITIONS[verb] if after is None or new == after)


APPLICABLE_STATES: dict[str, frozenset[State]] = {
    "run_now": source_states("run_now"),
    "retry": source_states("redrive") | source_states("run_now"),
    "cancel": source_states("cancel") | {State.RUNNING},
    "purge": FINAL_STATES,
    "move": WAITING_STATES,
    "set_priority": WAITING_STATES,
}
"""Operation of staff on jobs -> the states in which it does something."""
