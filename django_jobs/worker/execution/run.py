"""Execute one claimed job: a pipeline of named steps over one ``Run``.

::

    claim -> prepare (cancelled? expired? -> look up -> load arguments -> permits)
          -> announce the start -> call the function -> classify -> decide -> FinishedRun

No step writes to the database, except that a job with ``atomic=True`` is finished inside its own
transaction (``atomic.py``). No exception leaves this module: it is the job's failure, or, if the database failed before
the function was called, the claim is released.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async

from ... import registry
from ...arguments.serialization import TAG, decode, loads, read_json
from ...context import CANCEL_REQUESTED_MESSAGE, activate, activate_context, deactivate
from ...exceptions import ArgumentsError, Cancel, JobTimeoutError, LimitKeyError, SerializationError
from ...log_records import log_job
from ...policy.flags import JobFlag
from ...policy.outcomes import SUCCEEDED, Discarded, Expired, Outcome, PermitsMissing, UnknownJob, Unreadable
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.enqueue.expiry import is_past_expiry
from ...store.lifecycle import signals as announcements
from ...store.results.inputs import with_results
from ..system.forked_copies import end_copy_since
from .around import acall_inside, call_inside
from .atomic import execute_atomic
from .cancellation import InterruptibleTask
from .classify import (
    defined_timeout_seconds,
    describe_end,
    is_kind,
    outcome_from_exception,
    outcome_from_stray,
    outcome_from_value,
    outcome_of_cancellation,
)
from .errors import traceback_of
from .events import CommittedRun
from .finalize import finalize_run
from .result_offload import needs_offload, offload
from .runtime import Run, RunContext, create_job_context, create_run_log

logger = logging.getLogger("django_jobs.worker")

_NO_LIMIT = nullcontext()


def execute(claim: Claim, context: RunContext) -> FinishedRun | CommittedRun:
    """Execute a claimed job in this thread and return how it ended."""
    run = Run(claim, context, context.clock.seconds())
    try:
        outcome = prepare(run)
        if outcome is None:
            announce_start(run)
            if run.definition.options.atomic:
                return execute_atomic(run, call_function)
            outcome = call_function(run)
            run.end_log()
        return finalize_run(run, outcome)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it must not end the thread
        return finalize_run(run, outcome_from_stray(error, run))


async def aexecute(claim: Claim, context: RunContext, report: Callable[[FinishedRun | CommittedRun], object]) -> None:
    """Execute an ``async def`` job as a task of this thread's event loop and ``report`` how it ended.

    Steps that may use the database run in Django's thread for synchronous code. The end is not returned, because a
    GeneratorExit that the function awaits from a task of its own closes every coroutine up to the engine's task, and
    what they return is dropped (``coroutine.throw``).
    """
    run, task = Run(claim, context, context.clock.seconds()), asyncio.current_task()
    try:
        reads = TAG in claim.arguments or (claim.flags and claim.flags & JobFlag.EXPIRES) or _context_needs_read(claim)
        outcome = await sync_to_async(prepare)(run) if reads else prepare(run)
        if outcome is None:
            if announcements.start_may_block(claim.name):
                await sync_to_async(announce_start)(run)
            else:
                announce_start(run)
            outcome = await acall_function(run)
            run.end_log()
        finished = finalize_run(run, outcome)
    except BaseException as error:
        if not _is_current(task):
            raise  # the loop is gone, and the coroutine is closed with it
        finished = finalize_run(run, outcome_from_stray(error, run))
    report(finished)


def prepare(run: Run) -> Outcome | None:
    """Do the steps before the call. The first outcome that one of them returns ends the run without a call."""
    for step in (check_flags, look_up, load_arguments, check_permits):
        outcome = step(run)
        end_copy_since(run.forks)
        if outcome is not None:
            run.started = None
            return outcome
    return None


def check_flags(run: Run) -> Outcome | None:
    """Skip a job whose cancellation was requested, or that has expired."""
    claim = run.claim
    if not claim.flags:
        return None
    if claim.flags & JobFlag.CANCEL_REQUESTED:
        return outcome_of_cancellation(claim)
    if claim.flags & JobFlag.EXPIRES and is_past_expiry(claim.job_id, using=run.context.using):
        return Expired()
    return None


def look_up(run: Run) -> Outcome | None:
    """Find the job's definition and create its context."""
    definition = registry.find(run.claim.name)
    if definition is None:
        return UnknownJob()
    run.definition = definition
    run.timeout_seconds = defined_timeout_seconds(definition, run.claim)
    try:
        run.log = create_run_log(run.claim, run.context)
        run.job = run.context_argument = create_job_context(run.claim, run.context, log=run.log)
    except SerializationError as error:
        return _unreadable(run, error)
    return None


def load_arguments(run: Run) -> Outcome | None:
    """Read the arguments; the results of other jobs are fetched only if there is a tag for them."""
    claim = run.claim
    try:
        if TAG in claim.arguments:
            passed = with_results(claim.job_id, read_json(claim.arguments), using=run.context.using)
            run.arguments = decode(passed)
        else:
            run.arguments = loads(claim.arguments)
        run.args, run.kwargs = run.definition.signature.call_arguments(run.arguments)
        if run.definition.options.takes_context or run.definition.context_needs_read:
            run.context_argument = run.definition.context_argument(run.job, run.as_started())
        if run.definition.options.takes_context:
            run.args.insert(0, run.context_argument)
    except SerializationError as error:
        return _unreadable(run, error)
    except ArgumentsError as error:
        return Discarded(error=describe_end(error, run))
    except Exception as error:  # noqa: BLE001 - loading a model instance may raise anything
        return outcome_from_exception(error, run)
    return None


def check_permits(run: Run) -> Outcome | None:
    """Send back a job that was enqueued before its limits were defined, or by code that did not know them."""
    if not run.definition.options.limits or run.claim.flags & JobFlag.LIMITED:
        return None
    try:
        needs = run.definition.needs(run.arguments)
    except LimitKeyError as error:
        return Discarded(error=describe_end(error, run))
    return PermitsMissing(needs=needs) if needs else None


def announce_start(run: Run) -> None:
    """Send ``job_started``, and tell the job's observer."""
    if not announcements.is_start_announced(run.claim.name):
        return
    try:
        announcements.announce_start(run.as_started(), using=run.context.using)
    except BaseException:  # noqa: BLE001 - a receiver's SystemExit ends neither job nor worker
        log_job(logger, logging.ERROR, run.claim, "starts; that could not be announced", exc_info=True)
    finally:
        end_copy_since(run.forks)


def call_function(run: Run) -> Outcome:
    """Call the function within its time limit and classify what it returns or raises."""
    run.is_called = True
    try:
        token = activate(run.job)
        try:
            if run.timeout_seconds is None and not run.context.interrupts.reach_calls:
                value = _call(run)
            else:
                with time_limit(run), run.context.interrupts.interruptible_call(run.claim):
                    value = _call(run)
        finally:
            deactivate(token)
        return SUCCEEDED if value is None else offload(outcome_from_value(value, run), run)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end the job, not the worker
        return outcome_from_exception(error, run)


def _call(run: Run) -> Any:
    try:
        if hooks := run.context.hooks:
            return call_inside(hooks, run)
        return run.definition.function(*run.args, **run.kwargs)
    finally:
        end_copy_since(run.forks)


async def acall_function(run: Run) -> Outcome:
    """Await the function within its time limit and classify what it returns or raises."""
    run.is_called = True
    limit = asyncio.timeout(run.timeout_seconds)
    task = run.context.interrupts.interruptible_task(run.claim)
    try:
        with activate_context(run.job), reported_limit(run):
            async with limit:
                with task:
                    try:
                        if hooks := run.context.hooks:
                            value = await acall_inside(hooks, run, partial(reason_of, limit=limit, task=task))
                        else:
                            value = await run.definition.coroutine_function(*run.args, **run.kwargs)
                    finally:
                        end_copy_since(run.forks)
        outcome = outcome_from_value(value, run)
        return await sync_to_async(offload)(outcome, run) if needs_offload(outcome) else outcome
    except BaseException as error:  # noqa: BLE001 - as above; a cancelled task is a failed job
        return outcome_from_exception(reason_of(error, limit=limit, task=task), run)


def reason_of(error: BaseException, *, limit: asyncio.Timeout, task: InterruptibleTask) -> BaseException:
    """Return what asyncio's exception stands for, after a timeout or a request to cancel; any other as it is."""
    if is_kind(error, TimeoutError, asyncio.CancelledError) and limit.expired():
        return JobTimeoutError().with_traceback(traceback_of(error))
    if is_kind(error, asyncio.CancelledError) and task.was_interrupted:
        return Cancel(CANCEL_REQUESTED_MESSAGE).with_traceback(traceback_of(error))
    return error


def time_limit(run: Run) -> AbstractContextManager[None]:
    """Return the block in which JobTimeoutError is raised once the run's time is over."""
    seconds = run.timeout_seconds
    return _NO_LIMIT if seconds is None else run.context.watchdog.limit(seconds, job_id=run.claim.job_id)


def reported_limit(run: Run) -> AbstractContextManager[None]:
    """Return the block whose time limit the event loop enforces."""
    seconds = run.timeout_seconds
    return _NO_LIMIT if seconds is None else run.context.watchdog.report_only(seconds, job_id=run.claim.job_id)


def _context_needs_read(claim: Claim) -> bool:
    if claim.claim_number == 1:
        return False
    definition = registry.find(claim.name)
    return definition is not None and definition.context_needs_read


def _is_current(task: asyncio.Task[Any] | None) -> bool:
    try:
        return asyncio.current_task() is task
    except RuntimeError:
        return False


def _unreadable(run: Run, error: SerializationError) -> Outcome:
    return Unreadable(error=describe_end(error, run))
