"""Decide what happens to a job after one run: the only place where an outcome becomes a next state."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, assert_never

from .backoff import MAX_WAIT
from .limits import RequiredPermit
from .outcomes import (
    AttemptOutcome,
    Cancelled,
    DeathReason,
    Discarded,
    Error,
    Expired,
    Failed,
    Lost,
    Outcome,
    PermitsMissing,
    Released,
    ResultRetentionSpec,
    Snoozed,
    Succeeded,
    UnknownJob,
    Unreadable,
)
from .states import State


class JobFacts(NamedTuple):
    """What a decision needs to know of the job.

    ``attempt`` counts the run that has just ended; ``unknown_for`` is how long no worker has known its name;
    ``worker_deaths`` how often a worker died while it ran, before this run. ``is_limited``: it is under a limit, and
    needs its permits anew for another run.
    """

    attempt: int
    max_attempts: int
    unknown_for: timedelta | None = None
    worker_deaths: int = 0
    is_limited: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionSettings:
    """What the settings say of jobs that cannot run here, and of jobs that their workers do not survive.

    A job of an unknown name is looked at again after ``unknown_retry_delay`` and is dead after ``unknown_ttl``; one
    that ran while its worker died ``max_worker_deaths`` times is quarantined.
    """

    unknown_retry_delay: timedelta
    unknown_ttl: timedelta
    max_worker_deaths: int

    def needs_isolation(self, worker_deaths: int) -> bool:
        """Tell whether the next worker death would quarantine a job that had so many.

        Such a job is run in a process of its own: whatever dies with it then dies by its doing.
        """
        return worker_deaths > 0 and worker_deaths >= self.max_worker_deaths - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the finish will write.

    ``delay`` is set exactly where ``state`` is scheduled; after it the job becomes ready anew, behind
    those that are ready by then. A job that is ready at once (given back, or rescued) keeps its place
    in the line. ``attempt_outcome`` None: no attempt is recorded, because the function never started.
    A job of a limit that is not ready at once is blocked until the limit lets it in again. ``closes_limit``: the limit's
    whole key is to wait for ``delay`` too; ``needs``: what the job was found to lack of limits.
    ``result_retention``: how the result is kept, where that takes more than the job's row.
    ``death`` is set exactly where ``state`` is dead. ``name_unknown``: the name is unknown, from now on where it
    was not before; ``keeps_unknown_since``: nobody looked whether it is. ``has_expired``: it was too old to begin.
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


SUCCEEDED_WITHOUT_RESULT = Decision(state=State.SUCCEEDED, attempt_outcome=AttemptOutcome.SUCCEEDED)
EXPIRED = Decision(state=State.CANCELLED, attempt_outcome=None, gives_back_attempt=True, has_expired=True)


def decide(outcome: Outcome, facts: JobFacts, *, rules: DecisionSettings) -> Decision:
    """Return what happens next to a job whose run ended with ``outcome``."""
    match outcome:
        case Succeeded(result=result, result_retention=result_retention):
            return _succeeded(result, result_retention)
        case Failed():
            return _after_failure(outcome, facts)
        case Discarded(error=error):
            return _dead(AttemptOutcome.DISCARDED, DeathReason.DISCARDED, error)
        case Snoozed(delay=delay, closes_limit=closes_limit):
            return _reschedule(
                AttemptOutcome.SNOOZED, delay, gives_back_attempt=True, closes_limit=closes_limit
            )
        case Cancelled(error=error):
            return Decision(state=State.CANCELLED, attempt_outcome=AttemptOutcome.CANCELLED, error=error)
        case Released(started=started):
            return _released(facts, started)
        case Lost():
            return _after_loss(outcome, facts, rules)
        case Expired() | PermitsMissing() | UnknownJob():
            return _not_started(outcome, facts, rules)
        case Unreadable(error=error):
            return _dead(AttemptOutcome.UNREADABLE, DeathReason.UNREADABLE, error)
        case _:
            assert_never(outcome)


def _succeeded(result: str | None, result_retention: ResultRetentionSpec | None) -> Decision:
    if result is None:
        return SUCCEEDED_WITHOUT_RESULT
    return Decision(
        state=State.SUCCEEDED,
        attempt_outcome=AttemptOutcome.SUCCEEDED,
        result=result,
        result_retention=result_retention,
    )


def _released(facts: JobFacts, started: bool) -> Decision:
    return Decision(
        state=State.BLOCKED if started and facts.is_limited else State.READY,
        attempt_outcome=AttemptOutcome.RELEASED if started else None,
        gives_back_attempt=True,
        keeps_unknown_since=not started,
    )


def _not_started(
    outcome: Expired | PermitsMissing | UnknownJob, facts: JobFacts, rules: DecisionSettings
) -> Decision:
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
        ended = AttemptOutcome.TIMED_OUT
    elif outcome.retry_requested:
        ended = AttemptOutcome.RETRIED
    else:
        ended = AttemptOutcome.FAILED
    if outcome.retry_in is None:
        return _dead(ended, DeathReason.NOT_RETRYABLE, outcome.error)
    if facts.attempt >= facts.max_attempts:
        return _dead(ended, DeathReason.ATTEMPTS_USED_UP, outcome.error)
    return _reschedule(ended, outcome.retry_in, error=outcome.error)


def _after_loss(outcome: Lost, facts: JobFacts, rules: DecisionSettings) -> Decision:
    """Decide by the number of worker deaths, kept apart from tries: the job may or may not be at fault."""
    if not outcome.ran:
        return Decision(
            state=State.READY, attempt_outcome=None, gives_back_attempt=True, keeps_unknown_since=True
        )
    deaths = facts.worker_deaths + 1
    quarantined = deaths >= rules.max_worker_deaths
    counted = f" ({deaths} workers died while it ran)" if deaths > 1 else ""
    return Decision(
        state=State.DEAD if quarantined else State.BLOCKED if facts.is_limited else State.READY,
        attempt_outcome=AttemptOutcome.LOST,
        gives_back_attempt=not quarantined,
        keeps_unknown_since=not quarantined,
        worker_died=True,
        error=Error(error_class="WorkerLost", message=outcome.reason + counted, traceback="", fingerprint=""),
        death=DeathReason.QUARANTINED if quarantined else None,
    )


def _retry_or_kill_unknown(facts: JobFacts, rules: DecisionSettings) -> Decision:
    if facts.unknown_for is not None and facts.unknown_for >= rules.unknown_ttl:
        error = Error(
            error_class="UnknownJob",
            message=f"no worker knew this job for {rules.unknown_ttl}",
            traceback="",
            fingerprint="",
        )
        return _dead(None, DeathReason.UNKNOWN_JOB, error)
    return Decision(
        state=State.SCHEDULED,
        attempt_outcome=None,
        delay=rules.unknown_retry_delay,
        gives_back_attempt=True,
        name_unknown=True,
    )


def _reschedule(
    ended: AttemptOutcome,
    delay: timedelta,
    *,
    gives_back_attempt: bool = False,
    closes_limit: bool = False,
    error: Error | None = None,
) -> Decision:
    return Decision(
        state=State.SCHEDULED,
        attempt_outcome=ended,
        delay=min(delay, MAX_WAIT),
        gives_back_attempt=gives_back_attempt,
        closes_limit=closes_limit,
        error=error,
    )


def _dead(ended: AttemptOutcome | None, reason: DeathReason, error: Error) -> Decision:
    return Decision(state=State.DEAD, attempt_outcome=ended, error=error, death=reason)
