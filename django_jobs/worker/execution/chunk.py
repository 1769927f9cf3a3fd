"""Execute the claimed jobs of a chunk: one call of the function, and an end of its own for each job.

::

    claims -> prepare each (run.py; one that cannot start ends alone) -> announce each
           -> call the function with the items of all -> classify, decide for each -> FinishedRuns

The call runs as the chunk's first job: that is the current job, whose hooks are entered and whose log has what is
logged outside of ``with item:``. With ``atomic=True`` the call and all ends are one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connections

from ... import registry
from ...chunks import ChunkItem
from ...context import activate_context
from ...exceptions import ArgumentsError, ClaimLostError
from ...log_records import log_job
from ...policy.outcomes import Discarded, Outcome, Released
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.lifecycle.finish import finish
from ...store.transactions import after_commit, savepoint
from ..system.forked_copies import end_copy_since
from ..threads.sessions import keep_settings
from .around import acall_inside, call_inside
from .atomic import in_ascii, log_failed_callback, save_log_before_finish
from .chunk_call import ChunkCall, plain_arguments
from .classify import describe_end, is_kind, outcome_from_exception, outcome_from_stray, outcome_from_value
from .events import CommittedRun
from .finalize import decide_end, finalize_run, log_run
from .result_offload import delete_offloaded, offload
from .run import announce_start, prepare, reason_of, reported_limit, time_limit
from .runtime import Run, RunContext
from .unfinished import refuse_unfinished

logger = logging.getLogger("django_jobs.worker")

Ends = list[FinishedRun | CommittedRun]


def is_chunk_job(claim: Claim) -> bool:
    """Tell whether a job is called in chunks."""
    definition = registry.find(claim.name)
    return definition is not None and definition.options.chunk is not None


def execute_chunk(claims: Sequence[Claim], context: RunContext) -> Ends:
    """Execute claims of one plain chunk job in this thread and return how each ended."""
    ends, call = _prepare(claims, context)
    if not call.claims:
        return ends
    first = call.first_run()
    if first.definition.options.atomic:
        return ends + _execute_atomic(call.all_runs(), call.items)
    error = _call(first)
    return ends + _end_all(call, error)


async def aexecute_chunk(claims: Sequence[Claim], context: RunContext, report: Callable[[Ends], object]) -> None:
    """Execute claims of one ``async def`` chunk job as a task of this thread's event loop; see ``aexecute``."""
    ends, call = await sync_to_async(_prepare)(claims, context)
    if call.claims:
        task = asyncio.current_task()
        try:
            error = await _acall(call.first_run())
        except BaseException as stray:
            if asyncio.current_task() is not task:
                raise  # the loop is gone, and the coroutine is closed with it
            error = stray
        ends += await sync_to_async(_end_all)(call, error)
    report(ends)


def _prepare(claims: Sequence[Claim], context: RunContext) -> tuple[Ends, ChunkCall]:
    """Return the ends of jobs that cannot start, and the others, ready to be called."""
    call = ChunkCall(context)
    ends: Ends = []
    arguments = plain_arguments(claims)
    for claim in claims:
        if claim.job_id in arguments:
            call.add_plain(claim, arguments[claim.job_id])
            continue
        run = call.new_run(claim)
        try:
            outcome = prepare(run) or _take_argument(run)
            if outcome is None:
                announce_start(run)
                call.add(run)
            else:
                ends.append(finalize_run(run, outcome))
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must not end the thread
            ends.append(finalize_run(run, outcome_from_stray(error, run)))
    return ends, call


def _take_argument(run: Run) -> Outcome | None:
    """Make the one argument the only position; also of a job that was enqueued before its function took chunks."""
    given = [*run.args, *run.kwargs.values()]
    if len(given) == 1:
        run.args, run.kwargs = given, {}
        return None
    run.started = None
    message = f"{run.claim.name}: a chunk job has one argument; this one was enqueued with {len(given)}"
    return Discarded(error=describe_end(ArgumentsError(message), run))


def _call(first: Run) -> BaseException | None:
    """Call the function within its time limit and return what it raises."""
    try:
        with activate_context(first.job), time_limit(first):
            try:
                if hooks := first.context.hooks:
                    value = call_inside(hooks, first)
                else:
                    value = first.definition.function(*first.args)
            finally:
                end_copy_since(first.forks)
        refuse_unfinished(value)
    except BaseException as error:  # noqa: BLE001 - SystemExit and KeyboardInterrupt end the jobs, not the worker
        return error
    return None


async def _acall(first: Run) -> BaseException | None:
    """Await the function within its time limit and return what it raises."""
    limit = asyncio.timeout(first.timeout_seconds)
    task = first.context.interrupts.interruptible_task(first.claim)
    why = partial(reason_of, limit=limit, task=task)
    try:
        with activate_context(first.job), reported_limit(first):
            async with limit:
                try:
                    if hooks := first.context.hooks:
                        value = await acall_inside(hooks, first, why)
                    else:
                        value = await first.definition.coroutine_function(*first.args)
                finally:
                    end_copy_since(first.forks)
        refuse_unfinished(value)
    except BaseException as error:  # noqa: BLE001 - as above; a cancelled task is a failed chunk
        return why(error)
    return None


def _end_all(call: ChunkCall, error: BaseException | None) -> Ends:
    if error is not None:
        return [_end(run, item, error) for run, item in zip(call.all_runs(), call.items, strict=True)]
    return [
        end or _end(call.run_of(claim), item, None)
        for end, claim, item in zip(call.plain_ends(), call.claims, call.items, strict=True)
    ]


def _end(run: Run, item: ChunkItem[Any], error: BaseException | None) -> FinishedRun:
    """End one run by its item's mark, or as the call did."""
    try:
        outcome = _outcome(run, item, error)
        run.end_log()
        return finalize_run(run, outcome)
    except BaseException as stray:  # noqa: BLE001 - one job's end must not touch the others
        return finalize_run(run, outcome_from_stray(stray, run))


def _outcome(run: Run, item: ChunkItem[Any], error: BaseException | None) -> Outcome:
    if item.error is not None:
        return outcome_from_exception(item.error, run)
    if error is not None and not item.has_succeeded:
        return outcome_from_exception(error, run)
    try:
        return offload(outcome_from_value(item.result, run), run)
    except BaseException as unfinished:  # noqa: BLE001 - a result that stands for work not done
        return outcome_from_exception(unfinished, run)


def _execute_atomic(runs: Sequence[Run], items: Sequence[ChunkItem[Any]]) -> Ends:
    """Call the function and save all ends in one transaction; if the call raises, all is rolled back.

    Then also the jobs marked as succeeded fail with the exception: what they wrote is gone. A lost claim rolls back
    all too; the other jobs run again, and their attempt does not count.
    """
    context = runs[0].context
    finished: list[FinishedRun] = []
    outcomes: list[Outcome] = []
    commits: list[bool] = []
    try:
        with keep_settings(connections[context.using]) as restore_settings, savepoint(using=context.using):
            after_commit(partial(commits.append, True), using=context.using)
            error = _call(runs[0])
            if error is not None:
                raise error
            for run, item in zip(runs, items, strict=True):
                outcomes.append(_outcome(run, item, None))
                finished.append(in_ascii(decide_end(run, outcomes[-1])))
            restore_settings()
            for run in runs:
                save_log_before_finish(run)
            saved = finish(finished, worker_id=context.worker_id, using=context.using)
            if len(saved) < len(finished):
                raise ClaimLostError
    except BaseException as error:  # noqa: BLE001 - the commit may raise anything, and so may callbacks after it
        if not commits:
            return _after_rollback(runs, items, finished, outcomes, error)
        context.report_exception(runs[0].claim, error)
        log_failed_callback(runs[0].claim, error)
    for run, ended in zip(runs, finished, strict=True):
        if run.log is not None:
            run.log.close()
        log_run(run, ended)
    return [CommittedRun(run.claim, ended) for run, ended in zip(runs, finished, strict=True)]


def _after_rollback(
    runs: Sequence[Run],
    items: Sequence[ChunkItem[Any]],
    finished: Sequence[FinishedRun],
    outcomes: Sequence[Outcome],
    error: BaseException,
) -> Ends:
    """Return how the jobs end if the transaction was rolled back, or its commit got no answer."""
    ends: Ends = []
    for index, (run, item) in enumerate(zip(runs, items, strict=True)):
        if is_kind(error, ClaimLostError):
            log_job(logger, logging.WARNING, run.claim, "is released: the claim of another job of its chunk was lost")
            run.end_log()
            ends.append(finalize_run(run, Released(started=True)))
            continue
        item.has_succeeded = False
        failed = _end(run, item, error)
        if len(finished) == len(runs) and failed.decision.after_interruptions is not None:
            ends.append(CommittedRun(run.claim, finished[index], otherwise=failed))
        else:
            ends.append(failed)
    if not any(isinstance(end, CommittedRun) for end in ends):
        for outcome in outcomes:
            delete_offloaded(outcome)
    return ends
