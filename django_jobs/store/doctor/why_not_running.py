"""Read the facts that decide whether a job runs now, in a few bounded statements."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q, QuerySet

from ...conf import get_settings
from ...models import Attempt, Job, Queue, Worker
from ...policy.flags import JobFlag
from ...policy.forecast import turn_at
from ...policy.outcomes import AttemptOutcome
from ...policy.states import FINAL_STATES, State
from ...policy.why_not_running import (
    MAX_COUNTED,
    MAX_NAMED,
    RunFacts,
    WaitExplanation,
    WaitFacts,
    explain_wait,
)
from ..clock import database_now
from ..dependencies.successors import pending_predecessors
from ..dialects import open_dialect
from ..limits.facts import limit_facts
from ..search.jobs import in_state
from ..selection import alias_of
from ..stats.queue_loads import Slots, read_loads, read_slots


def why_not_running(job: Job, *, using: str | None = None) -> WaitExplanation | None:
    """Return why the job does not run, or by which worker it does; None if it has ended.

    At most nine statements, none of which reads more than 10,001 index entries.
    """
    if job.state in FINAL_STATES:
        return None
    _, connection = open_dialect(alias_of(job, using))
    return explain_wait(_facts(job, connection.alias), stale_after=get_settings().worker.stale_after)


def _facts(job: Job, alias: str) -> WaitFacts:
    state = State(job.state)
    now = database_now(using=alias)
    if state is State.RUNNING:
        return WaitFacts(state=state, now=now, run=_run(job, alias))
    if state is State.BLOCKED:
        found = pending_predecessors(job.pk, limit=MAX_NAMED + 1, using=alias)
        if found:
            return WaitFacts(state=state, now=now, waits_for=tuple((pk, State(value)) for pk, _, value in found))
    stopped = None
    slots = read_slots(using=alias)
    ahead, turn = 0, None
    is_limited = state is State.BLOCKED and bool(job.flags & JobFlag.LIMITED)
    if state is State.READY:
        is_stopped = Q(paused_at__isnull=False) | Q(suspended_until__isnull=False)
        stopped = Queue.objects.using(alias).filter(is_stopped, pk=job.queue_name).first()
        ahead = 0 if stopped else count_ahead(job, using=alias)
        turn = _turn_at(job, ahead, slots, now, alias) if ahead and slots else None
    return WaitFacts(
        state=state,
        now=now,
        name=job.name,
        queue_name=job.queue_name,
        run_after=job.run_after,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        unknown_since=job.unknown_since,
        last_outcome=_last_outcome(job, alias) if state is State.SCHEDULED else None,
        paused_at=stopped.paused_at if stopped else None,
        paused_by=stopped.paused_by if stopped else "",
        suspended_until=stopped.suspended_until if stopped else None,
        served=tuple(queues or None for queues in slots),
        ahead=ahead,
        turn_at=turn,
        is_limited=is_limited,
        limit=limit_facts(job.pk, now=now, using=alias) if is_limited else None,
    )


def _run(job: Job, alias: str) -> RunFacts:
    worker = Worker.objects.using(alias).filter(pk=job.worker_id or 0).first()
    if worker is not None:
        job.worker = worker  # the one of the same moment tells when the run began
    return RunFacts(
        worker=str(worker) if worker else None,
        is_alive=worker is not None and worker.state in Worker.ALIVE_STATES,
        heartbeat_at=worker.heartbeat_at if worker else None,
        claimed_at=job.started_at,
        run_started_at=job.run_started_at,
        cancel_requested_at=job.cancel_requested_at,
    )


def _last_outcome(job: Job, alias: str) -> AttemptOutcome | None:
    attempts = Attempt.objects.using(alias).filter(job=job.pk).order_by("-claim_number")
    outcome = attempts.values_list("outcome", flat=True).first()
    return AttemptOutcome(outcome) if outcome else None


def count_ahead(job: Job, *, using: str | None = None) -> int:
    """Count the ready jobs of its queue that are claimed before this one, up to 10,001.

    Each part is one range of the index of ready jobs, so that the jobs behind it are not read.
    """
    _, connection = open_dialect(using)
    ready = in_state(Job.objects.using(connection.alias), State.READY).filter(queue_name=job.queue_name)
    same_priority = ready.filter(priority=job.priority)
    parts = (
        ready.filter(priority__gt=job.priority),
        same_priority.filter(ready_at__lt=job.ready_at),
        same_priority.filter(ready_at=job.ready_at, pk__lt=job.pk),
    )
    number = 0
    for part in parts:
        number += _count(part, limit=MAX_COUNTED + 1 - number)
        if number > MAX_COUNTED:
            break
    return number


def _turn_at(job: Job, ahead: int, slots: Slots, now: datetime, alias: str) -> datetime | None:
    """Return about when its turn comes. Two statements."""
    loads = read_loads({}, (), slots, [job.queue_name], now=now, using=alias)
    return turn_at(ahead, loads[job.queue_name], now=now)


def _count(jobs: QuerySet[Job], *, limit: int) -> int:
    return jobs.order_by().values("pk")[:limit].count()
