"""Execute a job with ``atomic=True``: its writes and its finish are committed together, or neither."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from django.db import connections, transaction

from ...exceptions import ClaimLostError
from ...log_records import log_job
from ...policy.outcomes import Outcome, Succeeded
from ...store.dialects import is_refusal
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.lifecycle.finish import finish, saved_before
from ...store.logs import save_log
from ...store.results.retention import delete_unsaved_result
from ...store.transactions import after_commit, savepoint
from ..threads.sessions import keep_settings
from .classify import outcome_from_stray
from .errors import traceback_of
from .events import CommittedRun
from .finalize import decide_end, log_run
from .result_offload import delete_offloaded
from .runtime import Run

logger = logging.getLogger("django_jobs.worker")


def execute_atomic(run: Run, call: Callable[[Run], Outcome]) -> FinishedRun | CommittedRun:
    """Do ``call`` and the finish of its success in one transaction; any other outcome rolls it back.

    An error of the commit, for example of a deferred constraint, is the job's failure. An error after the commit, of a
    callback that the job gave to ``on_commit``, is logged: the success stays. The finish does not depend on settings of
    the session that the job changed, such as PostgreSQL's ``search_path``.
    """
    ended = _execute_in_transaction(run, call)
    known = ended if isinstance(ended, FinishedRun) else ended.otherwise or ended.finished
    if known is not None:
        log_run(run, known)
    return ended


def _execute_in_transaction(run: Run, call: Callable[[Run], Outcome]) -> FinishedRun | CommittedRun:
    context = run.context
    outcome: Outcome | None = None
    finished: FinishedRun | None = None
    commits: list[bool] = []
    try:
        with keep_settings(connections[context.using]) as restore_settings, savepoint(using=context.using):
            # Before all callbacks of the job: the first that raises drops those behind it.
            after_commit(partial(commits.append, True), using=context.using)
            outcome = call(run)
            finished = decide_end(run, outcome)
            if not isinstance(outcome, Succeeded):
                transaction.set_rollback(True, using=context.using)
                run.end_log()
                return finished
            restore_settings()
            save_log_before_finish(run)
            if not finish([in_ascii(finished)], worker_id=context.worker_id, using=context.using):
                raise ClaimLostError
    except ClaimLostError:
        return CommittedRun(run.claim, None)
    except BaseException as error:  # noqa: BLE001 - the commit may raise anything, and so may callbacks after it
        if not commits:
            return _after_failed_transaction(run, outcome, finished, error)
        context.report_exception(run.claim, error)
        log_failed_callback(run.claim, error)
    if run.log is not None:
        run.log.close()
    return CommittedRun(run.claim, finished)


def log_failed_callback(claim: Claim, error: BaseException) -> None:
    """Log the error of a callback that was called after the commit. Never raises."""
    with suppress(BaseException):  # a handler of the project may raise anything, and the job has succeeded
        text = "succeeded and is committed; a callback that it gave to on_commit failed"
        log_job(logger, logging.ERROR, claim, text, exc_info=(type(error), error, traceback_of(error)))


def _after_failed_transaction(
    run: Run, outcome: Outcome | None, finished: FinishedRun | None, error: BaseException
) -> FinishedRun | CommittedRun:
    """Return the failure; if the connection was lost, perhaps after the commit, the finisher asks which it is."""
    run.end_log()
    if finished is not None and not isinstance(outcome, Succeeded):
        return finished  # only the rollback failed
    failed = decide_end(run, outcome_from_stray(error, run))
    if finished is not None and failed.decision.after_interruptions is not None:
        return CommittedRun(run.claim, finished, otherwise=failed)
    delete_offloaded(outcome)
    return failed


def in_ascii(run: FinishedRun) -> FinishedRun:
    """Return a success with the same JSON in ASCII, which any column takes: a refusal rolls back the job's work."""
    result = run.decision.result
    if result is None or result.isascii():
        return run
    return run._replace(decision=replace(run.decision, result=json.dumps(json.loads(result), separators=(",", ":"))))


def save_log_before_finish(run: Run) -> None:
    """Save the log before the finish: after it the claim is no longer valid."""
    kept = None if run.log is None else run.log.kept()
    if kept is None or not kept.lines:
        return
    context = run.context
    try:
        with savepoint(using=context.using):
            save_log(run.claim, kept, worker_id=context.worker_id, using=context.using)
    except Exception as error:
        if not is_refusal(connections[context.using], error):
            raise
        log_job(logger, logging.ERROR, run.claim, "has a log that could not be saved", exc_info=True)


def resolve_commits(
    runs: Sequence[CommittedRun], *, worker_id: int, using: str
) -> tuple[list[CommittedRun], list[FinishedRun]]:
    """Return the runs that are committed, and how the others end: those whose commit got no answer. One statement."""
    unsure = [run.finished for run in runs if run.otherwise is not None and run.finished is not None]
    saved = saved_before(unsure, worker_id=worker_id, using=using)
    for finished in unsure:
        if finished.claim.job_id not in saved:
            delete_unsaved_result(finished)
    committed = [run for run in runs if run.otherwise is None or run.claim.job_id in saved]
    return committed, [run.otherwise for run in runs if run.otherwise and run.claim.job_id not in saved]
