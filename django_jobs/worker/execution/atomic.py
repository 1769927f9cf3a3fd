"""Execute a job with ``atomic=True``: its writes and its finish are committed together, or neither."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.db import connections, transaction

from ...exceptions import ClaimLostError
from ...policy.outcomes import Outcome, Succeeded
from ...store.dialects import is_refusal
from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.finish import finish
from ...store.logs import save_log
from ...store.transactions import savepoint
from ..threads.sessions import keep_settings
from .classify import outcome_from_stray
from .events import CommittedRun
from .finalize import finalize_run
from .result_offload import delete_offloaded
from .runtime import Run

logger = logging.getLogger("django_jobs.worker")


def execute_atomic(run: Run, call: Callable[[Run], Outcome]) -> FinishedRun | CommittedRun:
    """Do ``call`` and the finish of its success in one transaction; any other outcome rolls it back.

    An error of the commit, for example of a deferred constraint, is the job's failure. The finish does not depend on
    settings of the session that the job changed, such as PostgreSQL's ``search_path``.
    """
    context = run.context
    outcome: Outcome | None = None
    try:
        with keep_settings(connections[context.using]) as restore_settings, savepoint(using=context.using):
            outcome = call(run)
            finished = finalize_run(run, outcome)
            if not isinstance(outcome, Succeeded):
                transaction.set_rollback(True, using=context.using)
                run.end_log()
                return finished
            restore_settings()
            _save_log(run)
            if not finish([finished], worker_id=context.worker_id, using=context.using):
                raise ClaimLostError
        if run.log is not None:
            run.log.close()
        return CommittedRun(run.claim, finished)
    except ClaimLostError:
        return CommittedRun(run.claim, None)
    except BaseException as error:  # noqa: BLE001 - the commit may raise anything
        delete_offloaded(outcome, error)
        run.end_log()
        return finalize_run(run, outcome_from_stray(error, run))


def _save_log(run: Run) -> None:
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
        logger.exception("job %s: log could not be saved", run.claim.job_id)
