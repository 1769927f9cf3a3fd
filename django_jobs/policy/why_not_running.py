"""Say why a job is not running: the one obstacle that comes first, as a key and the values of its sentence.

The words are made at the edge (``shown.py``), so that they can be translated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

from .limits import Kind, LimitState, Rule, room
from .outcomes import AttemptOutcome
from .states import State

MOST_COUNTED = 10_000
"""Of the jobs before this one no more are counted."""
MOST_NAMED = 5
"""Of the jobs that a blocked one waits for no more are named."""


class Why(StrEnum):
    """What stands between a job and its run, or where it runs."""

    WAITS_FOR_A_JOB = "waits_for_a_job"
    AT_RATE = "at_rate"
    AT_RATE_IN_USE = "at_rate_in_use"
    AT_CONCURRENCY = "at_concurrency"
    IN_ORDER_RUNS = "in_order_runs"
    IN_ORDER_NEXT_TRY = "in_order_next_try"
    IN_ORDER_WAITS = "in_order_waits"
    BREAKER_OPEN = "breaker_open"
    BREAKER_TRIES = "breaker_tries"
    HELD_BACK = "held_back"
    LET_IN = "let_in"
    LET_IN_AND_NO_WORKER = "let_in_and_no_worker"
    WAITS_FOR_JOBS = "waits_for_jobs"
    WAITS_FOR_DEAD = "waits_for_dead"
    NAME_UNKNOWN = "name_unknown"
    NAME_UNKNOWN_DUE = "name_unknown_due"
    NOT_DUE = "not_due"
    RETRY_DUE = "retry_due"
    SNOOZED = "snoozed"
    DUE = "due"
    DUE_AND_NO_WORKER = "due_and_no_worker"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    NOT_SERVED = "not_served"
    BEHIND = "behind"
    BEHIND_MANY = "behind_many"
    FIRST = "first"
    RUNS = "runs"
    ASKED_TO_END = "asked_to_end"
    WORKER_SILENT = "worker_silent"
    WORKER_GONE = "worker_gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Which sentence is true, and what is filled into it: text, whole numbers and aware instants."""

    why: Why
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Where a running job runs. ``worker`` None: its row is gone; ``is_alive``: neither lost nor stopped."""

    worker: str | None
    is_alive: bool = True
    heartbeat_at: datetime | None = None
    started_at: datetime | None = None
    cancel_requested_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderFacts:
    """A job that holds a permit of the limit at which another waits."""

    job_id: int
    state: State = State.READY
    run_after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """The limit at which a job waits. ``used`` permits are held or cooling, ``free_at`` is when the first has cooled.

    ``ahead`` counts the jobs before this one in the limit's line; both counts end at one more than MOST_COUNTED.
    ``holders`` are the first few.
    """

    name: str
    key: str
    rule: Rule
    state: LimitState
    used: int
    free_at: datetime | None = None
    holders: tuple[HolderFacts, ...] = ()
    ahead: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitFacts:
    """What is known of a job and of its queue at the instant ``now``.

    ``served`` has the queues of each living worker, None for all. ``ahead`` counts the ready jobs before this
    one, up to one more than MOST_COUNTED. ``last_outcome`` is the last try's. ``waits_for`` has ids and states of
    jobs that a blocked one waits for, the dead ones first, up to one more than MOST_NAMED. ``is_limited``: it is under
    limits; ``limit`` is the one at which it waits, None where no worker has come to look at it yet.
    """

    state: State
    now: datetime
    name: str = ""
    queue_name: str = ""
    run_after: datetime | None = None
    attempt: int = 0
    max_attempts: int = 1
    held_since: datetime | None = None
    last_outcome: AttemptOutcome | None = None
    paused_at: datetime | None = None
    paused_by: str = ""
    served: tuple[frozenset[str] | None, ...] = ()
    ahead: int = 0
    run: RunFacts | None = None
    is_limited: bool = False
    limit: LimitFacts | None = None
    waits_for: tuple[tuple[int, State], ...] = ()


def why(facts: WaitFacts, *, stale_after: timedelta) -> Reason | None:
    """Return why the job does not run, or where it does; None where it has ended."""
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


def _blocked(facts: WaitFacts) -> Reason:
    if not facts.waits_for:
        return _limited(facts) if facts.is_limited else Reason(why=Why.WAITS_FOR_A_JOB)
    dead = [job_id for job_id, state in facts.waits_for if state is State.DEAD]
    key = Why.WAITS_FOR_DEAD if dead else Why.WAITS_FOR_JOBS
    return Reason(why=key, values={"jobs": _named(dead or [job_id for job_id, _ in facts.waits_for])})


def _named(job_ids: list[int]) -> str:
    """Return some ids and whether there are more."""
    return ", ".join(f"#{one}" for one in job_ids[:MOST_NAMED]) + (
        ", ..." if len(job_ids) > MOST_NAMED else ""
    )


def _limited(facts: WaitFacts) -> Reason:
    limit = facts.limit
    if limit is None or _has_room(limit, facts.now):
        return Reason(why=Why.LET_IN if facts.served else Why.LET_IN_AND_NO_WORKER)
    key, values = _obstacle(limit, facts.now)
    ahead = {"ahead": counted(limit.ahead)} if limit.ahead else {}
    which = {"kind": limit.rule.kind, "name": limit.name, "key": limit.key}
    return Reason(why=key, values={**which, **values, **ahead})


def _has_room(limit: LimitFacts, now: datetime) -> bool:
    """Tell whether the limit lets somebody in; of a count that ended early nobody knows, and it is taken for full."""
    return (
        limit.used <= MOST_COUNTED and room(limit.rule, limit.state, used=limit.used, now=now.timestamp()) > 0
    )


def _obstacle(limit: LimitFacts, now: datetime) -> tuple[Why, dict[str, Any]]:
    """Return what keeps a limit from letting anybody in."""
    rule, closed_until = limit.rule, limit.state.closed_until
    if closed_until is not None and now.timestamp() < closed_until:
        until = {"until": datetime.fromtimestamp(closed_until, UTC)}
        return Why.BREAKER_OPEN if rule.kind is Kind.BREAKER else Why.HELD_BACK, until
    match rule.kind:
        case Kind.ORDER:
            return _turn(limit.holders[0] if limit.holders else HolderFacts(job_id=0))
        case Kind.CONCURRENCY:
            return Why.AT_CONCURRENCY, {**_use(limit), "holders": _ids(limit)}
        case Kind.BREAKER:
            return Why.BREAKER_TRIES, {"holders": _ids(limit)}
        case Kind.RATE:
            if limit.free_at is None:
                return Why.AT_RATE_IN_USE, _use(limit)
            return Why.AT_RATE, {**_use(limit), "free": limit.free_at}
        case _:
            assert_never(rule.kind)


def _turn(holder: HolderFacts) -> tuple[Why, dict[str, Any]]:
    values: dict[str, Any] = {"holder": holder.job_id}
    match holder.state:
        case State.RUNNING:
            return Why.IN_ORDER_RUNS, values
        case State.SCHEDULED if holder.run_after is not None:
            return Why.IN_ORDER_NEXT_TRY, {**values, "due": holder.run_after}
        case _:
            return Why.IN_ORDER_WAITS, values


def _use(limit: LimitFacts) -> dict[str, Any]:
    return {"used": counted(limit.used), "capacity": limit.rule.capacity}


def _ids(limit: LimitFacts) -> str:
    shown = ", ".join(str(one.job_id) for one in limit.holders)
    return f"{shown}, ..." if limit.used > len(limit.holders) else shown


def counted(number: int) -> int | str:
    """Return a number that was counted up to one more than MOST_COUNTED: ``"10000+"`` where there may be more."""
    return number if number <= MOST_COUNTED else f"{MOST_COUNTED}+"


def _scheduled(facts: WaitFacts) -> Reason:
    due = facts.run_after
    if due is None or due <= facts.now:
        key = Why.DUE if facts.served else Why.DUE_AND_NO_WORKER
        return Reason(why=key, values={"due": due or facts.now})
    if facts.held_since is not None:
        values = {"name": facts.name, "since": facts.held_since, "due": due}
        return Reason(why=Why.NAME_UNKNOWN, values=values)
    if facts.last_outcome is AttemptOutcome.SNOOZED:
        return Reason(why=Why.SNOOZED, values={"due": due})
    if facts.attempt > 0:
        values = {"next": facts.attempt + 1, "most": facts.max_attempts, "due": due}
        return Reason(why=Why.RETRY_DUE, values=values)
    return Reason(why=Why.NOT_DUE, values={"due": due})


def _ready(facts: WaitFacts) -> Reason:
    queue = facts.queue_name
    if facts.paused_at is not None:
        values = {"queue": queue, "since": facts.paused_at, "by": facts.paused_by}
        return Reason(why=Why.PAUSED, values=values)
    if not facts.served:
        return Reason(why=Why.NO_WORKER)
    if not any(queues is None or queue in queues for queues in facts.served):
        return Reason(why=Why.NOT_SERVED, values={"queue": queue})
    if facts.ahead > MOST_COUNTED:
        return Reason(why=Why.BEHIND_MANY, values={"queue": queue, "number": MOST_COUNTED})
    if facts.ahead > 0:
        return Reason(why=Why.BEHIND, values={"queue": queue, "number": facts.ahead})
    if facts.held_since is not None:
        return Reason(why=Why.NAME_UNKNOWN_DUE, values={"name": facts.name, "since": facts.held_since})
    return Reason(why=Why.FIRST, values={"queue": queue})


def _running(facts: WaitFacts, stale_after: timedelta) -> Reason:
    run = facts.run or RunFacts(worker=None)
    if run.worker is None or not run.is_alive:
        return Reason(why=Why.WORKER_GONE, values={"worker": run.worker or "-"})
    started = run.started_at or facts.now
    heard = run.heartbeat_at or started
    values = {"worker": run.worker, "since": started, "heard": heard}
    if heard < facts.now - stale_after:
        return Reason(why=Why.WORKER_SILENT, values=values)
    if run.cancel_requested_at is not None:
        return Reason(why=Why.ASKED_TO_END, values={**values, "asked": run.cancel_requested_at})
    return Reason(why=Why.RUNS, values=values)
