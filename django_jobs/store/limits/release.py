"""Settle: what becomes of a run's permits at its end, and who is let in instead, in the finish's own transaction."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db.models import F

from ...models import Job, Permit
from ...policy.flags import Links
from ...policy.limits import Ending, Kind, Phase, after_tries, fate
from ...policy.outcomes import AttemptOutcome
from ...policy.states import State
from ..clock import DatabaseNow
from ..dialects import open_dialect
from ..dialects.base.jobs import Ended, from_epoch
from ..dialects.limits import Held, limits_of
from ..dialects.shared.by_id import Among
from .admit import grant
from .open_limits import OpenLimit, lock_limits, read_limits, write_state
from .permits import arrive, insert_permits
from .revoke import hold_back

FAILURES = frozenset({AttemptOutcome.FAILED, AttemptOutcome.TIMED_OUT, AttemptOutcome.LOST})


class _Held(NamedTuple):
    """A permit that a run had, and the run."""

    limit: OpenLimit
    ended: Ended
    ending: Ending


def settle(ended: Sequence[Ended], *, using: str) -> None:
    """Take the permits of these runs back, or keep them, and give the limits' room to those next in line.

    Limits are locked in the order of their ids, rates after all others, and jobs that are let in only where nobody
    else has them locked: two finishes never wait for each other in a circle. A rate of which a permit cools for the
    whole window is not locked at all.
    """
    _admit_late([one for one in ended if one.decision.needs], using)
    over = {
        one.claim.job_id: (one, ending)
        for one in ended
        if not one.decision.needs and (ending := _ending(one)) is not Ending.KEPT
    }
    if not over:
        return
    dialect, connection = open_dialect(using)
    gone = [pk for pk, (_, ending) in over.items() if ending is Ending.OVER]
    rows = limits_of(connection).take_back(connection, over, over=gone)
    held, locked = _lock_limits_of(rows, over, using)
    if not held:
        return
    now = dialect.now(connection)
    _give_back(held, now, using)
    _judge_breakers(held, now, using)
    _hold_back(held, now, using)
    again = [pk for pk, (one, _) in over.items() if one.decision.state is State.BLOCKED]
    if again:
        arrive(again, using=using)
    grant(locked, now=now, using=using)


def _ending(ended: Ended) -> Ending:
    match ended.decision.state:
        case State.CANCELLED if ended.decision.has_expired:
            return Ending.KEPT  # used nothing up; given up as those of any waiting job that is cancelled
        case State.SUCCEEDED | State.CANCELLED:
            return Ending.OVER
        case State.DEAD:
            return Ending.DEAD
        case State.READY:
            return Ending.KEPT
        case _:
            return Ending.AGAIN if ended.decision.attempt_outcome is not None else Ending.NOT_BEGUN


def _admit_late(ended: Sequence[Ended], using: str) -> None:
    """Put jobs that were enqueued before their limits were defined, or by who did not know them, in line."""
    for one in ended:
        claim = one.claim
        Job.objects.using(using).filter(pk=claim.job_id).update(links=F("links").bitor(int(Links.LIMITED)))
        insert_permits(
            [(claim.job_id, one.decision.needs)], priority=claim.priority, waiting=True, using=using
        )


def _lock_limits_of(
    rows: Sequence[Held], over: Mapping[int, tuple[Ended, Ending]], using: str
) -> tuple[list[_Held], list[OpenLimit]]:
    """Return the permits with their limits and runs, and those of the limits that were locked."""
    locked = lock_limits({limit_id for _, limit_id, kind in rows if kind != Kind.RATE}, using=using)
    rates = {limit_id for _, limit_id, kind in rows if kind == Kind.RATE}
    read = {limit.id: limit for limit in read_limits(rates, using=using)} if rates else {}
    refused = {
        limit_id for job_id, limit_id, _ in rows if limit_id in rates and over[job_id][0].decision.holds_back
    }
    contended = [pk for pk, limit in read.items() if pk in refused or not limit.rule.cools_from_end]
    if contended:
        locked += lock_limits(contended, using=using)
    limits = read | {limit.id: limit for limit in locked}
    held = [_Held(limits[limit_id], *over[job_id]) for job_id, limit_id, _ in rows if limit_id in limits]
    return held, locked


def _give_back(held: Sequence[_Held], now: datetime, using: str) -> None:
    """Write what becomes of the permits that were not deleted: a statement for each kind and fate."""
    asleep: dict[Kind, list[int]] = defaultdict(list)
    cooling: list[_Held] = []
    copies: list[_Held] = []
    for one in held:
        phase, cools = fate(one.limit.rule, one.ending)
        job_id = one.ended.claim.job_id
        if phase is Phase.ASLEEP:
            asleep[one.limit.rule.kind].append(job_id)
        elif phase is Phase.COOLING:
            cooling.append(one)
        if cools:
            copies.append(one)
    permits = Permit.objects.using(using).filter(run=0)
    for kind, ids in asleep.items():
        permits.filter(Among("job_id", ids), kind=kind).update(phase=Phase.ASLEEP, since=DatabaseNow())
    uses: dict[datetime, list[int]] = defaultdict(list)
    for one in cooling:
        uses[_free_at(one, now)].append(one.ended.claim.job_id)
    for free_at, ids in uses.items():
        rates = permits.filter(Among("job_id", ids), kind=Kind.RATE)
        rates.update(phase=Phase.COOLING, since=DatabaseNow(), free_at=free_at)
    if copies:
        Permit.objects.using(using).bulk_create([_copy(one, now) for one in copies])


def _copy(held: _Held, now: datetime) -> Permit:
    """Return the use of a run whose job will need another."""
    claim = held.ended.claim
    return Permit(
        job_id=claim.job_id,
        limit_id=held.limit.id,
        run=claim.claim_number,
        kind=held.limit.rule.kind,
        phase=Phase.COOLING,
        since=DatabaseNow(),
        free_at=_free_at(held, now),
    )


def _free_at(held: _Held, now: datetime) -> datetime:
    """Return until when the use counts: never too short, and alike for runs that began at nearly the same time."""
    window = held.limit.rule.window_seconds
    started = held.ended.started
    if not held.limit.rule.from_start or started is None:
        return now + timedelta(seconds=window)
    step = min(window / 100, 1.0)
    return from_epoch(math.ceil(started / step) * step + window)


def _judge_breakers(held: Sequence[_Held], now: datetime, using: str) -> None:
    """Open breakers whose tries failed too often, close those whose try went well."""
    tries: dict[int, list[_Held]] = defaultdict(list)
    for one in held:
        if one.limit.rule.kind is Kind.BREAKER:
            tries[one.limit.id].append(one)
    for group in tries.values():
        limit, rule = group[0].limit, group[0].limit.rule
        outcomes = [one.ended.decision.attempt_outcome for one in group]
        state = after_tries(
            rule,
            limit.state,
            failed_at=[now.timestamp() for outcome in outcomes if outcome in FAILURES],
            succeeded=AttemptOutcome.SUCCEEDED in outcomes,
        )
        if state != limit.state:
            write_state(limit, state, using=using)
            if state.closed_until is not None and state.closed_until > now.timestamp():
                hold_back(limit, using=using)


def _hold_back(held: Sequence[_Held], now: datetime, using: str) -> None:
    """Close the rates whose called server said that it was called too often."""
    until: dict[int, float] = {}
    for one in held:
        decision = one.ended.decision
        if decision.holds_back and decision.delay is not None and one.limit.rule.kind is Kind.RATE:
            asked = (now + decision.delay).timestamp()
            until[one.limit.id] = max(asked, until.get(one.limit.id, one.limit.state.closed_until or 0))
    for limit in {one.limit.id: one.limit for one in held}.values():
        if limit.id in until:
            write_state(limit, limit.state._replace(closed_until=until[limit.id]), using=using)
            hold_back(limit, using=using)
