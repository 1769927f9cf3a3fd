"""The engine in the thread of a test: claim, run and finish one job after another, in the test's transactions."""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from datetime import datetime

from asgiref.sync import async_to_sync
from django.db import DatabaseError, connections

from .. import __version__, registry
from ..conf import get_settings
from ..conf.database import current_database, set_database
from ..exceptions import Cancel, Retry, Snooze, UnknownJobError
from ..log_records import log_job
from ..models import Job, Worker
from ..options import LONG_AGO
from ..policy.chunks import chunk_key, runs_alone
from ..policy.claim_cursors import ClaimCursors, Lane
from ..policy.states import State
from ..store.batches.apply_deltas import apply_pending_deltas
from ..store.dialects import open_dialect
from ..store.dialects.base.jobs import Claim, FinishedRun
from ..store.lifecycle.claim import claim as claim_in_lane
from ..store.lifecycle.claim import claim_by_priority, refresh_cursors
from ..store.lifecycle.finish import bound_interruptions, finish
from ..store.lifecycle.progress import save_progress
from ..store.lifecycle.promote import promote
from ..store.lifecycle.run_now import run_now
from ..store.lifecycle.signals import announce_ends
from ..store.limits.admit import admit
from ..store.logs import save_log
from ..store.results.retention import delete_unsaved_result
from ..store.transactions import savepoint
from ..store.workers import register_worker, set_worker_state
from ..worker.execution.atomic import log_failed_callback, resolve_commits
from ..worker.execution.chunk import Ends, aexecute_chunk, execute_chunk
from ..worker.execution.classify import is_kind, outcome_of_error
from ..worker.execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..worker.execution.finalize import finalize
from ..worker.execution.log_capture import capturing_logs
from ..worker.execution.run import aexecute, execute
from ..worker.execution.runtime import RunContext
from ..worker.threads.sessions import keep_settings
from .autocommit import logger
from .clock import MovableClock, movable_clock
from .result import EndedRun
from .transactions import Unit, collect_callbacks, run_callbacks, unit_of_work


@contextmanager
def running_engine(*, queues: Sequence[str] | None = None) -> Iterator[Engine]:
    """Register a worker for the block, and keep what jobs log."""
    using = current_database()
    worker_id = register_worker(
        hostname=socket.gethostname(), pid=os.getpid(), queues=queues, concurrency=1, version=__version__, using=using
    )
    try:
        with capturing_logs(), movable_clock(using) as clock:
            engine = Engine(worker_id, queues, clock)
            try:
                yield engine
            finally:
                engine.end_threads()
    finally:
        if not connections[using].needs_rollback:  # else the test's transaction is lost
            set_worker_state(worker_id, Worker.State.STOPPED, using=using)


class Engine:
    """Claims and runs jobs in this thread, as the worker of this id."""

    def __init__(self, worker_id: int, queues: Sequence[str] | None, clock: MovableClock) -> None:
        settings = get_settings().for_database(current_database())
        self.using = settings.database
        self._clock = clock
        self._visited = LONG_AGO
        self.worker_id = worker_id
        self._queues = queues
        self._updates = _Updates(worker_id, self.using)
        self._raised: dict[int, BaseException] = {}
        self._context = RunContext(
            settings=settings,
            events=self._updates,
            worker_id=worker_id,
            log_saver=None,
            on_exception=lambda claim, error: self._raised.setdefault(claim.job_id, error),
        )

    def end_threads(self) -> None:
        """End the thread that watches time limits, if a job had one."""
        self._context.end_threads()

    def claim(self, *, run_scheduled: bool = False, until: datetime | None = None) -> Claim | None:
        """Claim the next job; if none is left, that which falls due next, and move the clock to its time.

        ``until``: not beyond this instant; None: not at all.
        """
        with collect_callbacks() as callbacks:
            claim = self._claim_due(run_scheduled=run_scheduled)
            while claim is None and until is not None and self._move_clock(until):
                claim = self._claim_due()
        run_callbacks(callbacks)
        return claim

    def claim_chunk(self, claim: Claim, *, limit: int) -> list[Claim]:
        """Return a claim and those of the waiting jobs that a worker would put into its chunk: ``limit`` at most."""
        definition = registry.find(claim.name)
        chunk = None if definition is None else definition.options.chunk
        if chunk is None or runs_alone(claim.worker_deaths):
            return [claim]
        waiting = Job.objects.using(self.using).filter(state=State.READY, name=claim.name, worker_deaths=0)
        if self._queues is not None:
            waiting = waiting.filter(queue_name__in=self._queues)
        key = chunk_key(claim.arguments, chunk.by)
        claims = [claim]
        for job in waiting.order_by("ready_at", "pk") if chunk.size > 1 else ():
            if len(claims) >= min(chunk.size, limit):
                break
            if not chunk.by or chunk_key(json.dumps(job.arguments), chunk.by) == key:
                claims += self._claim_one(job)
        return claims

    def run(self, claim: Claim) -> EndedRun:
        """Run a claimed job, call its callbacks, save its end and send the signals."""
        return self.run_together([claim])[0]

    def run_together(self, claims: Sequence[Claim]) -> list[EndedRun]:
        """Do what ``run`` does with the claims of a chunk, in one call; return how each ended.

        What one of their callbacks raises is the first one's error.
        """
        errors: list[BaseException] = []
        variables = Context()
        variables.run(set_database, self.using)
        with unit_of_work() as unit:
            outermost = self._execute_in_generator(claims, variables)
            runs = next(outermost)
        runs = self._end(runs, unit)
        try:
            variables.run(run_callbacks, unit.callbacks)
        except BaseException as raised_by_callback:  # noqa: BLE001 - a callback is code of the project
            errors.append(raised_by_callback)
            runs = [self._after_failed_callback(run, raised_by_callback) for run in runs]
        saved = self._finish(runs)
        if saved:
            announce_ends(list(saved.values()), worker_id=self.worker_id, using=self.using)
        ended = []
        for run in runs:
            finished = saved.get(run.claim.job_id)
            ended.append(self._ended(run.claim, finished, errors)._replace(outermost=outermost))
            errors = []
        self._raised.clear()
        return ended

    def _ended(self, claim: Claim, finished: FinishedRun | None, errors: Sequence[BaseException]) -> EndedRun:
        """Return the saved run, with a note in each of its errors."""
        raised = self._raised.get(claim.job_id)
        failure = _failure(claim, finished, raised)
        errors = [*errors] if failure is None else [failure, *errors]
        for error in errors:
            _add_note(error, f"job {claim.job_id} ({claim.name}), attempt {claim.attempt} of {claim.max_attempts}")
        return EndedRun(None if finished is None else finished.decision.state, raised, errors)

    def _claim_one(self, job: Job) -> list[Claim]:
        """Claim a waiting job; none if its queue is paused, or full."""
        dialect, connection = open_dialect(self.using)
        cursors = ClaimCursors()
        refresh_cursors(cursors, queues=self._queues, using=self.using)
        lane = Lane(job.queue_name, job.priority)
        if lane not in cursors.positions:
            return []
        cursors.positions[lane] = dialect.jobs.position(connection, _just_before(job))
        return claim_in_lane(cursors, lane, limit=1, worker_id=self.worker_id, using=self.using)

    def _claim_due(self, *, run_scheduled: bool = False) -> Claim | None:
        """Claim a job; if none is left, complete finished batches, which would wait for the test's commit."""
        claim = self._claim(run_scheduled=run_scheduled)
        if claim is None and apply_pending_deltas(using=self.using):
            claim = self._claim(run_scheduled=run_scheduled)
        return claim

    def _move_clock(self, until: datetime) -> bool:
        """Move the clock to the next instant at which a job may be due; return False if there is none by ``until``.

        It may have passed since the last claim, which took its time; each is visited once.
        """
        snapshot = refresh_cursors(ClaimCursors(), queues=self._queues, using=self.using)
        instants = (snapshot.next_due, snapshot.next_admission)
        known = [at for at in instants if at is not None and at > self._visited]
        if not known or min(known) > self._clock.round_up(until):
            return False
        self._visited = min(known)
        self._clock.move_to(self._visited)
        return True

    def _claim(self, *, run_scheduled: bool) -> Claim | None:
        using = self.using
        promote(using=using)
        while admit(using=using).more:
            pass
        if run_scheduled:
            # What no code here knows has had its run: the next one would end as that did, again and again.
            scheduled = Job.objects.using(using).filter(state=State.SCHEDULED, unknown_since=None)
            run_now(scheduled if self._queues is None else scheduled.filter(queue_name__in=self._queues), using=using)
        cursors = ClaimCursors()
        self._context.clock.set(refresh_cursors(cursors, queues=self._queues, using=using).now)
        claims = claim_by_priority(cursors, limit=1, worker_id=self.worker_id, using=using)
        return claims[0] if claims else None

    def _execute_in_generator(self, claims: Sequence[Claim], variables: Context) -> Iterator[Ends]:
        """Yield the runs. The frames of an exception end at that of the generator, as long as this is suspended.

        Otherwise they would lead back to those of the test and its variables, and these to the exception: what it has
        open, as the response in an HTTPError, would wait for a garbage collection, which warns of it.
        """
        yield variables.run(self._execute, claims)

    def _execute(self, claims: Sequence[Claim]) -> Ends:
        definition = registry.find(claims[0].name)
        is_chunk = definition is not None and definition.options.chunk is not None
        with keep_settings(connections[self.using]) as restore_settings:
            if definition is not None and definition.is_async:
                runs: Ends = []
                with suppress(GeneratorExit):  # the job's, which is reported
                    if is_chunk:
                        async_to_sync(aexecute_chunk)(claims, self._context, runs.extend)
                    else:
                        async_to_sync(aexecute)(claims[0], self._context, runs.append)
            else:
                runs = execute_chunk(claims, self._context) if is_chunk else [execute(claims[0], self._context)]
            restore_settings()
        return runs

    def _end(self, runs: Ends, unit: Unit) -> Ends:
        """Save updates that were rolled back with the runs, and find out about a commit that got no answer."""
        commits = [run for run in runs if isinstance(run, CommittedRun)]
        if any(run.otherwise is not None for run in commits):
            _, otherwise = resolve_commits(commits, worker_id=self.worker_id, using=self.using)
            ends = {run.claim.job_id: run for run in otherwise}
            runs = [ends.get(run.claim.job_id, run) for run in runs]
        if any(isinstance(run, FinishedRun) for run in runs):
            self._updates.save_all()
        for run in runs:
            if isinstance(run, FinishedRun) and unit.is_rolled_back and run.decision.state is State.SUCCEEDED:
                text = (
                    "succeeded after a database error that it caught; in this test's transaction the error rolled back"
                    " all that it wrote. Put the statement that may fail into atomic(), or use a TransactionTestCase"
                )
                log_job(logger, logging.WARNING, run.claim, text)
        self._updates.clear()
        return runs

    def _after_failed_callback(
        self, run: FinishedRun | CommittedRun, error: BaseException
    ) -> FinishedRun | CommittedRun:
        """Return the failure of a plain job: in a worker, the callback is called while its function runs."""
        if isinstance(run, CommittedRun) or run.decision.state is not State.SUCCEEDED:
            log_failed_callback(run.claim, error)
            return run
        delete_unsaved_result(run)
        outcome = outcome_of_error(error, run.claim, self._context)
        self._raised.pop(run.claim.job_id, None)
        return finalize(run.claim, outcome, self._context, started=run.started, error=error)

    def _finish(self, runs: Ends) -> dict[int, FinishedRun]:
        """Save the ends; return those saved, by the id of their job."""
        committed = {run.claim.job_id: run.finished for run in runs if isinstance(run, CommittedRun) and run.finished}
        with collect_callbacks() as callbacks:
            finished = bound_interruptions([run for run in runs if isinstance(run, FinishedRun)], using=self.using)
            saved = finish(finished, worker_id=self.worker_id, using=self.using) if finished else set()
        run_callbacks(callbacks)
        return committed | {run.claim.job_id: run for run in finished if run.claim.job_id in saved}


class _Updates:
    """RunEvents that are saved at once, in the job's thread, and again after a run whose writes were rolled back."""

    def __init__(self, worker_id: int, using: str) -> None:
        self._worker_id = worker_id
        self._using = using
        self._thread_id = threading.get_ident()
        self._updates: list[ProgressUpdate | LogUpdate] = []

    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        """Save an update now; later if this is an event loop's thread, or the transaction is broken."""
        self._updates.append(update)
        if threading.get_ident() == self._thread_id and not connections[self._using].needs_rollback:
            with suppress(DatabaseError), savepoint(using=self._using):
                self._save(update)

    def save_all(self) -> None:
        """Save all updates of the run."""
        for update in self._updates:
            self._save(update)

    def clear(self) -> None:
        """Forget the updates of the run."""
        self._updates.clear()

    def _save(self, update: ProgressUpdate | LogUpdate) -> None:
        if isinstance(update, LogUpdate):
            save_log(update.claim, update.lines(), worker_id=self._worker_id, using=self._using)
        else:
            save_progress(update.claim, update.fields, worker_id=self._worker_id, using=self._using)


def _just_before(job: Job) -> Claim:
    """Return a claim whose position in the lane is followed by that of the job."""
    ready_at = job.ready_at.timestamp() if job.ready_at else 0.0
    return Claim(
        job.pk - 1, 0, job.name, job.queue_name, job.priority, 0, 0, "", "", ready_at, ready_at, None, ready_at
    )


def _failure(claim: Claim, finished: FinishedRun | None, raised: BaseException | None) -> BaseException | None:
    """Return what a run raised if that is its failure, or the error of a job that this process does not know."""
    if finished is None or finished.decision.state is State.SUCCEEDED:
        return raised  # by a callback after the commit of an atomic job
    if raised is None and registry.find(claim.name) is None:
        try:
            registry.get(claim.name)
        except UnknownJobError as error:
            return error
    if raised is None or (finished.decision.state is not State.DEAD and is_kind(raised, Retry, Snooze, Cancel)):
        return None
    return raised


def _add_note(error: BaseException, note: str) -> None:
    with suppress(Exception):  # a class of the project may raise anything
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
