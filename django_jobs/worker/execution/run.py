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
from ...context import ASKED_TO_END, running_as
from ...definition import JobDefinition
from ...exceptions import Cancelled, ClaimLost, JobTimeout, LimitKeyError, SerializationError
from ...policy.decide import JobFacts, decide
from ...policy.flags import Links
from ...policy.outcomes import Cancelled as CancelledOutcome
from ...policy.outcomes import Discarded, Expired, Outcome, Succeeded, Unadmitted, UnknownJob, Unreadable
from ...store.dialects.base.jobs import Claim, Ended
from ...store.enqueue.expiry import is_past_expiry
from ...store.lifecycle.finish import finish
from ...store.lifecycle.signals import announce_start
from ...store.logs import save_log
from ...store.results.inputs import with_results
from ...store.transactions import savepoint
from .classify import outcome_of_error, outcome_of_value
from .errors import describe
from .result_offload import is_large, put_away, take_back
from .runtime import Bench, Call, Settled, context_of, log_of

logger = logging.getLogger("django_jobs.worker")


def run(claim: Claim, bench: Bench) -> Ended | Settled:
    """Run a claimed job in this thread and return how it ended."""
    started = bench.clock.seconds()
    call = prepare(claim, bench)
    if not isinstance(call, Call):
        return conclude(claim, call, started=None, bench=bench)
    _say_started(claim, bench)
    if call.definition.options.atomic:
        return _run_atomic(call, started, bench)
    outcome = _perform(call, bench)
    _end_log(call)
    return conclude(claim, outcome, started=started, bench=bench)


async def arun(claim: Claim, bench: Bench) -> Ended | Settled:
    """Do what ``run`` does for an ``async def`` job, as a task of this thread's event loop.

    What may use the database, loading model instances and sending ``job_started``, is done in Django's thread
    for synchronous code.
    """
    started = bench.clock.seconds()
    asks = TAG in claim.arguments or (claim.links and claim.links & Links.EXPIRES)
    call = await sync_to_async(prepare)(claim, bench) if asks else prepare(claim, bench)
    if not isinstance(call, Call):
        return conclude(claim, call, started=None, bench=bench)
    if signals.job_started.receivers:
        await sync_to_async(_say_started)(claim, bench)
    outcome = await _aperform(call, bench)
    _end_log(call)
    return conclude(claim, outcome, started=started, bench=bench)


def prepare(claim: Claim, bench: Bench) -> Call | Outcome:
    """Look the job up and read its arguments back; an outcome where that already decides how the run ends."""
    if claim.links and (outcome := _not_to_begin(claim, bench)) is not None:
        return outcome
    definition = registry.find(claim.name)
    if definition is None:
        return UnknownJob()
    try:
        log = log_of(claim, bench)
        context = context_of(claim, bench, log=log)
    except SerializationError as error:
        return _unreadable(claim, error)
    try:
        stored = _arguments(claim, bench)
        args, kwargs = definition.signature.call_arguments(stored)
    except SerializationError as error:
        return _unreadable(claim, error)
    except Exception as error:  # noqa: BLE001 - loading a model instance may raise what that model's project raises
        return outcome_of_error(error, Call(claim, definition, [], {}, context, None), bench)
    if definition.options.takes_context:
        args.insert(0, context)
    if definition.options.limits and not claim.links & Links.LIMITED:
        lacks = _lacks(claim, definition, stored)
        if lacks is not None:
            return lacks
    timeout = definition.options.resolve("timeout", claim.queue_name)
    return Call(claim, definition, args, kwargs, context, timeout.total_seconds() if timeout else None, log)


def _not_to_begin(claim: Claim, bench: Bench) -> Outcome | None:
    """Return what a run comes to that its job was asked not to have, or that comes too late to be of use."""
    if claim.links & Links.ASKED:
        return CancelledOutcome(error=describe(Cancelled(ASKED_TO_END), job_name=claim.name))
    if claim.links & Links.EXPIRES and is_past_expiry(claim.job_id, using=bench.using):
        return Expired()
    return None


def _lacks(claim: Claim, definition: JobDefinition[..., Any], stored: Any) -> Outcome | None:
    """Return what sends a job back that was enqueued before its limits were defined, or by who did not know them."""
    try:
        needs = definition.needs(stored)
    except LimitKeyError as error:
        return Discarded(error=describe(error, job_name=claim.name))
    return Unadmitted(needs=needs) if needs else None


def _arguments(claim: Claim, bench: Bench) -> Any:
    """Read the arguments back, with the results that other jobs pass on; those are asked for where there is a tag."""
    if TAG not in claim.arguments:
        return loads(claim.arguments)
    return decode(with_results(claim.job_id, read_json(claim.arguments), using=bench.using))


def conclude(claim: Claim, outcome: Outcome, *, started: float | None, bench: Bench) -> Ended:
    """Decide what follows from ``outcome``; ``started`` None: the function never began."""
    finished = bench.clock.seconds()
    held_for = None if claim.held is None else timedelta(seconds=finished - claim.held)
    if isinstance(outcome, Unadmitted):
        claim = claim._replace(links=claim.links | Links.LIMITED)
    is_limited = bool(claim.links & Links.LIMITED)
    facts = JobFacts(claim.attempt, claim.max_attempts, held_for, claim.worker_deaths, is_limited)
    decision = decide(outcome, facts, rules=bench.rules)
    fingerprint = decision.error.fingerprint if decision.error else ""
    # A look at the database's clock in between may have set ours back a little.
    return Ended(
        claim, decision, started, finished if started is None else max(finished, started), fingerprint
    )


def _unreadable(claim: Claim, error: SerializationError) -> Outcome:
    return Unreadable(error=describe(error, job_name=claim.name))


def _perform(call: Call, bench: Bench) -> Outcome:
    try:
        with running_as(call.context):
            if call.timeout_seconds is None:
                with bench.interrupts.around(call.claim):
                    value = call.definition.function(*call.args, **call.kwargs)
            else:
                with bench.watchdog.limit(call.timeout_seconds), bench.interrupts.around(call.claim):
                    value = call.definition.function(*call.args, **call.kwargs)
        return put_away(outcome_of_value(value, call, bench), call.claim, bench)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt of a job are its own affair
        return outcome_of_error(error, call, bench)


async def _aperform(call: Call, bench: Bench) -> Outcome:
    limit = asyncio.timeout(call.timeout_seconds)
    task = bench.interrupts.around_task(call.claim)
    try:
        with running_as(call.context):
            async with limit:
                with task:
                    value = await call.definition.function(*call.args, **call.kwargs)
        outcome = outcome_of_value(value, call, bench)
        return await sync_to_async(put_away)(outcome, call.claim, bench) if is_large(outcome) else outcome
    except BaseException as error:  # noqa: BLE001 - as above; a cancelled job is a failed one
        if isinstance(error, TimeoutError | asyncio.CancelledError) and limit.expired():
            error = JobTimeout().with_traceback(error.__traceback__)
        elif isinstance(error, asyncio.CancelledError) and task.was_interrupted:
            error = Cancelled(ASKED_TO_END).with_traceback(error.__traceback__)
        return outcome_of_error(error, call, bench)


def _run_atomic(call: Call, started: float, bench: Bench) -> Ended | Settled:
    """Commit the function's writes together with the finish, or neither."""
    outcome: Outcome | None = None
    try:
        with savepoint(using=bench.using):
            outcome = _perform(call, bench)
            ended = conclude(call.claim, outcome, started=started, bench=bench)
            if not isinstance(outcome, Succeeded):
                transaction.set_rollback(True, using=bench.using)
                _end_log(call)
                return ended
            _save_log(call, bench)
            if not finish([ended], worker_id=bench.worker_id(), using=bench.using):
                raise ClaimLost
        if call.log is not None:
            call.log.close()
        return Settled(call.claim, ended)
    except ClaimLost:
        return Settled(call.claim, None)
    except Exception as error:  # noqa: BLE001 - what the commit raises, a deferred constraint say, is the job's failure
        take_back(outcome, error)
        _end_log(call)
        outcome = outcome_of_error(error, call, bench)
        return conclude(call.claim, outcome, started=started, bench=bench)


def _end_log(call: Call) -> None:
    if call.log is not None:
        call.log.end()


def _save_log(call: Call, bench: Bench) -> None:
    """Save what an atomic job has logged with its finish: behind that, nothing is saved any more."""
    kept = None if call.log is None else call.log.kept()
    if kept is None or not kept.lines:
        return
    try:
        with savepoint(using=bench.using):
            save_log(call.claim, kept, worker_id=bench.worker_id(), using=bench.using)
    except (DataError, IntegrityError):
        logger.exception("job %s: its log could not be saved", call.claim.job_id)


def _say_started(claim: Claim, bench: Bench) -> None:
    try:
        announce_start(claim, using=bench.using)
    except Exception:
        logger.exception("job_started of job %s could not be sent", claim.job_id)
