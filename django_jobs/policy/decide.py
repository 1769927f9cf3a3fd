"""Decide a job's next state after a run. The only place that turns an outcome into a state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, assert_never

from .durations import MAX_DURATION
from .limits import RequiredPermit
from .outcomes import (
    AttemptOutcome,
    Cancelled,
    DeathReason,
    Discarded,
    Error,
    Expired,
    Failed,
    Interrupted,
    Lost,
    Outcome,
    PermitsMissing,
    Released,
    ResultRetentionSpec,
    Snoozed,
    Succeeded,
    UnknownJob,
    UnraisedError,
    Unreadable,
)
from .plurals import counted
from .states import State

INTERRUPTED_DELAY = timedelta(seconds=1)
"""The wait of a job whose database went away: what has just come back may not take every connection yet."""
MAX_INTERRUPTIONS = 10
"""How often that uses up no attempt: a job may be the cause, for example by a statement that kills the server."""


class JobFacts(NamedTuple):
    """Facts about the job that a decision depends on.

    ``attempt`` includes the run that just ended. ``unknown_for``: how long no worker has known the job's name.
    ``worker_deaths``: how many workers died while it ran, before this run. ``is_limited``: it needs permits of
    limits, and acquires them again for another run.
    """

    attempt: int
    max_attempts: int
    unknown_for: timedelta | None = None
    worker_deaths: int = 0
    is_limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings:
    """Settings for jobs with unknown names and for jobs whose workers die.

    A job with an unknown name is retried after ``unknown_retry_delay`` and is dead after ``unknown_ttl``. A job
    that was running when a worker died ``max_worker_deaths`` times is quarantined.
    """

    unknown_retry_delay: timedelta
    unknown_ttl: timedelta
    max_worker_deaths: int

    def needs_isolation(self, worker_deaths: int) -> bool:
        """Tell whether the next worker death would quarantine the job.

        Such a job runs in a process of its own, so that if the process dies, the job is the cause.
        """
        return worker_deaths > 0 and worker_deaths >= self.max_worker_deaths - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The changes that the finish writes.

    state: the next state. READY (released or rescued) keeps the job's place in its queue; a limited job whose
        function started is BLOCKED instead, until its limits admit it again.
    attempt_outcome: outcome of the recorded attempt; None: nothing is recorded, the function never started.
    delay: set if and only if ``state`` is SCHEDULED; when it is over the job is enqueued behind those ready by then.
    death: set if and only if ``state`` is DEAD.
    gives_back_attempt: the run does not count as an attempt.
    name_unknown: no function has this name here; ``unknown_since`` is set if it was not.
    keeps_unknown_since: ``unknown_since`` stays, because the name was not checked.
    closes_limit: the whole key of the job's rate limit waits for ``delay``.
    needs: permits that were missing when the job was to start.
    has_expired: the job expired before it started.
    after_interruptions: the decision instead of this one, if the job was interrupted MAX_INTERRUPTIONS times before.
    result_retention: set if the result needs more than the job's row.
    """

    state: State
    attempt_outcome: AttemptOutcome | None
    delay: timedelta | None = None
    gives_back_attempt: bool = False
    name_unknown: bool = False
    keeps_unknown_since: bool = False
    worker_died: bool = False
    result: str | None = None
    error: Error | None = None
    death: DeathReason | None = None
    closes_limit: bool = False
    needs: tuple[RequiredPermit, ...] = ()
    has_expired: bool = False
    result_retention: ResultRetentionSpec | None = None
    after_interruptions: Decision | None = None


SUCCEEDED_WITHOUT_RESULT = Decision(state=State.SUCCEEDED, attempt_outcome=AttemptOutcome.SUCCEEDED)
EXPIRED = Decision(state=State.CANCELLED, attempt_outcome=None, gives_back_attempt=True, has_expired=True)


def decide(outcome: Outcome, facts: JobFacts, *, rules: DecisionSettings) -> Decision:
    """Return the decision for a job whose run ended with ``outcome``."""
    match outcome:
        case Succeeded():
            return decide_success(outcome)
        case Failed():
            return _after_failure(outcome, facts)
        case Discarded(error=error):
            return _dead(AttemptOutcome.DISCARDED, DeathReason.DISCARDED, error)
        case Snoozed(delay=delay, closes_limit=closes_limit):
            return _reschedule(AttemptOutcome.SNOOZED, delay, gives_back_attempt=True, closes_limit=closes_limit)
        case Cancelled(error=error):
            return Decision(state=State.CANCELLED, attempt_outcome=AttemptOutcome.CANCELLED, error=error)
        case Released() | Interrupted():
            return _released(outcome, facts, rules)
        case Lost():
            return _after_loss(outcome, facts, rules)
        case Expired() | PermitsMissing() | UnknownJob():
            return _not_started(outcome, facts, rules)
        case Unreadable(error=error):
            return _dead(AttemptOutcome.UNREADABLE, DeathReason.UNREADABLE, error)
        case _:
            assert_never(outcome)


def decide_success(outcome: Succeeded) -> Decision:
    """Return the decision for a job that succeeded, which depends on nothing else."""
    if outcome.result is None:
        return SUCCEEDED_WITHOUT_RESULT
    return Decision(
        state=State.SUCCEEDED,
        attempt_outcome=AttemptOutcome.SUCCEEDED,
        result=outcome.result,
        result_retention=outcome.result_retention,
    )


def _released(outcome: Released | Interrupted, facts: JobFacts, rules: DecisionSettings) -> Decision:
    if isinstance(outcome, Interrupted):
        return _interrupted(outcome.failure, facts, rules)
    return Decision(
        state=State.BLOCKED if outcome.started and facts.is_limited else State.READY,
        attempt_outcome=AttemptOutcome.RELEASED if outcome.started else None,
        gives_back_attempt=True,
        keeps_unknown_since=not outcome.started,
    )


def _interrupted(failure: Failed | Discarded | None, facts: JobFacts, rules: DecisionSettings) -> Decision:
    """Give the attempt back, bounded as worker deaths are."""
    return Decision(
        state=State.SCHEDULED,
        attempt_outcome=AttemptOutcome.RELEASED if failure is not None else None,
        delay=INTERRUPTED_DELAY,
        gives_back_attempt=True,
        keeps_unknown_since=failure is None,
        error=None if failure is None else failure.error,
        after_interruptions=None if failure is None else decide(failure, facts, rules=rules),
    )


def _not_started(outcome: Expired | PermitsMissing | UnknownJob, facts: JobFacts, rules: DecisionSettings) -> Decision:
    if isinstance(outcome, Expired):
        return EXPIRED
    if isinstance(outcome, UnknownJob):
        return _retry_or_kill_unknown(facts, rules)
    return Decision(
        state=State.BLOCKED,
        attempt_outcome=None,
        gives_back_attempt=True,
        keeps_unknown_since=True,
        needs=outcome.needs,
    )


def _after_failure(outcome: Failed, facts: JobFacts) -> Decision:
    if outcome.timed_out:
        attempt_outcome = AttemptOutcome.TIMED_OUT
    elif outcome.retry_requested:
        attempt_outcome = AttemptOutcome.RETRIED
    else:
        attempt_outcome = AttemptOutcome.FAILED
    if outcome.retry_in is None:
        return _dead(attempt_outcome, DeathReason.NOT_RETRYABLE, outcome.error)
    if facts.attempt >= facts.max_attempts:
        return _dead(attempt_outcome, DeathReason.ATTEMPTS_USED_UP, outcome.error)
    return _reschedule(attempt_outcome, outcome.retry_in, error=outcome.error)


def _after_loss(outcome: Lost, facts: JobFacts, rules: DecisionSettings) -> Decision:
    """Decide by the number of worker deaths; they do not count as attempts, as the job may not be the cause."""
    if not outcome.ran:
        return Decision(state=State.READY, attempt_outcome=None, gives_back_attempt=True, keeps_unknown_since=True)
    deaths = facts.worker_deaths + 1
    quarantined = deaths >= rules.max_worker_deaths
    count = f" ({counted(deaths, 'worker')} died while it ran)" if deaths > 1 else ""
    return Decision(
        state=State.DEAD if quarantined else State.BLOCKED if facts.is_limited else State.READY,
        attempt_outcome=AttemptOutcome.LOST,
        gives_back_attempt=not quarantined,
        keeps_unknown_since=not quarantined,
        worker_died=True,
        error=Error.unraised(UnraisedError.WORKER_LOST, outcome.reason + count),
        death=DeathReason.QUARANTINED if quarantined else None,
    )


def _retry_or_kill_unknown(facts: JobFacts, rules: DecisionSettings) -> Decision:
    if facts.unknown_for is not None and facts.unknown_for >= rules.unknown_ttl:
        error = Error.unraised(UnraisedError.UNKNOWN_JOB, f"no worker knew this job for {rules.unknown_ttl}")
        return _dead(None, DeathReason.UNKNOWN_JOB, error)
    return Decision(
        state=State.SCHEDULED,
        attempt_outcome=None,
        delay=rules.unknown_retry_delay,
        gives_back_attempt=True,
        name_unknown=True,
    )


def _reschedule(
    attempt_outcome: AttemptOutcome,
    delay: timedelta,
    *,
    gives_back_attempt: bool = False,
    closes_limit: bool = False,
    error: Error | None = None,
) -> Decision:
    return Decision(
        state=State.SCHEDULED,
        attempt_outcome=attempt_outcome,
        delay=min(delay, MAX_DURATION),
        gives_back_attempt=gives_back_attempt,
        closes_limit=closes_limit,
        error=error,
    )


def _dead(attempt_outcome: AttemptOutcome | None, reason: DeathReason, error: Error) -> Decision:
    return Decision(state=State.DEAD, attempt_outcome=attempt_outcome, error=error, death=reason)
