"""Revoke the permits of jobs that have not begun when their limit is closed."""

from __future__ import annotations

from ...models import Job, Permit
from ...policy.limits import PermitPhase
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects.shared.by_id import InIds
from .open_limits import LimitRow

MAX_REVOKED = 500
"""If a breaker has admitted more jobs, the others start all the same."""


def revoke(limit: LimitRow, *, using: str) -> None:
    """Move admitted jobs that have not begun back to the queue of a limit that was just closed; the limit is locked."""
    held = Permit.objects.using(using).filter(limit=limit.id, phase=PermitPhase.HELD, run=0)
    jobs = Job.objects.using(using)
    locked = jobs.filter(InIds("pk", list(held.values_list("job_id", flat=True)[:MAX_REVOKED]))).order_by("pk")
    rows = locked.select_for_update(skip_locked=True).values_list("pk", "state")
    ready = [pk for pk, state in rows if state == State.READY]
    if ready:
        jobs.filter(InIds("pk", ready)).update(state=State.BLOCKED, ready_at=None)
        permits = Permit.objects.using(using).filter(InIds("job_id", ready), run=0)
        permits.filter(kind__gt=limit.rule.kind).update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
        permits.filter(kind=limit.rule.kind).update(phase=PermitPhase.WAITING, since=DatabaseNow())
