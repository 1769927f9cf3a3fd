"""Revise: a job that waits gets another time, and other arguments; one guarded statement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ..models import Job
from ..policy.states import State
from ..policy.uniqueness import due_again
from .clock import database_now
from .dialects.base import NewJob
from .doorbell import ring_on_commit


def revise(
    job: Job, new: NewJob, *, arguments: Mapping[str, Any] | None, at_most: timedelta | None = None
) -> bool:
    """Let the waiting ``job`` be due when ``new`` says; False where it has gone on since it was read.

    With ``arguments`` it becomes, in its place in the line, what ``new`` would have been, with all its tries; a try
    that had failed stays on record. ``at_most`` bounds the time as ``due_again`` says, of a job that was never tried.
    The object is changed too.
    """
    using = job._state.db or "default"
    changes: dict[str, Any] = _timed(job, new, at_most if job.attempt == 0 else None, using)
    if arguments is not None:
        changes |= {
            "queue_name": new.queue_name,
            "priority": new.priority,
            "max_attempts": new.max_attempts,
            "arguments": arguments,
            "metadata": json.loads(new.metadata),
            "attempt": 0,
            "worker_deaths": 0,
            "held_since": None,
        }
    unchanged = Job.objects.using(using).filter(pk=job.pk, state=job.state, claim_number=job.claim_number)
    if not unchanged.update(**changes):
        return False
    for name, value in changes.items():
        setattr(job, name, value)
    ring_on_commit([job.queue_name], using=using)
    return True


def _timed(job: Job, new: NewJob, at_most: timedelta | None, using: str) -> dict[str, Any]:
    """Return state and instants. One that is ready and may run at once keeps its place; a blocked one waits on."""
    if job.state == State.BLOCKED:
        return {"state": State.BLOCKED}
    now = database_now(using=using)
    due = new.run_after
    if new.delay_seconds is not None:
        due = now + timedelta(seconds=new.delay_seconds)
    later = None if due is None else due_again(due, now=now, enqueued_at=job.enqueued_at, at_most=at_most)
    if later is not None:
        return {"state": State.SCHEDULED, "run_after": later, "ready_at": None}
    if job.state == State.READY:
        return {"state": State.READY}
    return {"state": State.READY, "run_after": None, "ready_at": now}
