"""Save what has ended, all of it at once: whatever came since the last statement goes into the next.

So the batches grow with the load and a lone job is saved at once. While the database is away, ended runs
wait here; nothing of them is lost as long as the process lives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from django.db import DataError, IntegrityError

from ...policy.decide import Decision
from ...policy.outcomes import AttemptOutcome, DeathReason, Error
from ...policy.prefetch import RunTimes
from ...policy.states import State
from ...store.dialects.base.jobs import Claim, FinishedRun
from ...store.lifecycle.finish import finish
from ...store.lifecycle.progress import save_progress
from ...store.lifecycle.signals import has_receivers
from ...store.logs import save_log
from ...store.results.retention import delete_unsaved_result
from ..execution.runtime import CommittedRun, LogUpdate, ProgressUpdate
from ..threads.batch_queue import BatchQueue

logger = logging.getLogger("django_jobs.worker")

MAX_BATCH_SIZE = 1_000

FinisherItem = FinishedRun | CommittedRun | ProgressUpdate | LogUpdate


class Finisher:
    """Saves the ended runs and notes that the executors put into ``inbox``; ``collect`` and ``step`` are one batch.

    ``saved`` counts the runs that have ended here. ``wake_in`` hears of delays, ``on_finished`` of all claims
    whose end was saved, ``announce`` of runs whose signal somebody listens to.
    """

    def __init__(
        self,
        *,
        using: str,
        worker_id: Callable[[], int],
        active_claims: dict[int, Claim],
        run_times: RunTimes,
        wake_in: Callable[[float], None],
        on_finished: Callable[[Iterable[Claim]], None],
        announce: Callable[[FinishedRun], None],
    ) -> None:
        self.inbox: BatchQueue[FinisherItem] = BatchQueue(max_items=MAX_BATCH_SIZE)
        self.saved = 0
        self._using = using
        self._worker_id = worker_id
        self._active_claims = active_claims
        self._run_times = run_times
        self._wake_in = wake_in
        self._on_finished = on_finished
        self._announce = announce
        self._batch: list[FinisherItem] = []
        self._is_retry = False

    def backlog(self) -> int:
        """Return how many runs and notes wait to be saved."""
        return len(self.inbox) + len(self._batch)

    def collect(self) -> None:
        """Wait for a batch, or keep the last one where it could not be saved."""
        self._batch = self._batch or self.inbox.take()

    def step(self) -> float | None:
        """Save what was collected."""
        self._save()
        self._is_retry = False
        return None if self.inbox.is_ended else 0

    def _save(self) -> None:
        self._save_notes([item for item in self._batch if isinstance(item, ProgressUpdate)])
        self._save_logs({item.claim: item for item in self._batch if isinstance(item, LogUpdate)}.values())
        ended = self._first_end_per_job()
        again, self._is_retry = self._is_retry, True
        saved = self._finish(ended, again=again)
        settled = [item for item in self._batch if isinstance(item, CommittedRun)]
        self._batch = []
        for one in ended:
            self._active_claims.pop(one.claim.job_id, None)
        for run in settled:
            self._active_claims.pop(run.claim.job_id, None)
        self.saved += len(ended) + len(settled)
        self._after_saved([one for one in ended if one.claim.job_id in saved])
        self._after_saved([run.ended for run in settled if run.ended is not None])

    def _first_end_per_job(self) -> list[FinishedRun]:
        """Return the ended runs, of two ends of one run (it ended while it was given back) the first."""
        first: dict[int, FinishedRun] = {}
        for item in self._batch:
            if isinstance(item, FinishedRun) and first.setdefault(item.claim.job_id, item) is not item:
                delete_unsaved_result(item)
        return list(first.values())

    def _save_notes(self, notes: list[ProgressUpdate]) -> None:
        """Save the newest of each field that a job said of itself."""
        newest: dict[int, ProgressUpdate] = {}
        for note in notes:
            before = newest.get(note.claim.job_id)
            newest[note.claim.job_id] = (
                note if before is None else ProgressUpdate(note.claim, {**before.fields, **note.fields})
            )
        for note in newest.values():
            try:
                save_progress(note.claim, note.fields, worker_id=self._worker_id(), using=self._using)
            except (DataError, IntegrityError):
                logger.exception("job %s: its progress could not be saved", note.claim.job_id)

    def _save_logs(self, notes: Iterable[LogUpdate]) -> None:
        """Save what runs have logged so far, before their ends."""
        for note in notes:
            try:
                save_log(note.claim, note.lines(), worker_id=self._worker_id(), using=self._using)
            except (DataError, IntegrityError):
                logger.exception("job %s: its log could not be saved", note.claim.job_id)

    def _finish(self, ended: list[FinishedRun], *, again: bool) -> set[int]:
        """Save a batch; where the database refuses its data, halve it until the one at fault is alone."""
        try:
            return finish(ended, worker_id=self._worker_id(), again=again, using=self._using)
        except (DataError, IntegrityError) as error:
            if len(ended) > 1:
                half = len(ended) // 2
                return self._finish(ended[:half], again=True) | self._finish(ended[half:], again=True)
            logger.exception(
                "the end of job %s cannot be stored; it is made a dead letter", ended[0].claim.job_id
            )
            delete_unsaved_result(ended[0])
            return finish([_as_unstorable(ended[0], error)], worker_id=self._worker_id(), using=self._using)

    def _after_saved(self, saved: list[FinishedRun]) -> None:
        """Do what follows from runs that are saved: learn run times, expect retries, log, announce."""
        self._run_times.record(
            (one.claim.name, one.claim.queue_name, one.finished - one.started)
            for one in saved
            if one.started is not None
        )
        self._on_finished(one.claim for one in saved)
        for one in saved:
            if one.decision.state is not State.SUCCEEDED:
                self._log(one)
            if one.decision.delay is not None:
                self._wake_in(one.decision.delay.total_seconds())
            if has_receivers(one.decision):
                self._announce(one)
        if logger.isEnabledFor(logging.DEBUG):
            for one in saved:
                if one.decision.state is State.SUCCEEDED and one.started is not None:
                    spent = one.finished - one.started
                    logger.debug("job %s (%s) succeeded in %.3f s", one.claim.job_id, one.claim.name, spent)

    def _log(self, ended: FinishedRun) -> None:
        claim, decision = ended.claim, ended.decision
        what = f"job {claim.job_id} ({claim.name})"
        said = f"{decision.error.error_class}: {decision.error.message[:200]}" if decision.error else ""
        if decision.state is State.DEAD:
            logger.error("%s is dead (%s) after %s tries: %s", what, decision.death, claim.attempt, said)
        elif decision.name_unknown:
            logger.warning(
                "%s: no job of this name is registered here; held for %s. Known are the modules <app>/jobs.py of"
                " INSTALLED_APPS",
                what,
                decision.delay,
            )
        elif decision.attempt_outcome is AttemptOutcome.SNOOZED:
            logger.info("%s snoozes for %s", what, decision.delay)
        elif decision.state is State.SCHEDULED:
            tries = f"try {claim.attempt} of {claim.max_attempts}"
            logger.warning("%s failed, %s, again in %s: %s", what, tries, decision.delay, said)


def _as_unstorable(ended: FinishedRun, error: Exception) -> FinishedRun:
    """Return the end of a run whose data no database took, as a death that says so."""
    message = f"what this run returned or raised cannot be stored: {type(error).__name__}"
    decision = Decision(
        state=State.DEAD,
        attempt_outcome=AttemptOutcome.FAILED,
        error=Error(error_class="NotStorable", message=message, traceback="", fingerprint=""),
        death=DeathReason.UNREADABLE,
    )
    return ended._replace(decision=decision, fingerprint="")
