"""Permits that jobs need of limits, from the enqueue to the end of a run; ``admit`` grants them.

An enqueue, or any other change that makes a job of a limit due, writes the job's own rows and a signal, and locks no
row that another transaction wants. A worker processes the signals and grants the permits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from ...models import Job, LimitSignal, Permit
from ...policy.flags import JobFlag
from ...policy.limits import LimitKind, PermitPhase, RequiredPermit, urgency
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects.shared.by_id import InIds, delete_rows

ROWS_PER_STATEMENT = 2_000


def insert_permits(
    jobs: Sequence[tuple[int, Sequence[RequiredPermit]]], *, priority: int, waiting: bool, using: str
) -> None:
    """Insert the permits of new jobs, asleep; if the jobs are due, the first of each waits at its limit."""
    permits, required = [], {}
    for job_id, needs in jobs:
        ranked = sorted(needs, key=lambda need: need.rule.kind)
        for place, need in enumerate(ranked):
            waits = waiting and place == 0
            permits.append(
                Permit(
                    job_id=job_id,
                    limit_id=need.limit_id,
                    kind=need.rule.kind,
                    phase=PermitPhase.WAITING if waits else PermitPhase.ASLEEP,
                    urgency=urgency(need.rule.kind, priority),
                    since=DatabaseNow(),
                    is_last=place == len(ranked) - 1,
                )
            )
            required[need.limit_id] = need
    Permit.objects.using(using).bulk_create(permits, batch_size=ROWS_PER_STATEMENT)
    rows = [
        LimitSignal(limit_id=need.limit_id, name=need.name, key=need.key, rule=need.rule.as_json())
        for need in required.values()
    ]
    LimitSignal.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def split_limited(ids: Collection[int], *, using: str) -> tuple[list[int], list[int]]:
    """Return the jobs under no limit, and those under one. One statement by key."""
    if not ids:
        return [], []
    flagged = Job.objects.using(using).filter(InIds("pk", ids)).exclude(flags=0).values_list("pk", "flags")
    limited = {pk for pk, flags in flagged if flags & JobFlag.LIMITED}
    return [pk for pk in ids if pk not in limited], sorted(limited)


def make_ready(ids: Collection[int], *, using: str, priority: int | None = None, **fields: object) -> None:
    """Make jobs, locked by the caller, ready; those under a limit become blocked until it admits them.

    ``fields`` are written to the jobs too, and ``priority`` unless it is None.
    """
    plain, limited = split_limited(ids, using=using)
    if priority is not None:
        fields["priority"] = priority
        set_urgency(limited, priority=priority, using=using)
    jobs = Job.objects.using(using)
    if plain:
        jobs.filter(InIds("pk", plain)).update(state=State.READY, ready_at=DatabaseNow(), **fields)
    if limited:
        jobs.filter(InIds("pk", limited)).update(state=State.BLOCKED, ready_at=None, **fields)
        wait_at_next_limit(limited, using=using)


def set_urgency(job_ids: Collection[int], *, priority: int, using: str) -> None:
    """Let jobs, locked by the caller, wait at their limits as jobs of this priority do."""
    if job_ids:
        permits = Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0)
        permits.exclude(kind=LimitKind.ORDER).update(urgency=urgency(LimitKind.CONCURRENCY, priority))


def wait_at_next_limit(job_ids: Collection[int], *, using: str) -> None:
    """Let blocked jobs wait at the first limit whose permit they lack; those that lack none become ready."""
    first: dict[int, tuple[int, int]] = {}
    for job_id, limit_id, kind, phase in _needed_permits(job_ids, using):
        if phase == PermitPhase.WAITING:
            first[job_id] = (0, 0)
        elif phase == PermitPhase.ASLEEP:
            first.setdefault(job_id, (kind, limit_id))
    lacking = {job_id: limit for job_id, limit in first.items() if limit != (0, 0)}
    for kind, group in groupby(sorted(lacking, key=lambda pk: lacking[pk][0]), key=lambda pk: lacking[pk][0]):
        waiting = Permit.objects.using(using).filter(
            InIds("job_id", list(group)), kind=kind, run=0, phase=PermitPhase.ASLEEP
        )
        waiting.update(phase=PermitPhase.WAITING, since=DatabaseNow())
    signal_limits({limit_id for _, limit_id in lacking.values()}, using=using)
    complete = [job_id for job_id in job_ids if job_id not in first]
    if complete:
        Job.objects.using(using).filter(InIds("pk", complete), state=State.BLOCKED).update(
            state=State.READY, ready_at=DatabaseNow()
        )


def suspend_permits(job_ids: Collection[int], *, using: str) -> None:
    """Release or withdraw the permits of postponed jobs, locked by the caller, and signal the limits."""
    held = [limit_id for _, limit_id, _, phase in _needed_permits(job_ids, using) if phase == PermitPhase.HELD]
    permits = Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0)
    permits.exclude(phase=PermitPhase.COOLING).update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
    signal_limits(held, using=using)


def cancel_permits(job_ids: Collection[int], *, using: str) -> None:
    """Delete the permits that cancelled jobs, locked by the caller, held or waited for, and signal the limits."""
    held = [limit_id for _, limit_id, _, phase in _needed_permits(job_ids, using) if phase == PermitPhase.HELD]
    delete_rows(Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0).exclude(phase=PermitPhase.COOLING))
    signal_limits(held, using=using)


def delete_permits(job_ids: Collection[int], *, using: str) -> None:
    """Delete the permits of deleted jobs, and signal the orderings that dead ones held; a use that counts stays."""
    permits = Permit.objects.using(using).filter(InIds("job_id", job_ids)).exclude(phase=PermitPhase.COOLING)
    rows = list(permits.order_by().values_list("limit_id", "phase"))
    if rows:
        delete_rows(permits)
        signal_limits({limit_id for limit_id, phase in rows if phase == PermitPhase.HELD}, using=using)


def signal_limits(limit_ids: Iterable[int], *, using: str) -> None:
    """Let a worker check these limits once the caller's transaction commits: a permit is free, or wanted."""
    rows = [LimitSignal(limit_id=limit_id) for limit_id in sorted(set(limit_ids))]
    if rows:
        LimitSignal.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def _needed_permits(job_ids: Collection[int], using: str) -> Iterable[tuple[int, int, int, int]]:
    """Return job, limit, kind and phase of the permits for the jobs' next runs, in the order they are taken."""
    permits = Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0)
    return permits.order_by("job_id", "kind").values_list("job_id", "limit_id", "kind", "phase")
