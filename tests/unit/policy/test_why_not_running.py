"""Why a job is not running: one true reason for each state that is not final."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from django_jobs.policy.limits import CircuitBreaker, Concurrency, LimitState, Ordering, RateLimit
from django_jobs.policy.outcomes import AttemptOutcome
from django_jobs.policy.states import FINAL_STATES, State
from django_jobs.policy.why_not_running import (
    HolderFacts,
    LimitFacts,
    RunFacts,
    WaitFacts,
    WaitReason,
    explain_wait,
)
from django_jobs.reasons import REASON_TEXTS, render_reason

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOON, LONG_AGO = NOW + timedelta(minutes=5), NOW - timedelta(minutes=5)
STALE_AFTER = timedelta(seconds=15)
ALL = (None,)
OWN = (frozenset({"mail"}), frozenset({"pay"}))
WAITING = {"state": State.SCHEDULED, "run_after": SOON}
READY = {"state": State.READY, "served": ALL}
LIVE = RunFacts(worker="host:7 #1", heartbeat_at=NOW, claimed_at=LONG_AGO, run_started_at=LONG_AGO)
AT = "2026-03-01 12:05"
AGO = "2026-03-01 11:55"
NEXT_TRY = HolderFacts(job_id=17, state=State.SCHEDULED, run_after=SOON)
TRIPPED = LimitState(closed_until=LONG_AGO.timestamp(), tripped=True)
UNTOUCHED = LimitState()


@pytest.fixture(autouse=True)
def _keys_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show keys of limits that no job here has; what is masked is tested with the limits' pages."""
    monkeypatch.setattr("django_jobs.redaction.redact_limit_key", lambda kind, name, key: key)


def at(
    limit: RateLimit | Concurrency | Ordering | CircuitBreaker, state: LimitState = UNTOUCHED, **facts: Any
) -> dict[str, Any]:
    """Return the facts of a job that waits at a limit."""
    limited = LimitFacts(
        **{"name": "shop.call", "key": "acme", "rule": limit.rule(), "state": state, "used": 3, **facts}
    )
    return {"state": State.BLOCKED, "is_limited": True, "served": ALL, "limit": limited}


CASES: list[tuple[dict[str, Any], WaitReason, str]] = [
    ({"state": State.BLOCKED}, WaitReason.WAITS_FOR_A_JOB, "Waiting for another job to finish."),
    (
        at(RateLimit(10), used=10, free_at=SOON, ahead=3),
        WaitReason.AT_RATE,
        (
            'Waiting for the rate limit shop.call, key "acme": 10 of 10 permits in use, the next is free at'
            f" {AT}. Jobs ahead of it: 3."
        ),
    ),
    (
        at(RateLimit(100_000), used=10_001, ahead=10_001),
        WaitReason.AT_RATE_IN_USE,
        (
            "10000+ of 100000 permits in use by unfinished jobs; the next is free some time after one of them"
            " finishes. Jobs ahead of it: 10000+."
        ),
    ),
    (
        at(RateLimit(10), LimitState(closed_until=SOON.timestamp()), key=""),
        WaitReason.LIMIT_CLOSED,
        f"The called server asked for a pause: no job of shop.call starts before {AT}.",
    ),
    (
        at(Concurrency(3), holders=tuple(HolderFacts(job_id=job_id) for job_id in (11, 12, 13))),
        WaitReason.AT_CONCURRENCY,
        'Waiting for the concurrency limit shop.call, key "acme": 3 of 3 permits in use, by jobs 11, 12, 13.',
    ),
    (
        at(Concurrency(9), used=9, holders=(HolderFacts(job_id=11),)),
        WaitReason.AT_CONCURRENCY,
        "by jobs 11, ....",
    ),
    (
        at(Ordering("customer"), used=1, holders=(HolderFacts(job_id=17, state=State.RUNNING),)),
        WaitReason.IN_ORDER_RUNNING,
        'in the order of shop.call, key "acme": job 17 is ahead and running.',
    ),
    (
        at(Ordering("customer"), used=1, holders=(NEXT_TRY,)),
        WaitReason.IN_ORDER_NEXT_ATTEMPT,
        f"job 17 is ahead, its next attempt is due at {AT}.",
    ),
    (
        at(Ordering("customer"), used=1, holders=(HolderFacts(job_id=17),)),
        WaitReason.IN_ORDER_WAITS,
        "job 17 is ahead and has not started.",
    ),
    (
        at(Ordering("customer"), used=1, holders=(HolderFacts(job_id=17, state=State.DEAD),)),
        WaitReason.IN_ORDER_DEAD,
        "job 17 is ahead and dead. Redrive it, or resolve",
    ),
    (
        at(CircuitBreaker(failures=5), LimitState(closed_until=SOON.timestamp(), tripped=True)),
        WaitReason.BREAKER_OPEN,
        (
            'The circuit breaker of shop.call, key "acme" is open after failures: no job starts before'
            f" {AT}, then one trial job."
        ),
    ),
    (
        at(CircuitBreaker(failures=5), TRIPPED, used=1, holders=(HolderFacts(job_id=17),)),
        WaitReason.BREAKER_HALF_OPEN,
        "half-open: the outcome of trial job 17 decides.",
    ),
    (
        at(RateLimit(10), ahead=2),
        WaitReason.ADMITTED,
        "Waiting at a limit; a worker is about to admit it.",
    ),
    (
        {"state": State.BLOCKED, "is_limited": True},
        WaitReason.ADMITTED_NO_WORKER,
        "Waiting at a limit, and no worker is alive to admit it.",
    ),
    (
        {"state": State.BLOCKED, "waits_for": ((7, State.RUNNING), (9, State.BLOCKED))},
        WaitReason.WAITS_FOR_JOBS,
        "Waiting for these jobs to succeed: #7, #9.",
    ),
    (
        {"state": State.BLOCKED, "waits_for": ((9, State.DEAD), (7, State.RUNNING))},
        WaitReason.WAITS_FOR_DEAD,
        "Waiting for dead jobs: #9. Retry them; it continues once they succeed.",
    ),
    (
        {"state": State.BLOCKED, "waits_for": tuple((at, State.READY) for at in range(6))},
        WaitReason.WAITS_FOR_JOBS,
        "Waiting for these jobs to succeed: #0, #1, #2, #3, #4, ....",
    ),
    (WAITING, WaitReason.NOT_DUE, f"Scheduled for {AT}."),
    (
        {**WAITING, "attempt": 1, "max_attempts": 5, "last_outcome": AttemptOutcome.FAILED},
        WaitReason.RETRY_DUE,
        f"The last attempt did not succeed; attempt 2 of 5 is due at {AT}.",
    ),
    (
        {**WAITING, "attempt": 1, "last_outcome": AttemptOutcome.SNOOZED},
        WaitReason.SNOOZED,
        f"Snoozed until {AT}.",
    ),
    (
        {**WAITING, "name": "pay", "unknown_since": LONG_AGO, "served": ALL},
        WaitReason.NAME_UNKNOWN,
        f"No worker has known a job named pay since {AGO}. Workers are asked again at {AT}.",
    ),
    (
        {**WAITING, "run_after": LONG_AGO, "served": ALL},
        WaitReason.DUE,
        f"Due since {AGO}; a worker is about to make it ready.",
    ),
    (
        {**WAITING, "run_after": LONG_AGO},
        WaitReason.DUE_NO_WORKER,
        f"Due since {AGO}, but no worker is alive to make it ready.",
    ),
    (
        {**READY, "paused_at": LONG_AGO, "paused_by": "ada", "ahead": 3},
        WaitReason.PAUSED,
        f"The queue mail has been paused by ada since {AGO}.",
    ),
    (
        {**READY, "paused_at": LONG_AGO, "served": ()},
        WaitReason.PAUSED,
        f"The queue mail has been paused since {AGO}.",
    ),
    (
        {**READY, "suspended_until": LONG_AGO, "ahead": 3},
        WaitReason.SUSPENDED,
        f"The broker of the queue mail does not answer; one message is sent as a test at about {AGO}.",
    ),
    ({**READY, "served": ()}, WaitReason.NO_WORKER, "Ready, but no worker is alive."),
    (
        {**READY, "served": (frozenset({"pay"}),), "ahead": 3},
        WaitReason.NOT_SERVED,
        "Ready, but no live worker serves the queue mail.",
    ),
    ({**READY, "ahead": 3}, WaitReason.BEHIND, "Ready, behind 3 other jobs in the queue mail."),
    ({**READY, "ahead": 10_000}, WaitReason.BEHIND, "Ready, behind 10000 other jobs in the queue mail."),
    ({**READY, "ahead": 10_001}, WaitReason.BEHIND_MANY, "behind more than 10000 other jobs"),
    (
        {**READY, "ahead": 3, "turn_at": LONG_AGO},
        WaitReason.BEHIND,
        f"behind 3 other jobs in the queue mail. Its turn comes at about {AGO}.",
    ),
    (
        {**READY, "ahead": 10_001, "turn_at": LONG_AGO},
        WaitReason.BEHIND_MANY,
        f"other jobs in the queue mail. Its turn comes at about {AGO} at the earliest.",
    ),
    ({**READY, "served": OWN}, WaitReason.FIRST, "Ready and first in the queue mail"),
    (
        {**READY, "name": "pay", "unknown_since": LONG_AGO},
        WaitReason.NAME_UNKNOWN_DUE,
        f"No worker has known a job named pay since {AGO}. It is ready, and workers are asked again.",
    ),
    (
        {"state": State.RUNNING, "run": LIVE},
        WaitReason.RUNS,
        f"Running since {AGO} on host:7 #1, last heartbeat at 2026-03-01 12:00.",
    ),
    (
        {
            "state": State.RUNNING,
            "run": RunFacts(worker="w", heartbeat_at=NOW, run_started_at=LONG_AGO, cancel_requested_at=NOW),
        },
        WaitReason.CANCEL_REQUESTED,
        "Running since 2026-03-01 11:55 on w. Cancellation was requested at 2026-03-01 12:00.",
    ),
    (
        {"state": State.RUNNING, "run": RunFacts(worker="w", heartbeat_at=NOW, claimed_at=LONG_AGO)},
        WaitReason.IN_HAND,
        "In hand: claimed by w at 2026-03-01 11:55, and not begun when that reported last, at 2026-03-01 12:00.",
    ),
    (
        {"state": State.RUNNING, "run": RunFacts(worker="w", heartbeat_at=LONG_AGO, run_started_at=LONG_AGO)},
        WaitReason.WORKER_SILENT,
        f"The worker w has sent no heartbeat since {AGO}; the job is about to be rescued.",
    ),
    (
        {"state": State.RUNNING, "run": RunFacts(worker="w", is_alive=False, heartbeat_at=NOW)},
        WaitReason.WORKER_GONE,
        "The worker w is gone; the job is about to be rescued.",
    ),
    ({"state": State.RUNNING}, WaitReason.WORKER_GONE, "The worker - is gone"),
]


@pytest.mark.parametrize(("facts", "key", "said"), CASES)
def test_each_situation_has_its_sentence(facts: dict[str, Any], key: WaitReason, said: str) -> None:
    reason = explain_wait(WaitFacts(**{"now": NOW, "queue_name": "mail", **facts}), stale_after=STALE_AFTER)
    assert reason is not None
    assert reason.why is key
    assert said in render_reason(reason, instant=lambda instant: f"{instant:%Y-%m-%d %H:%M}")


def test_the_table_has_every_reason_and_every_reason_a_sentence() -> None:
    assert {key for _, key, _ in CASES} == set(WaitReason)
    assert set(REASON_TEXTS) == set(WaitReason)


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_an_ended_job_has_no_reason(state: State) -> None:
    assert explain_wait(WaitFacts(state=state, now=NOW), stale_after=STALE_AFTER) is None


def test_without_the_permission_the_key_is_not_shown() -> None:
    reason = explain_wait(WaitFacts(now=NOW, **at(RateLimit(3))), stale_after=STALE_AFTER)
    assert reason is not None
    assert "acme" in render_reason(reason, instant=str)
    assert "acme" not in render_reason(reason, instant=str, show_keys=False)
