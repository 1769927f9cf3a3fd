"""States of tasks in Celery's words, and which state of a job each of them is."""

from __future__ import annotations

from ...policy.states import State

PENDING, STARTED, RETRY = "PENDING", "STARTED", "RETRY"
SUCCESS, FAILURE, REVOKED = "SUCCESS", "FAILURE", "REVOKED"
RECEIVED, REJECTED, IGNORED = "RECEIVED", "REJECTED", "IGNORED"
"""Never the state of a job; a job that a worker has claimed is STARTED."""

READY_STATES = frozenset({SUCCESS, FAILURE, REVOKED})
UNREADY_STATES = frozenset({PENDING, RECEIVED, STARTED, RETRY})
EXCEPTION_STATES = frozenset({RETRY, FAILURE, REVOKED})
PROPAGATE_STATES = frozenset({FAILURE, REVOKED})
ALL_STATES = READY_STATES | UNREADY_STATES

_OF_JOB = {
    State.BLOCKED: PENDING,
    State.SCHEDULED: PENDING,
    State.READY: PENDING,
    State.RUNNING: STARTED,
    State.SUCCEEDED: SUCCESS,
    State.DEAD: FAILURE,
    State.CANCELLED: REVOKED,
}


def state_of(state: str, *, attempt: int) -> str:
    """Return the state of a job in Celery's words; ``attempt``: how many attempts it has used."""
    if state == State.SCHEDULED and attempt > 0:
        return RETRY
    return _OF_JOB[State(state)]
