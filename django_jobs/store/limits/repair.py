"""Repair permits that contradict their jobs or limits: after manual edits, a partial restore, or raw deletes.

Used permits are counted from their rows, so a row too many blocks a key, and a limit without a row admits nobody.
Candidates are found without locks, a window of the primary key at a time, and checked again under the jobs' locks.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from ...models import Job, Limit, LimitSignal, Permit
from ...policy.limits import LimitKind, PermitPhase, RequiredPermit, corrected_phase
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.shared.by_id import InIds, delete_rows
from ..notify import notify_on_commit
from ..selection import lock_jobs
from .open_limits import read_limits
from .permits import signal_limits, wait_at_next_limit

WINDOW = 2_000

NeedsResolver = Callable[[Job], Sequence[RequiredPermit] | None]
"""Returns the permits that a job needs by the code; None if this code cannot tell."""
_Turn = tuple[int, int]
"""A job, and the ordering whose turn is its."""


class _Row(NamedTuple):
    job_id: int
    limit_id: int
    run: int
    kind: int
    phase: int


def repair_permits(*, after: int, resolve: NeedsResolver, using: str | None = None) -> tuple[int, int | None]:
    """Check the permits of the next jobs behind ``after``; return how many were wrong, and where to continue.

    Permits of deleted and ended jobs are deleted, those of postponed ones released, missing limits inserted again. A
    permit of a limit that the code does not define for its job any more is deleted, and the job goes on. A limit at
    which jobs wait for no run and no check is checked. None at the end. Three statements if nothing is wrong, and one
    or two more if jobs wait for runs to end, or dead ones keep their turn: those are loaded, for ``resolve``.
    """
    _, connection = open_dialect(using)
    alias = connection.alias
    rows, next_after = _read_window(after, alias)
    if not rows:
        return 0, None
    states = _states({row.job_id for row in rows}, alias)
    ids = {row.limit_id for row in rows}
    check_at = dict(Limit.objects.using(alias).filter(InIds("pk", ids)).values_list("pk", "check_at"))
    holding = _holding_when_dead(rows, states, alias)
    given_up = _given_up(holding, resolve, alias)
    holding -= given_up
    wrong = {row.job_id for row in rows if _corrected(row, states, holding) != row.phase}
    lacking = [row for row in rows if row.limit_id not in check_at and row.job_id not in wrong]
    repaired = _correct(wrong, given_up, alias) if wrong else 0
    repaired += _restore_limits(lacking, resolve, alias) if lacking else 0
    unchecked = [row for row in rows if row.phase == PermitPhase.WAITING and check_at.get(row.limit_id, row) is None]
    repaired += _check_idle_limits(unchecked, alias) if unchecked else 0
    return repaired, next_after


def _read_window(after: int, alias: str) -> tuple[list[_Row], int | None]:
    """Return all permits of the next jobs, and the last of these jobs, None at the end of the table."""
    permits = Permit.objects.using(alias).filter(job_id__gt=after).order_by("job_id", "limit_id", "run")
    rows = [_Row(*row) for row in permits.values_list(*_Row._fields)[:WINDOW]]
    if len(rows) < WINDOW:
        return rows, None
    last = rows[-1].job_id
    complete = [row for row in rows if row.job_id < last] or rows
    return complete, complete[-1].job_id


def _states(job_ids: Collection[int], alias: str) -> dict[int, str]:
    return dict(Job.objects.using(alias).filter(InIds("pk", job_ids)).values_list("pk", "state"))


def _holding_when_dead(rows: Iterable[_Row], states: dict[int, str], alias: str) -> set[_Turn]:
    """Return the turns that dead jobs keep by the rule in the ordering's row. No statement if there is none."""
    turns = {
        (row.job_id, row.limit_id)
        for row in rows
        if row.phase == PermitPhase.HELD and states.get(row.job_id) == State.DEAD
    }
    if not turns:
        return set()
    limits = read_limits({limit_id for _, limit_id in turns}, using=alias)
    holding = {limit.id for limit in limits if limit.rule.hold_when_dead}
    return {(job_id, limit_id) for job_id, limit_id in turns if limit_id in holding}


def _given_up(turns: Collection[_Turn], resolve: NeedsResolver, alias: str) -> set[_Turn]:
    """Return those of the turns that dead jobs keep no longer by the code of now: no later job may bring its rule."""
    jobs = Job.objects.using(alias).in_bulk({job_id for job_id, _ in turns}) if turns else {}
    needs = {pk: resolve(job) for pk, job in jobs.items()}
    return {(job_id, limit_id) for job_id, limit_id in turns if not _may_hold(limit_id, needs.get(job_id))}


def _may_hold(limit_id: int, needs: Sequence[RequiredPermit] | None) -> bool:
    return needs is None or any(need.limit_id == limit_id and need.rule.hold_when_dead for need in needs)


def _corrected(row: _Row, states: dict[int, str], holding: Collection[_Turn]) -> PermitPhase | None:
    state = states.get(row.job_id)
    return corrected_phase(
        LimitKind(row.kind),
        PermitPhase(row.phase),
        State(state) if state else None,
        holds_when_dead=(row.job_id, row.limit_id) in holding,
    )


def _correct(job_ids: Collection[int], given_up: Collection[_Turn], alias: str) -> int:
    """Delete the permits of jobs that need none, and release those of jobs that are not due."""
    dialect, connection = open_dialect(alias)
    permits = Permit.objects.using(alias).filter(InIds("job_id", job_ids))
    with dialect.write_transaction(connection):
        locked = Job.objects.using(alias).filter(InIds("pk", job_ids)).select_for_update().order_by("pk")
        states = dict(locked.values_list("pk", "state"))
        rows = [_Row(*row) for row in permits.values_list(*_Row._fields)]
        holding = _holding_when_dead(rows, states, alias).difference(given_up)
        wrong = [row for row in rows if _corrected(row, states, holding) != row.phase]
        gone = {row.job_id for row in wrong if _corrected(row, states, holding) is None}
        asleep = {row.job_id for row in wrong} - gone
        delete_rows(permits.filter(InIds("job_id", gone)).exclude(phase=PermitPhase.COOLING))
        for row in wrong:
            if row.job_id in asleep:
                of_limit = permits.filter(job_id=row.job_id, limit_id=row.limit_id, run=row.run)
                of_limit.update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
        signal_limits({row.limit_id for row in wrong}, using=alias)
    return len(wrong)


def _check_idle_limits(waiting: Iterable[_Row], alias: str) -> int:
    """Have limits checked where these permits wait, but no job holds one, so that no end of a run will admit them.

    What makes a job wait leaves a signal, then a check or a permit that is held: they are looked for in this order, and
    the permits again at last.
    """
    wanted = {(row.job_id, row.limit_id) for row in waiting}
    ids = {limit_id for _, limit_id in wanted}
    held = Permit.objects.using(alias).filter(InIds("limit_id", ids, index=None), phase=PermitPhase.HELD).order_by()
    idle = ids - set(held.values_list("limit_id", flat=True).distinct())
    if not idle:
        return 0
    signals = LimitSignal.objects.using(alias).filter(InIds("limit_id", idle, index=None))
    idle -= set(signals.values_list("limit_id", flat=True))
    idle -= set(held.filter(InIds("limit_id", idle, index=None)).values_list("limit_id", flat=True).distinct())
    idle = set(Limit.objects.using(alias).filter(InIds("pk", idle), check_at=None).values_list("pk", flat=True))
    jobs = {job_id for job_id, limit_id in wanted if limit_id in idle}
    left = Permit.objects.using(alias).filter(InIds("job_id", jobs), phase=PermitPhase.WAITING)
    idle &= {limit_id for job_id, limit_id in left.values_list("job_id", "limit_id") if (job_id, limit_id) in wanted}
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        signal_limits(idle, using=alias)
    return len(idle)


def _restore_limits(rows: Iterable[_Row], resolve: NeedsResolver, alias: str) -> int:
    """Have missing limits inserted again, unless a signal that does so is on its way; delete cooled permits of them."""
    cooling = [row for row in rows if row.phase == PermitPhase.COOLING]
    if cooling:
        left = Permit.objects.using(alias).filter(InIds("job_id", {row.job_id for row in cooling}))
        left = left.filter(phase=PermitPhase.COOLING, limit_id__in={row.limit_id for row in cooling})
        delete_rows(left.filter(free_at__lte=DatabaseNow()))
    wanted = {(row.job_id, row.limit_id) for row in rows if row.phase != PermitPhase.COOLING}
    missing = _without_limit({limit_id for _, limit_id in wanted}, alias)
    wanted = {(job_id, limit_id) for job_id, limit_id in wanted if limit_id in missing}
    if not wanted:
        return 0
    known: dict[int, RequiredPermit] = {}
    obsolete: list[tuple[int, int]] = []
    queues: set[str] = set()
    jobs = Job.objects.using(alias).in_bulk({job_id for job_id, _ in wanted})
    for job_id, limit_id in sorted(wanted):
        job = jobs.get(job_id)
        needs = resolve(job) if job is not None else None
        if job is None or needs is None:
            continue
        queues.add(job.queue_name)
        found = {need.limit_id: need for need in needs}
        if limit_id in found:
            known[limit_id] = found[limit_id]
        else:
            obsolete.append((job_id, limit_id))
    dialect, connection = open_dialect(alias)
    with dialect.write_transaction(connection):
        dropped = _drop([pair for pair in obsolete if pair[1] not in known], alias)
        signals = [
            LimitSignal(limit_id=need.limit_id, name=need.name, key=need.key, rule=need.rule.as_json())
            for need in known.values()
        ]
        LimitSignal.objects.using(alias).bulk_create(signals)
        notify_on_commit(queues, using=alias)
    return len(known) + dropped


def _without_limit(limit_ids: Collection[int], alias: str) -> set[int]:
    """Return those of the limits that have no row, and no signal that inserts it. Rows are read after the signals."""
    signals = LimitSignal.objects.using(alias).filter(InIds("limit_id", limit_ids, index=None), rule__isnull=False)
    missing = set(limit_ids) - set(signals.values_list("limit_id", flat=True))
    existing = Limit.objects.using(alias).filter(InIds("pk", missing)).values_list("pk", flat=True)
    return missing - set(existing)


def _drop(pairs: Iterable[tuple[int, int]], alias: str) -> int:
    """Delete permits of limits that the code does not define any more; blocked jobs go on without them."""
    pairs = list(pairs)
    if not pairs:
        return 0
    blocked = lock_jobs(sorted({job_id for job_id, _ in pairs}), states={State.BLOCKED}, using=alias)
    waiting = Permit.objects.using(alias).filter(InIds("job_id", blocked), run=0, phase=PermitPhase.WAITING)
    waited = set(waiting.values_list("job_id", "limit_id"))
    for job_id, limit_id in pairs:
        delete_rows(Permit.objects.using(alias).filter(job_id=job_id, limit_id=limit_id, run=0))
    wait_at_next_limit(sorted({job_id for job_id, limit_id in pairs if (job_id, limit_id) in waited}), using=alias)
    return len(pairs)
