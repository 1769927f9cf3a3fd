"""Release the permits of finished runs and admit the next waiting jobs, in the finish's transaction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F

from ...models import Job, Permit
from ...policy.flags import JobFlag
from ...policy.limits import LimitKind, PermitPhase, RunEnding, after_attempts, permit_transition
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import FinishedRun, from_epoch
from ..dialects.base.limits import HeldPermit
from ..dialects.shared.by_id import InIds
from .admit import grant_permits
from .open_limits import LimitRow, lock_limits, read_limits, write_state
from .permits import insert_permits, wait_at_next_limit
from .revoke import revoke

FAILURE_OUTCOMES = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.LOST})


class _HeldPermit(NamedTuple):
    """A permit that a run held, and the run."""

    limit: LimitRow
    run: FinishedRun
    ending: RunEnding


def release_permits(runs: Sequence[FinishedRun], *, using: str) -> None:
    """Release the permits of these runs, or keep them for the next run, and admit the next waiting jobs.

    Limits are locked in the order of their ids, rate limits after all others, and a job is admitted only if no other
    transaction has locked it: two finishes never deadlock. A rate limit whose permit cools for the whole window is
    not locked at all.
    """
    _add_late_limits([run for run in runs if run.decision.needs], using)
    over = {
        run.claim.job_id: (run, ending)
        for run in runs
        if not run.decision.needs and (ending := _ending(run)) is not RunEnding.RELEASED
    }
    if not over:
        return
    dialect, connection = open_dialect(using)
    gone = [pk for pk, (_, ending) in over.items() if ending is RunEnding.FINISHED]
    rows = dialect.limits.release_permits(connection, over, over=gone)
    held, locked = _lock_limits_of(rows, over, using)
    if not held:
        return
    now = dialect.now(connection)
    _update_permits(held, now, using)
    _update_circuit_breakers(held, now, using)
    _close_rate_limits(held, now, using)
    again = [pk for pk, (run, _) in over.items() if run.decision.state is State.BLOCKED]
    if again:
        wait_at_next_limit(again, using=using)
    grant_permits(locked, now=now, using=using)


def _ending(run: FinishedRun) -> RunEnding:
    match run.decision.state:
        case State.CANCELLED if run.decision.has_expired:
            # It did not begin: its permits are deleted like those of any waiting job that is cancelled.
            return RunEnding.RELEASED
        case State.SUCCEEDED | State.CANCELLED:
            return RunEnding.FINISHED
        case State.DEAD:
            return RunEnding.DEAD
        case State.READY:
            return RunEnding.RELEASED
        case _:
            return RunEnding.RETRY if run.decision.attempt_outcome is not None else RunEnding.NOT_STARTED


def _add_late_limits(runs: Sequence[FinishedRun], using: str) -> None:
    """Let jobs that were enqueued by code without these limits wait at them."""
    for run in runs:
        claim = run.claim
        Job.objects.using(using).filter(pk=claim.job_id).update(flags=F("flags").bitor(int(JobFlag.LIMITED)))
        insert_permits([(claim.job_id, run.decision.needs)], priority=claim.priority, waiting=True, using=using)


def _lock_limits_of(
    rows: Sequence[HeldPermit], over: Mapping[int, tuple[FinishedRun, RunEnding]], using: str
) -> tuple[list[_HeldPermit], list[LimitRow]]:
    """Return the permits with their limits and runs, and the limits that were locked."""
    locked = lock_limits({limit_id for _, limit_id, kind in rows if kind != LimitKind.RATE}, using=using)
    rates = {limit_id for _, limit_id, kind in rows if kind == LimitKind.RATE}
    read = {limit.id: limit for limit in read_limits(rates, using=using)} if rates else {}
    refused = {limit_id for job_id, limit_id, _ in rows if limit_id in rates and over[job_id][0].decision.closes_limit}
    contended = [pk for pk, limit in read.items() if pk in refused or not limit.rule.cools_from_end]
    if contended:
        locked += lock_limits(contended, using=using)
    limits = read | {limit.id: limit for limit in locked}
    held = [_HeldPermit(limits[limit_id], *over[job_id]) for job_id, limit_id, _ in rows if limit_id in limits]
    return held, locked


def _update_permits(held: Sequence[_HeldPermit], now: datetime, using: str) -> None:
    """Write the new phases of the permits that were not deleted: one statement for each kind and phase."""
    asleep: dict[LimitKind, list[int]] = defaultdict(list)
    cooling: list[_HeldPermit] = []
    copies: list[_HeldPermit] = []
    for permit in held:
        phase, cools = permit_transition(permit.limit.rule, permit.ending)
        if phase is PermitPhase.ASLEEP:
            asleep[permit.limit.rule.kind].append(permit.run.claim.job_id)
        elif phase is PermitPhase.COOLING:
            cooling.append(permit)
        if cools:
            copies.append(permit)
    permits = Permit.objects.using(using).filter(run=0)
    for kind, ids in asleep.items():
        permits.filter(InIds("job_id", ids), kind=kind).update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
    uses: dict[datetime, list[int]] = defaultdict(list)
    for permit in cooling:
        uses[_free_at(permit, now)].append(permit.run.claim.job_id)
    for free_at, ids in uses.items():
        rates = permits.filter(InIds("job_id", ids), kind=LimitKind.RATE)
        rates.update(phase=PermitPhase.COOLING, since=DatabaseNow(), free_at=free_at)
    if copies:
        Permit.objects.using(using).bulk_create([_copy(permit, now) for permit in copies])


def _copy(held: _HeldPermit, now: datetime) -> Permit:
    """Return the cooling permit of a run whose job needs a new one for its next run."""
    claim = held.run.claim
    return Permit(
        job_id=claim.job_id,
        limit_id=held.limit.id,
        run=claim.claim_number,
        kind=held.limit.rule.kind,
        phase=PermitPhase.COOLING,
        since=DatabaseNow(),
        free_at=_free_at(held, now),
    )


def _free_at(held: _HeldPermit, now: datetime) -> datetime:
    """Return until when the use counts: never too short, and equal for runs that began at nearly the same time."""
    window = held.limit.rule.window_seconds
    started = held.run.started
    if not held.limit.rule.from_start or started is None:
        return now + timedelta(seconds=window)
    step = min(window / 100, 1.0)
    return from_epoch(math.ceil(started / step) * step + window)


def _update_circuit_breakers(held: Sequence[_HeldPermit], now: datetime, using: str) -> None:
    """Open breakers whose attempts failed too often, close those whose trial run succeeded."""
    attempts: dict[int, list[_HeldPermit]] = defaultdict(list)
    for permit in held:
        if permit.limit.rule.kind is LimitKind.BREAKER:
            attempts[permit.limit.id].append(permit)
    for group in attempts.values():
        limit, rule = group[0].limit, group[0].limit.rule
        outcomes = [permit.run.decision.attempt_outcome for permit in group]
        state = after_attempts(
            rule,
            limit.state,
            failed_at=[now.timestamp() for outcome in outcomes if outcome in FAILURE_OUTCOMES],
            succeeded=AttemptOutcome.SUCCEEDED in outcomes,
        )
        if state != limit.state:
            write_state(limit, state, using=using)
            if state.closed_until is not None and state.closed_until > now.timestamp():
                revoke(limit, using=using)


def _close_rate_limits(held: Sequence[_HeldPermit], now: datetime, using: str) -> None:
    """Close rate limits whose called server answered that it was called too often."""
    until: dict[int, float] = {}
    for permit in held:
        limit, decision = permit.limit, permit.run.decision
        if decision.closes_limit and decision.delay is not None and limit.rule.kind is LimitKind.RATE:
            asked = (now + decision.delay).timestamp()
            until[limit.id] = max(asked, until.get(limit.id, limit.state.closed_until or 0))
    for limit in {permit.limit.id: permit.limit for permit in held}.values():
        if limit.id in until:
            write_state(limit, limit.state._replace(closed_until=until[limit.id]), using=using)
            revoke(limit, using=using)
