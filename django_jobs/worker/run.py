"""Run one job: look up, read the arguments, call under its limits, and say what follows.

::

    Claim ──prepare──> Call ──the function──> value or exception ──outcome──> decide ──> Ended

No step here writes to the database, but for a job with ``atomic=True``, whose finish is part of its
own transaction. Nothing that a job raises gets past this file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from asgiref.sync import sync_to_async
from django.db import transaction

from .. import registry, signals
from ..conf import Settings
from ..context import JobContext, running_as
from ..definition import JobDefinition
from ..exceptions import ClaimLost, Discard, JobTimeout, Retry, SerializationError, Snooze
from ..policy.backoff import Exponential, wait_after
from ..policy.decide import HoldRules, JobFacts, decide
from ..policy.outcomes import (
    SUCCEEDED,
    Discarded,
    Failed,
    Outcome,
    Snoozed,
    Succeeded,
    UnknownJob,
    Unreadable,
)
from ..serialization import NOT_STORABLE, TAG, dumps, loads
from ..store.announce import announce_start
from ..store.clock import DatabaseClock
from ..store.dialects import open_dialect
from ..store.dialects.base import Claim, Ended
from ..store.finish import finish
from .errors import describe
from .timeouts import Watchdog

logger = logging.getLogger("django_jobs.worker")


class Note(NamedTuple):
    """What a running job says of itself: progress or metadata fields to be saved while its claim stands."""

    claim: Claim
    fields: dict[str, Any]


class Settled(NamedTuple):
    """A run whose end is saved already: ``ended`` is None where its claim was lost and all rolled back."""

    claim: Claim
    ended: Ended | None


@dataclass(slots=True, kw_only=True)
class Bench:
    """What every run needs of its worker. ``note`` takes progress without waiting for the database."""

    using: str
    settings: Settings
    clock: DatabaseClock
    worker_id: Callable[[], int]
    note: Callable[[Note], None]
    watchdog: Watchdog = field(default_factory=Watchdog)
    random: random.Random = field(default_factory=random.SystemRandom)
    hold: HoldRules = field(init=False)

    def __post_init__(self) -> None:
        self.hold = HoldRules(delay=self.settings.unknown_job_delay, ttl=self.settings.unknown_job_ttl)


class Call(NamedTuple):
    """A job about to be called: its definition, the arguments read back, its context and its time limit."""

    claim: Claim
    definition: JobDefinition[Any, Any]
    args: list[Any]
    kwargs: dict[str, Any]
    context: JobContext
    timeout_seconds: float | None


def run(claim: Claim, bench: Bench) -> Ended | Settled:
    """Run a claimed job in this thread and return how it ended."""
    started = bench.clock.seconds()
    call = prepare(claim, bench)
    if not isinstance(call, Call):
        return conclude(claim, call, started=None, bench=bench)
    _say_started(claim, bench)
    if call.definition.options.atomic:
        return _run_atomic(call, started, bench)
    return conclude(claim, _perform(call, bench), started=started, bench=bench)


async def arun(claim: Claim, bench: Bench) -> Ended | Settled:
    """Do what ``run`` does for an ``async def`` job, as a task of this thread's event loop.

    What may use the database, loading model instances and sending ``job_started``, is done in Django's thread
    for synchronous code.
    """
    started = bench.clock.seconds()
    has_tags = TAG in claim.arguments
    call = await sync_to_async(prepare)(claim, bench) if has_tags else prepare(claim, bench)
    if not isinstance(call, Call):
        return conclude(claim, call, started=None, bench=bench)
    if signals.job_started.receivers:
        await sync_to_async(_say_started)(claim, bench)
    return conclude(claim, await _aperform(call, bench), started=started, bench=bench)


def prepare(claim: Claim, bench: Bench) -> Call | Outcome:
    """Look the job up and read its arguments back; an outcome where that already decides how the run ends."""
    definition = registry.find(claim.name)
    if definition is None:
        return UnknownJob()
    context = _context(claim, bench)
    try:
        stored = loads(claim.arguments)
        if not isinstance(stored, dict):
            raise SerializationError(f"expected an object of arguments, got {claim.arguments[:100]}")
        args, kwargs = definition.signature.call_arguments(stored)
    except SerializationError as error:
        return Unreadable(error=describe(error, job_name=claim.name))
    except Exception as error:  # noqa: BLE001 - loading a model instance may raise what that model's project raises
        return _outcome_of(error, definition, claim, context, bench)
    if definition.options.takes_context:
        args.insert(0, context)
    timeout = definition.options.resolve("timeout", claim.queue_name)
    return Call(claim, definition, args, kwargs, context, timeout.total_seconds() if timeout else None)


def conclude(claim: Claim, outcome: Outcome, *, started: float | None, bench: Bench) -> Ended:
    """Decide what follows from ``outcome``; ``started`` None: the function never began."""
    finished = bench.clock.seconds()
    held_for = None if claim.held is None else timedelta(seconds=finished - claim.held)
    decision = decide(outcome, JobFacts(claim.attempt, claim.max_attempts, held_for), hold=bench.hold)
    fingerprint = decision.error.fingerprint if decision.error else ""
    # A look at the database's clock in between may have set ours back a little.
    return Ended(
        claim, decision, started, finished if started is None else max(finished, started), fingerprint
    )


def _perform(call: Call, bench: Bench) -> Outcome:
    try:
        with running_as(call.context):
            if call.timeout_seconds is None:
                value = call.definition.function(*call.args, **call.kwargs)
            else:
                with bench.watchdog.limit(call.timeout_seconds):
                    value = call.definition.function(*call.args, **call.kwargs)
        return SUCCEEDED if value is None else _success(value, call.claim, bench)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a job are its own affair
        return _outcome_of(error, call.definition, call.claim, call.context, bench)


async def _aperform(call: Call, bench: Bench) -> Outcome:
    limit = asyncio.timeout(call.timeout_seconds)
    try:
        with running_as(call.context):
            async with limit:
                value = await call.definition.function(*call.args, **call.kwargs)
        return SUCCEEDED if value is None else _success(value, call.claim, bench)
    except BaseException as error:  # noqa: BLE001 - as above; a cancelled job is a failed one
        if isinstance(error, TimeoutError) and limit.expired():
            error = JobTimeout().with_traceback(error.__traceback__)
        return _outcome_of(error, call.definition, call.claim, call.context, bench)


def _run_atomic(call: Call, started: float, bench: Bench) -> Ended | Settled:
    """Commit the function's writes together with the finish, or neither."""
    try:
        with _transaction(bench.using):
            outcome = _perform(call, bench)
            ended = conclude(call.claim, outcome, started=started, bench=bench)
            if not isinstance(outcome, Succeeded):
                transaction.set_rollback(True, using=bench.using)
                return ended
            if not finish([ended], worker_id=bench.worker_id(), using=bench.using):
                raise ClaimLost
        return Settled(call.claim, ended)
    except ClaimLost:
        return Settled(call.claim, None)
    except Exception as error:  # noqa: BLE001 - what the commit raises, a deferred constraint say, is the job's failure
        outcome = _outcome_of(error, call.definition, call.claim, call.context, bench)
        return conclude(call.claim, outcome, started=started, bench=bench)


def _transaction(using: str) -> AbstractContextManager[Any]:
    """Open a transaction; inside that of a test, a savepoint, so that a failure leaves no write there either."""
    dialect, connection = open_dialect(using)
    return transaction.atomic(using=using) if connection.in_atomic_block else dialect.writing(connection)


def _success(value: Any, claim: Claim, bench: Bench) -> Succeeded:
    """Return the success with its result as JSON text, or with the mark that it could not be stored."""
    most = bench.settings.max_result_bytes
    try:
        text = dumps(value, what="result")
        if len(text) * 4 > most and (size := len(text.encode())) > most:
            raise SerializationError(f"{size} bytes; DJANGO_JOBS['MAX_RESULT_BYTES'] allows {most}")
    except Exception as error:  # noqa: BLE001 - a strange type may raise anything while it is read
        logger.warning(
            "job %s (%s) succeeded, its result is not storable: %s", claim.job_id, claim.name, error
        )
        text = json.dumps(NOT_STORABLE)
    return Succeeded(result=text)


def _outcome_of(
    error: BaseException, definition: JobDefinition[Any, Any], claim: Claim, context: JobContext, bench: Bench
) -> Outcome:
    """Sort an exception: a request (Snooze, Discard, Retry), final by the job's options, or worth another try."""
    if isinstance(error, Snooze):
        return Snoozed(delay=error.delay)
    timed_out = isinstance(error, JobTimeout)
    message = (
        f"ran longer than {definition.options.resolve('timeout', claim.queue_name)}" if timed_out else None
    )
    described = describe(error, job_name=claim.name, message=message)
    if isinstance(error, (Discard, *definition.options.discard_on)):
        return Discarded(error=described)
    if isinstance(error, Retry):
        wait = _wait(error, definition, claim, context, bench) if error.after is None else error.after
        return Failed(error=described, retry_in=wait, retry_requested=True)
    retryable = _is_retryable(error, definition.options.retry_on)
    return Failed(
        error=described,
        retry_in=_wait(error, definition, claim, context, bench) if retryable else None,
        timed_out=timed_out,
    )


def _is_retryable(error: BaseException, retry_on: tuple[type[BaseException], ...]) -> bool:
    """Hold SystemExit and its like, which are no Exception, for one: inside a job they mean no more."""
    return isinstance(error, retry_on) or (not isinstance(error, Exception) and Exception in retry_on)


def _wait(
    error: BaseException, definition: JobDefinition[Any, Any], claim: Claim, context: JobContext, bench: Bench
) -> Any:
    backoff = definition.options.resolve("backoff", claim.queue_name)
    try:
        return wait_after(
            backoff,
            exception=error,  # type: ignore[arg-type]  # a SystemExit is passed on as it is
            context=context,
            attempt=claim.attempt,
            random=bench.random,
        )
    except Exception:
        logger.exception("backoff of %s failed; the default is used", claim.name)
        return Exponential().wait(claim.attempt, bench.random)


def _context(claim: Claim, bench: Bench) -> JobContext:
    return JobContext(
        job_id=claim.job_id,
        name=claim.name,
        queue_name=claim.queue_name,
        priority=claim.priority,
        attempt=claim.attempt,
        max_attempts=claim.max_attempts,
        enqueued=claim.enqueued,
        metadata={} if claim.metadata == "{}" else json.loads(claim.metadata),
        save=lambda fields: bench.note(Note(claim, fields)),
    )


def _say_started(claim: Claim, bench: Bench) -> None:
    try:
        announce_start(claim, using=bench.using)
    except Exception:
        logger.exception("job_started of job %s could not be sent", claim.job_id)
