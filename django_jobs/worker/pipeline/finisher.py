"""Save finished runs in batches: all that have come since the last statement go into the next.

So batches grow with the load, and a lone job is saved at once. During a database outage finished runs
wait here; none is lost as long as the process lives.

::

    batch saved                                   one statement or transaction for all
    data refused    -> halved until it is alone   -> its text escaped, then replaced; the outcome stays
    any other error -> the loop repeats the step  -> after three rounds each item alone, the suspects last
    fails alone three times                       -> a run is set aside and repeated now and then, an update dropped

The last two are for an item that the database answers with what looks like an outage.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import connections

from ...log_records import log_job
from ...store.dialects import is_conflict, is_refusal
from ...store.dialects.base.jobs import FinishedRun
from ...store.lifecycle.finish import bound_interruptions, finish
from ...store.lifecycle.progress import save_progress
from ...store.logs import save_log
from ...store.results.retention import delete_unsaved_result
from ..execution.atomic import resolve_commits
from ..execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..execution.runtime import WorkerContext
from ..threads.batch_queue import BatchQueue
from .refused import escaped_fields, escaped_lines, without_refused_text

logger = logging.getLogger("django_jobs.worker")

MAX_BATCH_SIZE = 1_000
ROUNDS_TOGETHER = 3
"""How often a batch may fail as a whole before its items are saved one by one."""
FAILURES_ALONE = 3
"""How often an item may fail alone before the others no longer wait for it."""
RETRY_ASIDE_SECONDS = 10.0

FinisherItem = FinishedRun | CommittedRun | ProgressUpdate | LogUpdate


@dataclass(slots=True)
class _SetAside:
    """A run that cannot be saved, while others can: ``saved`` of them when it was set aside."""

    run: FinishedRun
    error: Exception
    saved: int
    retry_at: float = 0.0
    attempts: int = 0


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
        self._rounds = 0
        self._failures: Counter[int] = Counter()
        self._aside: list[_SetAside] = []

    def backlog(self) -> int:
        """Return how many runs and updates wait to be saved."""
        return len(self.queue) + len(self._batch)

    def collect(self, seconds: float | None = None) -> bool:
        """Wait for a batch, or keep the last one if it could not be saved; tell whether there is a step to do."""
        if not self._batch and not self.queue.is_ended:
            self._batch = self.queue.take(seconds=RETRY_ASIDE_SECONDS if self._aside else seconds)
        return bool(self._batch or self._aside or self.queue.is_ended)

    def step(self) -> float | None:
        """Save the batch."""
        self._rounds += 1
        if self._rounds <= ROUNDS_TOGETHER:
            self._save(self._batch)
            self._batch = []
        else:
            self._save_one_by_one()
        self._rounds = 0
        self._failures.clear()
        for entry in self._due_for_retry():
            self._retry_aside(entry)
        self._context.events.batch_saved()
        return None if self.queue.is_ended else 0

    def _save(self, items: list[FinisherItem]) -> None:
        self._save_progress([item for item in items if isinstance(item, ProgressUpdate)])
        self._save_logs({item.claim: item for item in items if isinstance(item, LogUpdate)}.values())
        committed = [item for item in items if isinstance(item, CommittedRun)]
        if any(item.otherwise is not None for item in committed):
            worker_id = self._context.worker_id
            committed, otherwise = resolve_commits(committed, worker_id=worker_id, using=self._using)
            items = [*items, *otherwise]
        finished = bound_interruptions(self._without_aside(_first_finish_per_job(items)), using=self._using)
        saved_ids = self._finish(finished, is_retry=self._rounds > 1)
        finished = self._without_aside(finished)
        self._release(finished, committed)
        saved_all = len(saved_ids) == len(finished)
        self._after_saved(finished if saved_all else [run for run in finished if run.claim.job_id in saved_ids])
        self._after_saved([run.finished for run in committed if run.finished is not None])

    def _release(self, finished: list[FinishedRun], committed: list[CommittedRun]) -> None:
        """Forget the claims of runs that have ended, and no newer one: the claimer may have claimed a job again."""
        active = self._context.active_claims
        for claim in [run.claim for run in finished] + [run.claim for run in committed]:
            known = active.pop(claim.job_id, claim)
            if known is not claim and known.claim_number > claim.claim_number:
                active[claim.job_id] = known
        self.saved += len(finished) + len(committed)

    def _save_one_by_one(self) -> None:
        """Save each item alone, those that have failed alone last. The loop has just seen the database answer."""
        for item in sorted(self._batch, key=lambda item: self._failures[id(item)]):
            try:
                self._save([item])
            except Exception as error:
                if not is_conflict(connections[self._using], error):
                    self._blame(item, error)
                raise
            self._batch = [other for other in self._batch if other is not item]

    def _blame(self, item: FinisherItem, error: Exception) -> None:
        """Count a failure of an item alone; after several the others no longer wait for it."""
        self._failures[id(item)] += 1
        if self._failures[id(item)] < FAILURES_ALONE:
            return
        self._batch = [other for other in self._batch if other is not item]
        if isinstance(item, FinishedRun):
            self._set_aside(item, error)
        else:
            log_job(logger, logging.ERROR, item.claim, "has an update that could not be saved: %s", error)

    def _set_aside(self, run: FinishedRun, error: Exception) -> None:
        text = "has an end that cannot be saved alone either; it is set aside and repeated: %s"
        log_job(logger, logging.ERROR, run.claim, text, error)
        self._aside.append(_SetAside(run, error, self.saved, time.monotonic() + RETRY_ASIDE_SECONDS))

    def _without_aside(self, runs: list[FinishedRun]) -> list[FinishedRun]:
        return (
            [run for run in runs if all(run.claim is not entry.run.claim for entry in self._aside)]
            if self._aside
            else runs
        )

    def _due_for_retry(self) -> list[_SetAside]:
        """Return the runs set aside that are due, at the worker's end all; after that they are left to the rescue."""
        now = time.monotonic()
        due = [entry for entry in self._aside if self.queue.is_ended or entry.retry_at <= now]
        if self.queue.is_ended:
            self._aside = []
        return due

    def _retry_aside(self, entry: _SetAside) -> None:
        """Repeat a run that was set aside; without its text if other runs could be saved meanwhile."""
        entry.retry_at = time.monotonic() + RETRY_ASIDE_SECONDS
        versions = [entry.run]
        if self.saved > entry.saved:
            versions += without_refused_text(entry.run, entry.error)
            entry.attempts += 1
        version = versions[min(entry.attempts, len(versions) - 1)]
        saved_ids = finish([version], worker_id=self._context.worker_id, is_retry=True, using=self._using)
        self._aside = [other for other in self._aside if other is not entry]
        self._release([entry.run], [])
        self._after_saved([version] if version.claim.job_id in saved_ids else [])

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
            except Exception as error:
                if not self._is_refusal(error):
                    raise
                self._save_escaped(update)

    def _save_logs(self, updates: Iterable[LogUpdate]) -> None:
        """Save the logs of runs before their finishes."""
        for update in updates:
            try:
                save_log(update.claim, update.lines(), worker_id=self._context.worker_id, using=self._using)
            except Exception as error:
                if not self._is_refusal(error):
                    raise
                self._save_escaped(update)

    def _save_escaped(self, update: ProgressUpdate | LogUpdate) -> None:
        """Save an update whose text the database has refused in ASCII, or not at all."""
        worker_id, using = self._context.worker_id, self._using
        try:
            if isinstance(update, LogUpdate):
                save_log(update.claim, escaped_lines(update.lines()), worker_id=worker_id, using=using)
            else:
                save_progress(update.claim, escaped_fields(update.fields), worker_id=worker_id, using=using)
        except Exception as error:
            if not self._is_refusal(error):
                raise
            text = "has progress or a log that could not be saved"
            log_job(logger, logging.ERROR, update.claim, text, exc_info=True)

    def _finish(self, runs: list[FinishedRun], *, is_retry: bool) -> set[int]:
        """Save a batch. If the database refuses its data, halve it until the run at fault is alone."""
        try:
            return finish(runs, worker_id=self._context.worker_id, is_retry=is_retry, using=self._using)
        except Exception as error:
            if not self._is_refusal(error):
                raise
            if len(runs) > 1:
                half = len(runs) // 2
                return self._finish(runs[:half], is_retry=True) | self._finish(runs[half:], is_retry=True)
            return self._finish_without_refused_text(runs[0], error)

    def _finish_without_refused_text(self, run: FinishedRun, error: Exception) -> set[int]:
        """Save one run whose data the database refuses with the same outcome and less text."""
        for version in without_refused_text(run, error):
            try:
                saved = finish([version], worker_id=self._context.worker_id, using=self._using)
            except Exception as second:
                if not self._is_refusal(second):
                    raise
                continue
            text = "has a result or an error that the database refused; saved without the refused text: %s"
            log_job(logger, logging.ERROR, run.claim, text, error)
            if version.decision.result_retention is None:
                delete_unsaved_result(run)
            return saved
        if not isinstance(error, DatabaseError):
            raise error
        self._set_aside(run, error)
        return set()

    def _is_refusal(self, error: Exception) -> bool:
        return is_refusal(connections[self._using], error)

    def _after_saved(self, runs: list[FinishedRun]) -> None:
        """Record run times, and report the saved runs and their retries."""
        seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
        for claim, _, started, finished, _ in runs:
            if started is not None:
                seconds[claim.name, claim.queue_name].append(finished - started)
        self._context.run_times.record(seconds)
        self._context.events.runs_saved(runs)
        for delay in [run.decision.delay for run in runs if run.decision.delay is not None]:
            self._context.events.work_due_in(delay.total_seconds())


def _first_finish_per_job(items: list[FinisherItem]) -> list[FinishedRun]:
    """Return the finished runs; if one run ended twice (it ended while it was released), the first end counts."""
    runs = [item for item in items if isinstance(item, FinishedRun)]
    first = {run.claim.job_id: run for run in reversed(runs)}
    if len(first) == len(runs):
        return runs
    for run in runs:
        if first[run.claim.job_id] is not run:
            delete_unsaved_result(run)
    return [run for run in runs if first[run.claim.job_id] is run]
