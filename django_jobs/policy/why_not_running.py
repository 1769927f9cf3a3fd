"""Explain why a job is not running: the first obstacle, as a reason and the values of its sentence.

The translatable sentences are in ``reasons.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

from .limits import LimitKind, LimitRule, LimitState, available_permits
from .outcomes import AttemptOutcome
from .states import State

MAX_COUNTED = 10_000
"""Jobs before this one are counted up to this number."""
MAX_NAMED = 5
"""At most this many of the jobs that a blocked one waits for are named."""


class WaitReason(StrEnum):
    """Reason why a job does not run, or the place where it runs."""

    WAITS_FOR_A_JOB = "waits_for_a_job"
    AT_RATE = "at_rate"
    AT_RATE_IN_USE = "at_rate_in_use"
    AT_CONCURRENCY = "at_concurrency"
    IN_ORDER_RUNNING = "in_order_running"
    IN_ORDER_NEXT_ATTEMPT = "in_order_next_attempt"
    IN_ORDER_WAITS = "in_order_waits"
    IN_ORDER_DEAD = "in_order_dead"
    BREAKER_OPEN = "breaker_open"
    BREAKER_HALF_OPEN = "breaker_half_open"
    LIMIT_CLOSED = "limit_closed"
    ADMITTED = "admitted"
    ADMITTED_NO_WORKER = "admitted_no_worker"
    WAITS_FOR_JOBS = "waits_for_jobs"
    WAITS_FOR_DEAD = "waits_for_dead"
    NAME_UNKNOWN = "name_unknown"
    NAME_UNKNOWN_DUE = "name_unknown_due"
    NOT_DUE = "not_due"
    RETRY_DUE = "retry_due"
    SNOOZED = "snoozed"
    DUE = "due"
    DUE_NO_WORKER = "due_no_worker"
    PAUSED = "paused"
    SUSPENDED = "suspended"
    NO_WORKER = "no_worker"
    NOT_SERVED = "not_served"
    BEHIND = "behind"
    BEHIND_MANY = "behind_many"
    FIRST = "first"
    RUNS = "runs"
    IN_HAND = "in_hand"
    CANCEL_REQUESTED = "cancel_requested"
    WORKER_SILENT = "worker_silent"
    WORKER_GONE = "worker_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitExplanation:
    """The reason, and the values of its sentence: text, whole numbers and aware datetimes."""

    why: WaitReason
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The worker of a running job. ``worker`` None: its row was deleted; ``is_alive``: neither lost nor stopped.

    ``claimed_at`` is None for a row edited by hand, ``run_started_at`` if the function had not begun at the worker's
    last report.
    """

    worker: str | None
    is_alive: bool = True
    heartbeat_at: datetime | None = None
    claimed_at: datetime | None = None
    run_started_at: datetime | None = None
    cancel_requested_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFacts:
    """A job that holds a permit of the limit at which another job waits."""

    job_id: int
    state: State = State.READY
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """The limit at which a job waits. ``used`` permits are held or cooling; ``free_at``: when the first has cooled.

    ``ahead``: number of jobs that wait at the limit before this one; both counts stop at MAX_COUNTED + 1.
    ``holders``: the first few.
    """

    name: str
    key: str
    rule: LimitRule
    state: LimitState
    used: int
    free_at: datetime | None = None
    holders: tuple[HolderFacts, ...] = ()
    ahead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFacts:
    """Facts about a job and its queue at the time ``now``.

    served: the queues of each living worker, None for all.
    ahead: number of ready jobs before this one, up to MAX_COUNTED + 1.
    turn_at: about when its turn comes behind those, at the earliest if there are more; None if nobody can tell.
    last_outcome: that of the last attempt.
    waits_for: ids and states of jobs that a blocked one waits for, dead ones first, up to MAX_NAMED + 1.
    is_limited: it needs permits; limit: the limit at which it waits, None before a worker has admitted it there.
    """

    state: State
    now: datetime
    name: str = ""
    queue_name: str = ""
    run_after: datetime | None = None
    attempt: int = 0
    max_attempts: int = 1
    unknown_since: datetime | None = None
    last_outcome: AttemptOutcome | None = None
    paused_at: datetime | None = None
    paused_by: str = ""
    suspended_until: datetime | None = None
    served: tuple[frozenset[str] | None, ...] = ()
    ahead: int = 0
    turn_at: datetime | None = None
    run: RunFacts | None = None
    is_limited: bool = False
    limit: LimitFacts | None = None
    waits_for: tuple[tuple[int, State], ...] = ()


def explain_wait(facts: WaitFacts, *, stale_after: timedelta) -> WaitExplanation | None:
    """Return why the job does not run, or where it runs; None if it has ended."""
    match facts.state:
        case State.BLOCKED:
            return _blocked(facts)
        case State.SCHEDULED:
            return _scheduled(facts)
        case State.READY:
            return _ready(facts)
        case State.RUNNING:
            return _running(facts, stale_after)
        case State.SUCCEEDED | State.CANCELLED | State.DEAD:
            return None
        case _:
            assert_never(facts.state)


def _blocked(facts: WaitFacts) -> WaitExplanation:
    if not facts.waits_for:
        return _at_limit(facts) if facts.is_limited else WaitExplanation(why=WaitReason.WAITS_FOR_A_JOB)
    dead = [job_id for job_id, state in facts.waits_for if state is State.DEAD]
    key = WaitReason.WAITS_FOR_DEAD if dead else WaitReason.WAITS_FOR_JOBS
    return WaitExplanation(why=key, values={"jobs": _format_ids(dead or [job_id for job_id, _ in facts.waits_for])})


def _format_ids(job_ids: list[int]) -> str:
    """Return the first ids, and an ellipsis if there are more."""
    return ", ".join(f"#{job_id}" for job_id in job_ids[:MAX_NAMED]) + (", ..." if len(job_ids) > MAX_NAMED else "")


def _at_limit(facts: WaitFacts) -> WaitExplanation:
    limit = facts.limit
    if limit is None or _has_room(limit, facts.now):
        return WaitExplanation(why=WaitReason.ADMITTED if facts.served else WaitReason.ADMITTED_NO_WORKER)
    key, values = _obstacle(limit, facts.now)
    ahead = {"ahead": capped_count(limit.ahead)} if limit.ahead else {}
    which = {"kind": limit.rule.kind, "name": limit.name, "key": limit.key}
    return WaitExplanation(why=key, values={**which, **values, **ahead})


def _has_room(limit: LimitFacts, now: datetime) -> bool:
    """Tell whether the limit admits jobs; a count that stopped early is taken for full."""
    return (
        limit.used <= MAX_COUNTED
        and available_permits(limit.rule, limit.state, used=limit.used, now=now.timestamp()) > 0
    )


def _obstacle(limit: LimitFacts, now: datetime) -> tuple[WaitReason, dict[str, Any]]:
    """Return the reason why a limit admits no job."""
    rule, closed_until = limit.rule, limit.state.closed_until
    if closed_until is not None and now.timestamp() < closed_until:
        until = {"until": datetime.fromtimestamp(closed_until, UTC)}
        return WaitReason.BREAKER_OPEN if rule.kind is LimitKind.BREAKER else WaitReason.LIMIT_CLOSED, until
    match rule.kind:
        case LimitKind.ORDER:
            return _order_obstacle(limit.holders[0] if limit.holders else HolderFacts(job_id=0))
        case LimitKind.CONCURRENCY:
            return WaitReason.AT_CONCURRENCY, {**_use(limit), "holders": _ids(limit)}
        case LimitKind.BREAKER:
            return WaitReason.BREAKER_HALF_OPEN, {"holders": _ids(limit)}
        case LimitKind.RATE:
            if limit.free_at is None:
                return WaitReason.AT_RATE_IN_USE, _use(limit)
            return WaitReason.AT_RATE, {**_use(limit), "free": limit.free_at}
        case _:
            assert_never(rule.kind)


def _order_obstacle(holder: HolderFacts) -> tuple[WaitReason, dict[str, Any]]:
    values: dict[str, Any] = {"holder": holder.job_id}
    match holder.state:
        case State.RUNNING:
            return WaitReason.IN_ORDER_RUNNING, values
        case State.DEAD:
            return WaitReason.IN_ORDER_DEAD, values
        case State.SCHEDULED if holder.run_after is not None:
            return WaitReason.IN_ORDER_NEXT_ATTEMPT, {**values, "due": holder.run_after}
        case _:
            return WaitReason.IN_ORDER_WAITS, values


def _use(limit: LimitFacts) -> dict[str, Any]:
    return {"used": capped_count(limit.used), "capacity": limit.rule.capacity}


def _ids(limit: LimitFacts) -> str:
    shown = ", ".join(str(holder.job_id) for holder in limit.holders)
    return f"{shown}, ..." if limit.used > len(limit.holders) else shown


def capped_count(number: int) -> int | str:
    """Return a number that was counted up to MAX_COUNTED + 1; ``"10000+"`` if there may be more."""
    return number if number <= MAX_COUNTED else f"{MAX_COUNTED}+"


def _scheduled(facts: WaitFacts) -> WaitExplanation:
    due = facts.run_after
    if due is None or due <= facts.now:
        key = WaitReason.DUE if facts.served else WaitReason.DUE_NO_WORKER
        return WaitExplanation(why=key, values={"due": due or facts.now})
    if facts.unknown_since is not None:
        values = {"name": facts.name, "since": facts.unknown_since, "due": due}
        return WaitExplanation(why=WaitReason.NAME_UNKNOWN, values=values)
    if facts.last_outcome is AttemptOutcome.SNOOZED:
        return WaitExplanation(why=WaitReason.SNOOZED, values={"due": due})
    if facts.attempt > 0:
        values = {"next": facts.attempt + 1, "max": facts.max_attempts, "due": due}
        return WaitExplanation(why=WaitReason.RETRY_DUE, values=values)
    return WaitExplanation(why=WaitReason.NOT_DUE, values={"due": due})


def _ready(facts: WaitFacts) -> WaitExplanation:
    queue = facts.queue_name
    if facts.paused_at is not None:
        values = {"queue": queue, "since": facts.paused_at, "by": facts.paused_by}
        return WaitExplanation(why=WaitReason.PAUSED, values=values)
    if facts.suspended_until is not None:
        return WaitExplanation(why=WaitReason.SUSPENDED, values={"queue": queue, "due": facts.suspended_until})
    if not facts.served:
        return WaitExplanation(why=WaitReason.NO_WORKER)
    if not any(queues is None or queue in queues for queues in facts.served):
        return WaitExplanation(why=WaitReason.NOT_SERVED, values={"queue": queue})
    if facts.ahead > 0:
        why = WaitReason.BEHIND_MANY if facts.ahead > MAX_COUNTED else WaitReason.BEHIND
        turn = {"turn": facts.turn_at} if facts.turn_at else {}
        return WaitExplanation(why=why, values={"queue": queue, "number": min(facts.ahead, MAX_COUNTED), **turn})
    if facts.unknown_since is not None:
        return WaitExplanation(
            why=WaitReason.NAME_UNKNOWN_DUE, values={"name": facts.name, "since": facts.unknown_since}
        )
    return WaitExplanation(why=WaitReason.FIRST, values={"queue": queue})


def _running(facts: WaitFacts, stale_after: timedelta) -> WaitExplanation:
    run = facts.run or RunFacts(worker=None)
    if run.worker is None or not run.is_alive:
        return WaitExplanation(why=WaitReason.WORKER_GONE, values={"worker": run.worker or "-"})
    since = run.run_started_at or run.claimed_at or facts.now
    heard = run.heartbeat_at or since
    values = {"worker": run.worker, "since": since, "heard": heard}
    if heard < facts.now - stale_after:
        return WaitExplanation(why=WaitReason.WORKER_SILENT, values=values)
    if run.run_started_at is None and run.claimed_at is not None:
        return WaitExplanation(why=WaitReason.IN_HAND, values=values)
    if run.cancel_requested_at is not None:
        return WaitExplanation(why=WaitReason.CANCEL_REQUESTED, values={**values, "asked": run.cancel_requested_at})
    return WaitExplanation(why=WaitReason.RUNS, values=values)
