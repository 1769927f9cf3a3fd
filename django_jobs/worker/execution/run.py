"""Run one job: look up, read the arguments, call under its limits, and say what follows.

::

    Claim ──prepare──> Call ──the function──> value or exception ──outcome──> decide ──> Ended

No step here writes to the database, but for a job with ``atomic=True``, whose finish is part of its
own transaction. Nothing that a job raises gets past this file.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

from asgiref.sync import sync_to_async
from django.db import DataError, IntegrityError, transaction

from ... import registry, signals
from ...arguments.serialization import TAG, decode, loads, read_json
from ...context import CANCEL_REQUESTED_MESSAGE, activate_context
from ...definition import JobDefinition
from ...exceptions import Cancel, ClaimLostError, JobTimeoutError, LimitKeyError, SerializationError
from ...policy.decide import JobFacts, decide
from ...policy.flags import JobFlag
from ...policy.outcomes import Cancelled as CancelledOutcome
from ...policy.outcomes import Discarded, Expired, Outcome, PermitsMissing, Succeeded, UnknownJob, Unreadable
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.enqueue.expiry import is_past_expiry
from ...store.lifecycle.finish import finish
from ...store.lifecycle.signals import send_started_signal
from ...store.logs import save_log
from ...store.results.inputs import with_results
from ...store.transactions import savepoint
from .classify import outcome_from_exception, outcome_from_value
from .errors import describe_exception
from .result_offload import delete_offloaded, needs_offload, offload
from .runtime import CommittedRun, PreparedCall, RunContext, create_job_context, create_run_log

logger = logging.getLogger("django_jobs.worker")


def run(claim: Claim, run_context: RunContext) -> FinishedRun | CommittedRun:
    """Run a claimed job in this thread and return how it ended."""
    started = run_context.clock.seconds()
    call = prepare(claim, run_context)
    if not isinstance(call, PreparedCall):
        return finalize(claim, call, started=None, run_context=run_context)
    _announce_start(claim, run_context)
    if call.definition.options.atomic:
        return _run_atomic(call, started, run_context)
    outcome = _call_function(call, run_context)
    _end_log(call)
    return finalize(claim, outcome, started=started, run_context=run_context)


async def arun(claim: Claim, run_context: RunContext) -> FinishedRun | CommittedRun:
    """Do what ``run`` does for an ``async def`` job, as a task of this thread's event loop.

    What may use the database, loading model instances and sending ``job_started``, is done in Django's thread
    for synchronous code.
    """
    started = run_context.clock.seconds()
    asks = TAG in claim.arguments or (claim.flags and claim.flags & JobFlag.EXPIRES)
    call = await sync_to_async(prepare)(claim, run_context) if asks else prepare(claim, run_context)
    if not isinstance(call, PreparedCall):
        return finalize(claim, call, started=None, run_context=run_context)
    if signals.job_started.receivers:
        await sync_to_async(_announce_start)(claim, run_context)
    outcome = await _acall_function(call, run_context)
    _end_log(call)
    return finalize(claim, outcome, started=started, run_context=run_context)


def prepare(claim: Claim, run_context: RunContext) -> PreparedCall | Outcome:
    """Look the job up and read its arguments back; an outcome where that already decides how the run ends."""
    if claim.flags and (outcome := _reason_to_skip(claim, run_context)) is not None:
        return outcome
    definition = registry.find(claim.name)
    if definition is None:
        return UnknownJob()
    try:
        log = create_run_log(claim, run_context)
        context = create_job_context(claim, run_context, log=log)
    except SerializationError as error:
        return _unreadable(claim, error)
    try:
        stored = _load_arguments(claim, run_context)
        args, kwargs = definition.signature.call_arguments(stored)
    except SerializationError as error:
        return _unreadable(claim, error)
    except Exception as error:  # noqa: BLE001 - loading a model instance may raise what that model's project raises
        return outcome_from_exception(
            error, PreparedCall(claim, definition, [], {}, context, None), run_context
        )
    if definition.options.takes_context:
        args.insert(0, context)
    if definition.options.limits and not claim.flags & JobFlag.LIMITED:
        lacks = _missing_permits(claim, definition, stored)
        if lacks is not None:
            return lacks
    timeout = definition.options.resolve("timeout", claim.queue_name)
    return PreparedCall(
        claim, definition, args, kwargs, context, timeout.total_seconds() if timeout else None, log
    )


def _reason_to_skip(claim: Claim, run_context: RunContext) -> Outcome | None:
    """Return what a run comes to that its job was asked not to have, or that comes too late to be of use."""
    if claim.flags & JobFlag.CANCEL_REQUESTED:
        return CancelledOutcome(
            error=describe_exception(Cancel(CANCEL_REQUESTED_MESSAGE), job_name=claim.name)
        )
    if claim.flags & JobFlag.EXPIRES and is_past_expiry(claim.job_id, using=run_context.using):
        return Expired()
    return None


def _missing_permits(claim: Claim, definition: JobDefinition[..., Any], stored: Any) -> Outcome | None:
    """Return what sends a job back that was enqueued before its limits were defined, or by who did not know them."""
    try:
        needs = definition.needs(stored)
    except LimitKeyError as error:
        return Discarded(error=describe_exception(error, job_name=claim.name))
    return PermitsMissing(needs=needs) if needs else None


def _load_arguments(claim: Claim, run_context: RunContext) -> Any:
    """Read the arguments back, with the results that other jobs pass on; those are asked for where there is a tag."""
    if TAG not in claim.arguments:
        return loads(claim.arguments)
    return decode(with_results(claim.job_id, read_json(claim.arguments), using=run_context.using))


def finalize(
    claim: Claim, outcome: Outcome, *, started: float | None, run_context: RunContext
) -> FinishedRun:
    """Decide what follows from ``outcome``; ``started`` None: the function never began."""
    finished = run_context.clock.seconds()
    unknown_for = None if claim.unknown_since is None else timedelta(seconds=finished - claim.unknown_since)
    if isinstance(outcome, PermitsMissing):
        claim = claim._replace(flags=claim.flags | JobFlag.LIMITED)
    is_limited = bool(claim.flags & JobFlag.LIMITED)
    facts = JobFacts(claim.attempt, claim.max_attempts, unknown_for, claim.worker_deaths, is_limited)
    decision = decide(outcome, facts, rules=run_context.rules)
    fingerprint = decision.error.fingerprint if decision.error else ""
    # A look at the database's clock in between may have set ours back a little.
    return FinishedRun(
        claim, decision, started, finished if started is None else max(finished, started), fingerprint
    )


def _unreadable(claim: Claim, error: SerializationError) -> Outcome:
    return Unreadable(error=describe_exception(error, job_name=claim.name))


def _call_function(call: PreparedCall, run_context: RunContext) -> Outcome:
    try:
        with activate_context(call.context):
            if call.timeout_seconds is None:
                with run_context.interrupts.interruptible_call(call.claim):
                    value = call.definition.function(*call.args, **call.kwargs)
            else:
                with (
                    run_context.watchdog.limit(call.timeout_seconds),
                    run_context.interrupts.interruptible_call(call.claim),
                ):
                    value = call.definition.function(*call.args, **call.kwargs)
        return offload(outcome_from_value(value, call, run_context), call.claim, run_context)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a job are its own affair
        return outcome_from_exception(error, call, run_context)


async def _acall_function(call: PreparedCall, run_context: RunContext) -> Outcome:
    limit = asyncio.timeout(call.timeout_seconds)
    task = run_context.interrupts.interruptible_task(call.claim)
    try:
        with activate_context(call.context):
            async with limit:
                with task:
                    value = await call.definition.function(*call.args, **call.kwargs)
        outcome = outcome_from_value(value, call, run_context)
        return (
            await sync_to_async(offload)(outcome, call.claim, run_context)
            if needs_offload(outcome)
            else outcome
        )
    except BaseException as error:  # noqa: BLE001 - as above; a cancelled job is a failed one
        if isinstance(error, TimeoutError | asyncio.CancelledError) and limit.expired():
            error = JobTimeoutError().with_traceback(error.__traceback__)
        elif isinstance(error, asyncio.CancelledError) and task.was_interrupted:
            error = Cancel(CANCEL_REQUESTED_MESSAGE).with_traceback(error.__traceback__)
        return outcome_from_exception(error, call, run_context)


def _run_atomic(call: PreparedCall, started: float, run_context: RunContext) -> FinishedRun | CommittedRun:
    """Commit the function's writes together with the finish, or neither."""
    outcome: Outcome | None = None
    try:
        with savepoint(using=run_context.using):
            outcome = _call_function(call, run_context)
            ended = finalize(call.claim, outcome, started=started, run_context=run_context)
            if not isinstance(outcome, Succeeded):
                transaction.set_rollback(True, using=run_context.using)
                _end_log(call)
                return ended
            _save_log(call, run_context)
            if not finish([ended], worker_id=run_context.worker_id(), using=run_context.using):
                raise ClaimLostError
        if call.log is not None:
            call.log.close()
        return CommittedRun(call.claim, ended)
    except ClaimLostError:
        return CommittedRun(call.claim, None)
    except Exception as error:  # noqa: BLE001 - what the commit raises, a deferred constraint say, is the job's failure
        delete_offloaded(outcome, error)
        _end_log(call)
        outcome = outcome_from_exception(error, call, run_context)
        return finalize(call.claim, outcome, started=started, run_context=run_context)


def _end_log(call: PreparedCall) -> None:
    if call.log is not None:
        call.log.end()


def _save_log(call: PreparedCall, run_context: RunContext) -> None:
    """Save what an atomic job has logged with its finish: behind that, nothing is saved any more."""
    kept = None if call.log is None else call.log.kept()
    if kept is None or not kept.lines:
        return
    try:
        with savepoint(using=run_context.using):
            save_log(call.claim, kept, worker_id=run_context.worker_id(), using=run_context.using)
    except (DataError, IntegrityError):
        logger.exception("job %s: its log could not be saved", call.claim.job_id)


def _announce_start(claim: Claim, run_context: RunContext) -> None:
    try:
        send_started_signal(claim, using=run_context.using)
    except Exception:
        logger.exception("job_started of job %s could not be sent", claim.job_id)
