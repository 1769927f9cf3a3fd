"""Permits: what jobs need of limits, from the enqueue to the end of a run. The limits give them out in ``grant``.

An enqueue, or whatever else makes a job of a limit due, writes the job's own rows and a notice, and locks nothing
that another could want. A worker takes the notices in and gives the permits out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import groupby

from ...models import Job, LimitSignal, Permit
from ...policy.flags import JobFlag
from ...policy.limits import PermitPhase, RequiredPermit, urgency
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects.shared.by_id import InIds, delete_rows

ROWS_PER_STATEMENT = 2_000


def insert_permits(
    jobs: Sequence[tuple[int, Sequence[RequiredPermit]]], *, priority: int, waiting: bool, using: str
) -> None:
    """Insert the permits of new jobs, asleep; where the jobs are due, the first of each waits at its limit."""
    permits, notices = [], {}
    for job_id, needs in jobs:
        ranked = sorted(needs, key=lambda one: one.rule.kind)
        for place, one in enumerate(ranked):
            waits = waiting and place == 0
            permits.append(
                Permit(
                    job_id=job_id,
                    limit_id=one.limit_id,
                    kind=one.rule.kind,
                    phase=PermitPhase.WAITING if waits else PermitPhase.ASLEEP,
                    urgency=urgency(one.rule.kind, priority),
                    since=DatabaseNow(),
                    is_last=place == len(ranked) - 1,
                )
            )
            notices[one.limit_id] = one
    Permit.objects.using(using).bulk_create(permits, batch_size=ROWS_PER_STATEMENT)
    rows = [
        LimitSignal(limit_id=one.limit_id, name=one.name, key=one.key, rule=one.rule.as_json())
        for one in notices.values()
    ]
    LimitSignal.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def split_limited(ids: Collection[int], *, using: str) -> tuple[list[int], list[int]]:
    """Return which of the jobs are under no limit, and which are. One statement by key."""
    if not ids:
        return [], []
    linked = Job.objects.using(using).filter(InIds("pk", ids)).exclude(flags=0).values_list("pk", "flags")
    limited = {pk for pk, flags in linked if flags & JobFlag.LIMITED}
    return [one for one in ids if one not in limited], sorted(limited)


def make_ready(ids: Collection[int], *, using: str, **fields: object) -> None:
    """Make jobs that the caller has locked ready, those of a limit blocked until it lets them through.

    ``fields`` are written to the jobs besides.
    """
    plain, limited = split_limited(ids, using=using)
    jobs = Job.objects.using(using)
    if plain:
        jobs.filter(InIds("pk", plain)).update(state=State.READY, ready_at=DatabaseNow(), **fields)
    if limited:
        jobs.filter(InIds("pk", limited)).update(state=State.BLOCKED, ready_at=None, **fields)
        wait_at_next_limit(limited, using=using)


def wait_at_next_limit(job_ids: Collection[int], *, using: str) -> None:
    """Have blocked jobs wait at the first limit whose permit they do not hold; those that lack none become ready."""
    first: dict[int, tuple[int, int]] = {}
    for job_id, limit_id, kind, phase in _needed_permits(job_ids, using):
        if phase == PermitPhase.WAITING:
            first[job_id] = (0, 0)
        elif phase == PermitPhase.ASLEEP:
            first.setdefault(job_id, (kind, limit_id))
    lacking = {job_id: limit for job_id, limit in first.items() if limit != (0, 0)}
    for kind, group in groupby(
        sorted(lacking, key=lambda one: lacking[one][0]), key=lambda one: lacking[one][0]
    ):
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
    """Have jobs that are put off, locked by the caller, neither hold nor wait for permits, and tell the limits."""
    held = [
        limit_id for _, limit_id, _, phase in _needed_permits(job_ids, using) if phase == PermitPhase.HELD
    ]
    permits = Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0)
    permits.exclude(phase=PermitPhase.COOLING).update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
    signal_limits(held, using=using)


def cancel_permits(job_ids: Collection[int], *, using: str) -> None:
    """Give up what jobs that are cancelled, locked by the caller, held or waited for, and tell the limits."""
    held = [
        limit_id for _, limit_id, _, phase in _needed_permits(job_ids, using) if phase == PermitPhase.HELD
    ]
    delete_rows(
        Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0).exclude(phase=PermitPhase.COOLING)
    )
    signal_limits(held, using=using)


def delete_permits(job_ids: Collection[int], *, using: str) -> None:
    """Delete what is left of jobs that are deleted; a use that still counts stays."""
    delete_rows(
        Permit.objects.using(using).filter(InIds("job_id", job_ids)).exclude(phase=PermitPhase.COOLING)
    )


def signal_limits(limit_ids: Iterable[int], *, using: str) -> None:
    """Have a worker look at limits of which permits came free, or wanted, once the caller's transaction commits."""
    rows = [LimitSignal(limit_id=limit_id) for limit_id in sorted(set(limit_ids))]
    if rows:
        LimitSignal.objects.using(using).bulk_create(rows, batch_size=ROWS_PER_STATEMENT)


def _needed_permits(job_ids: Collection[int], using: str) -> Iterable[tuple[int, int, int, int]]:
    """Return job, limit, kind and phase of what the jobs need for their next run, in the order of taking it."""
    permits = Permit.objects.using(using).filter(InIds("job_id", job_ids), run=0)
    return permits.order_by("job_id", "kind").values_list("job_id", "limit_id", "kind", "phase")
