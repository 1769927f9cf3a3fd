"""Save finished runs in batches: all that have come since the last statement go into the next.

So batches grow with the load, and a lone job is saved at once. During a database outage finished runs
wait here; none is lost as long as the process lives.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from django.db import DataError, IntegrityError

from ...policy.decide import Decision
from ...policy.outcomes import AttemptOutcome, DeathReason, Error
from ...policy.states import State
from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.finish import finish
from ...store.lifecycle.progress import save_progress
from ...store.logs import save_log
from ...store.results.retention import delete_unsaved_result
from ..execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..execution.runtime import WorkerContext
from ..threads.batch_queue import BatchQueue

logger = logging.getLogger("django_jobs.worker")

MAX_BATCH_SIZE = 1_000

FinisherItem = FinishedRun | CommittedRun | ProgressUpdate | LogUpdate


class Finisher:
    """Saves the finished runs and updates in ``queue``; ``collect`` and ``step`` handle one batch.

    ``saved`` counts the runs that have ended here.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.queue: BatchQueue[FinisherItem] = BatchQueue(max_items=MAX_BATCH_SIZE)
        self.saved = 0
        self._context = context
        self._using = context.using
        self._batch: list[FinisherItem] = []
        self._is_retry = False

    def backlog(self) -> int:
        """Return how many runs and updates wait to be saved."""
        return len(self.queue) + len(self._batch)

    def collect(self) -> None:
        """Wait for a batch, or keep the last one if it could not be saved."""
        self._batch = self._batch or self.queue.take()

    def step(self) -> float | None:
        """Save the batch."""
        self._save()
        self._is_retry = False
        return None if self.queue.is_ended else 0

    def _save(self) -> None:
        self._save_progress([item for item in self._batch if isinstance(item, ProgressUpdate)])
        self._save_logs({item.claim: item for item in self._batch if isinstance(item, LogUpdate)}.values())
        finished = self._first_finish_per_job()
        is_retry, self._is_retry = self._is_retry, True
        saved_ids = self._finish(finished, is_retry=is_retry)
        committed = [item for item in self._batch if isinstance(item, CommittedRun)]
        self._batch = []
        for claim in [run.claim for run in finished] + [run.claim for run in committed]:
            self._context.active_claims.pop(claim.job_id, None)
        self.saved += len(finished) + len(committed)
        self._after_saved([run for run in finished if run.claim.job_id in saved_ids])
        self._after_saved([run.finished for run in committed if run.finished is not None])

    def _first_finish_per_job(self) -> list[FinishedRun]:
        """Return the finished runs; if one run ended twice (it ended while it was released), the first end counts."""
        first: dict[int, FinishedRun] = {}
        for item in self._batch:
            if isinstance(item, FinishedRun) and first.setdefault(item.claim.job_id, item) is not item:
                delete_unsaved_result(item)
        return list(first.values())

    def _save_progress(self, updates: list[ProgressUpdate]) -> None:
        """Save the newest value of each field."""
        newest: dict[int, ProgressUpdate] = {}
        for update in updates:
            before = newest.get(update.claim.job_id)
            fields = update.fields if before is None else {**before.fields, **update.fields}
            newest[update.claim.job_id] = ProgressUpdate(update.claim, fields)
        for update in newest.values():
            try:
                save_progress(update.claim, update.fields, worker_id=self._context.worker_id, using=self._using)
            except (DataError, IntegrityError):
                logger.exception("job %s: progress could not be saved", update.claim.job_id)

    def _save_logs(self, updates: Iterable[LogUpdate]) -> None:
        """Save the logs of runs before their finishes."""
        for update in updates:
            try:
                save_log(update.claim, update.lines(), worker_id=self._context.worker_id, using=self._using)
            except (DataError, IntegrityError):
                logger.exception("job %s: log could not be saved", update.claim.job_id)

    def _finish(self, runs: list[FinishedRun], *, is_retry: bool) -> set[int]:
        """Save a batch. If the database refuses its data, halve it until the run at fault is alone."""
        worker_id = self._context.worker_id
        try:
            return finish(runs, worker_id=worker_id, is_retry=is_retry, using=self._using)
        except (DataError, IntegrityError) as error:
            if len(runs) > 1:
                half = len(runs) // 2
                return self._finish(runs[:half], is_retry=True) | self._finish(runs[half:], is_retry=True)
            logger.exception("job %s: result could not be stored; moved to dead letters", runs[0].claim.job_id)
            delete_unsaved_result(runs[0])
            return finish([_as_unstorable(runs[0], error)], worker_id=worker_id, using=self._using)

    def _after_saved(self, runs: list[FinishedRun]) -> None:
        """Record run times, log, and report the saved runs and their retries."""
        self._context.run_times.record(
            (run.claim.name, run.claim.queue_name, run.finished - run.started)
            for run in runs
            if run.started is not None
        )
        self._context.events.runs_saved(runs)
        for run in runs:
            if run.decision.state is not State.SUCCEEDED:
                _log(run)
            if run.decision.delay is not None:
                self._context.events.work_due_in(run.decision.delay.total_seconds())
        if logger.isEnabledFor(logging.DEBUG):
            for run in runs:
                if run.decision.state is State.SUCCEEDED and run.started is not None:
                    seconds = run.finished - run.started
                    logger.debug("job %s (%s) succeeded in %.3f s", run.claim.job_id, run.claim.name, seconds)


def _log(run: FinishedRun) -> None:
    claim, decision = run.claim, run.decision
    job = f"job {claim.job_id} ({claim.name})"
    error = f"{decision.error.error_class}: {decision.error.message[:200]}" if decision.error else ""
    if decision.state is State.DEAD:
        logger.error("%s is dead (%s) after %s attempts: %s", job, decision.death, claim.attempt, error)
    elif decision.name_unknown:
        logger.warning(
            "%s: no job of this name is registered; retry in %s. Jobs are registered by the modules <app>/jobs.py"
            " of INSTALLED_APPS",
            job,
            decision.delay,
        )
    elif decision.attempt_outcome is AttemptOutcome.SNOOZED:
        logger.info("%s snoozed for %s", job, decision.delay)
    elif decision.state is State.SCHEDULED:
        logger.warning(
            "%s failed (attempt %s of %s); retry in %s: %s",
            job,
            claim.attempt,
            claim.max_attempts,
            decision.delay,
            error,
        )


def _as_unstorable(run: FinishedRun, error: Exception) -> FinishedRun:
    """Return a run whose data the database refuses as a dead one that says so."""
    message = f"the result or error of this run cannot be stored: {type(error).__name__}"
    decision = Decision(
        state=State.DEAD,
        attempt_outcome=AttemptOutcome.FAILED,
        error=Error(error_class="NotStorable", message=message, traceback="", fingerprint=""),
        death=DeathReason.UNREADABLE,
    )
    return run._replace(decision=decision, fingerprint="")
