"""Settle: what becomes of a run's permits at its end, and who is let in instead, in the finish's own transaction."""

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
    """A permit that a run had, and the run."""

    limit: LimitRow
    ended: FinishedRun
    ending: RunEnding


def release_permits(ended: Sequence[FinishedRun], *, using: str) -> None:
    """Take the permits of these runs back, or keep them, and give the limits' room to those next in line.

    Limits are locked in the order of their ids, rates after all others, and jobs that are let in only where nobody
    else has them locked: two finishes never wait for each other in a circle. A rate of which a permit cools for the
    whole window is not locked at all.
    """
    _add_late_limits([one for one in ended if one.decision.needs], using)
    over = {
        one.claim.job_id: (one, ending)
        for one in ended
        if not one.decision.needs and (ending := _ending(one)) is not RunEnding.RELEASED
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
    again = [pk for pk, (one, _) in over.items() if one.decision.state is State.BLOCKED]
    if again:
        wait_at_next_limit(again, using=using)
    grant_permits(locked, now=now, using=using)


def _ending(ended: FinishedRun) -> RunEnding:
    match ended.decision.state:
        case State.CANCELLED if ended.decision.has_expired:
            return (
                RunEnding.RELEASED
            )  # used nothing up; given up as those of any waiting job that is cancelled
        case State.SUCCEEDED | State.CANCELLED:
            return RunEnding.FINISHED
        case State.DEAD:
            return RunEnding.DEAD
        case State.READY:
            return RunEnding.RELEASED
        case _:
            return RunEnding.RETRY if ended.decision.attempt_outcome is not None else RunEnding.NOT_STARTED


def _add_late_limits(ended: Sequence[FinishedRun], using: str) -> None:
    """Put jobs that were enqueued before their limits were defined, or by who did not know them, in line."""
    for one in ended:
        claim = one.claim
        Job.objects.using(using).filter(pk=claim.job_id).update(flags=F("flags").bitor(int(JobFlag.LIMITED)))
        insert_permits(
            [(claim.job_id, one.decision.needs)], priority=claim.priority, waiting=True, using=using
        )


def _lock_limits_of(
    rows: Sequence[HeldPermit], over: Mapping[int, tuple[FinishedRun, RunEnding]], using: str
) -> tuple[list[_HeldPermit], list[LimitRow]]:
    """Return the permits with their limits and runs, and those of the limits that were locked."""
    locked = lock_limits({limit_id for _, limit_id, kind in rows if kind != LimitKind.RATE}, using=using)
    rates = {limit_id for _, limit_id, kind in rows if kind == LimitKind.RATE}
    read = {limit.id: limit for limit in read_limits(rates, using=using)} if rates else {}
    refused = {
        limit_id
        for job_id, limit_id, _ in rows
        if limit_id in rates and over[job_id][0].decision.closes_limit
    }
    contended = [pk for pk, limit in read.items() if pk in refused or not limit.rule.cools_from_end]
    if contended:
        locked += lock_limits(contended, using=using)
    limits = read | {limit.id: limit for limit in locked}
    held = [
        _HeldPermit(limits[limit_id], *over[job_id]) for job_id, limit_id, _ in rows if limit_id in limits
    ]
    return held, locked


def _update_permits(held: Sequence[_HeldPermit], now: datetime, using: str) -> None:
    """Write what becomes of the permits that were not deleted: a statement for each kind and fate."""
    asleep: dict[LimitKind, list[int]] = defaultdict(list)
    cooling: list[_HeldPermit] = []
    copies: list[_HeldPermit] = []
    for one in held:
        phase, cools = permit_transition(one.limit.rule, one.ending)
        job_id = one.ended.claim.job_id
        if phase is PermitPhase.ASLEEP:
            asleep[one.limit.rule.kind].append(job_id)
        elif phase is PermitPhase.COOLING:
            cooling.append(one)
        if cools:
            copies.append(one)
    permits = Permit.objects.using(using).filter(run=0)
    for kind, ids in asleep.items():
        permits.filter(InIds("job_id", ids), kind=kind).update(phase=PermitPhase.ASLEEP, since=DatabaseNow())
    uses: dict[datetime, list[int]] = defaultdict(list)
    for one in cooling:
        uses[_free_at(one, now)].append(one.ended.claim.job_id)
    for free_at, ids in uses.items():
        rates = permits.filter(InIds("job_id", ids), kind=LimitKind.RATE)
        rates.update(phase=PermitPhase.COOLING, since=DatabaseNow(), free_at=free_at)
    if copies:
        Permit.objects.using(using).bulk_create([_copy(one, now) for one in copies])


def _copy(held: _HeldPermit, now: datetime) -> Permit:
    """Return the use of a run whose job will need another."""
    claim = held.ended.claim
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
    """Return until when the use counts: never too short, and alike for runs that began at nearly the same time."""
    window = held.limit.rule.window_seconds
    started = held.ended.started
    if not held.limit.rule.from_start or started is None:
        return now + timedelta(seconds=window)
    step = min(window / 100, 1.0)
    return from_epoch(math.ceil(started / step) * step + window)


def _update_circuit_breakers(held: Sequence[_HeldPermit], now: datetime, using: str) -> None:
    """Open breakers whose attempts failed too often, close those whose try went well."""
    attempts: dict[int, list[_HeldPermit]] = defaultdict(list)
    for one in held:
        if one.limit.rule.kind is LimitKind.BREAKER:
            attempts[one.limit.id].append(one)
    for group in attempts.values():
        limit, rule = group[0].limit, group[0].limit.rule
        outcomes = [one.ended.decision.attempt_outcome for one in group]
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
    """Close the rates whose called server said that it was called too often."""
    until: dict[int, float] = {}
    for one in held:
        decision = one.ended.decision
        if decision.closes_limit and decision.delay is not None and one.limit.rule.kind is LimitKind.RATE:
            asked = (now + decision.delay).timestamp()
            until[one.limit.id] = max(asked, until.get(one.limit.id, one.limit.state.closed_until or 0))
    for limit in {one.limit.id: one.limit for one in held}.values():
        if limit.id in until:
            write_state(limit, limit.state._replace(closed_until=until[limit.id]), using=using)
            revoke(limit, using=using)
