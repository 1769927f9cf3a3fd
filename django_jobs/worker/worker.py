"""One worker process's threads: built, started, drained, closed."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from django.db import Error as DatabaseError
from django.db import connections

from ..conf import Settings, get_settings
from ..conf.database import public_id
from ..hooks import around_hooks
from ..log_records import log_job
from ..models import Worker as WorkerRow
from ..observers import listeners, tell_runs_ended
from ..policy.heartbeats import overdue_after
from ..policy.outcomes import Outcome, Released
from ..policy.plurals import counted
from ..store.dialects.base.jobs import Claim, FinishedRun
from ..store.lifecycle.signals import announced
from ..store.readiness import reason_of
from .duties.activity import ActivityReport
from .duties.cancel_requests import CancelWatcher
from .duties.heartbeat import Heartbeat
from .duties.maintenance import Maintenance
from .duties.notifiers import PollingOnly, create_notifier
from .duties.scheduler import Scheduler
from .execution.classify import outcome_of_cancellation, outcome_of_timeout, timeout_seconds
from .execution.finalize import finalize
from .execution.runtime import WorkerContext
from .execution.timeouts import Watchdog
from .executors.base import running_claims, take_unstarted
from .executors.event_loop import EventLoopExecutor
from .executors.threads import ThreadExecutor
from .options import WorkerOptions
from .pipeline.announcer import Announcer
from .pipeline.claimer import Claimer
from .pipeline.finisher import Finisher
from .shared_parts import SharedParts
from .system.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_RECYCLE
from .system.liveness import SharedLiveness
from .threads.connections import name_job_sessions, set_network_timeouts, use_own_connections
from .threads.db_outage import DatabaseOutage
from .threads.loop import IDLE_CLOSE_SECONDS, Loop, LoopSpec
from .threads.sessions import observe_connections
from .threads.watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

BURST_POLL_SECONDS = 0.02
DRAIN_POLL_SECONDS = 0.1
MAINTENANCE_TIMEOUT_FACTOR = 20
"""Maintenance deletes thousands of rows and may take this many times longer than other loops."""
LISTEN_SECONDS = 60.0
GUARD_INTERVAL_SECONDS = 1.0
FLUSH_TIMEOUT_SECONDS = 10.0
"""How long a stopping worker waits for the database to take its last finishes."""


class Host(Protocol):
    """The process around a worker."""

    def registered(self, worker_id: int) -> None:
        """The worker has a new id."""

    def stop(self, reason: str, exit_code: int) -> None:
        """The worker should be drained and closed; called once, from any thread."""

    def kill(self, reason: str) -> None:
        """The worker should be closed at once; from any thread, perhaps more than once."""


class Worker:
    """The pipeline of one process: start, drain and close. Implements the ``WorkerEvents`` of its parts.

    ``record_start`` is called with the id of each job that starts; ``settings``: in place of the project's, for tests
    and for one of several databases, whose workers have ``shared`` parts.
    ``is_failed``: a part is broken.
    After ``close``, ``stop_requested`` tells whether staff requested a stop, whatever the reason of the end was.
    """

    def __init__(
        self,
        options: WorkerOptions,
        host: Host,
        record_start: Callable[[int], None],
        liveness: SharedLiveness,
        *,
        settings: Settings | None = None,
        shared: SharedParts | None = None,
    ) -> None:
        settings = settings or get_settings()
        use_own_connections()
        set_network_timeouts(settings.database)
        name_job_sessions(settings.database)
        observe_connections()
        self.options = options
        self.is_failed = False
        self.stop_requested = False
        self._is_leaving = False
        self._host = host
        self._liveness = liveness
        self._settings = settings
        self._shared = shared
        self._context = context = WorkerContext(
            settings=settings, options=options, events=self, watchdog=Watchdog(liveness.timeout_changed)
        )
        self._finisher = Finisher(context)
        self._announcer = Announcer(context)
        if shared is not None:
            context.run_times = shared.run_times
        self._threads = ThreadExecutor(context, None if shared is None else shared.thread_capacity)
        self._event_loop = EventLoopExecutor(context, None if shared is None else shared.async_capacity)
        self._notifier = create_notifier(context)
        self._claimer = Claimer(
            context,
            threads=self._threads,
            event_loop=self._event_loop,
            finisher=self._finisher,
            notifier=self._notifier,
        )
        self._activity = ActivityReport(context, threads=self._threads, event_loop=self._event_loop)
        self._heartbeat = Heartbeat(context, self._activity)
        self._cancel_watcher = CancelWatcher(context, (self._threads, self._event_loop))
        self._scheduler = Scheduler(settings, self._notifier, started=options.started)
        self._maintenance = Maintenance(context)
        self.registered, self.job_started = host.registered, record_start
        self.progress = self.run_finished = self._finisher.queue.put
        self.runs_finished = self._finisher.queue.put_all
        self.capacity_freed, self.batch_saved = self._claimer.capacity_freed, self._claimer.batch_saved
        self.work_enqueued, self.work_due_in = self._claimer.work_enqueued, self._claimer.work_due_in
        self.schedules_changed = self._scheduler.wake.set
        self._step_timeout = 2 * settings.worker.stale_after.total_seconds()
        self._outage = DatabaseOutage() if shared is None else DatabaseOutage(f"database {settings.database!r}")
        self._loops = self._create_loops()
        self._next_heartbeat_at = 0.0
        self._claim_deadline = math.inf
        self._stop_lock = threading.Lock()
        self._closed = threading.Event()

    def _create_loops(self) -> dict[str, Loop]:
        timeout = self._step_timeout
        maintenance_timeout = MAINTENANCE_TIMEOUT_FACTOR * timeout
        finisher, announcer, scheduler = self._finisher, self._announcer, self._scheduler
        idle = IDLE_CLOSE_SECONDS
        specs = (
            LoopSpec("heartbeat", self._renew_heartbeat, step_timeout=timeout),
            LoopSpec("finisher", finisher.step, wait=finisher.collect, step_timeout=timeout, idle_close_seconds=idle),
            LoopSpec(
                "announcer", announcer.step, wait=announcer.collect, runs_project_code=True, idle_close_seconds=idle
            ),
            LoopSpec("maintenance", self._maintenance.step, step_timeout=maintenance_timeout),
            LoopSpec(
                "scheduler",
                scheduler.step,
                wake=scheduler.wake,
                step_timeout=maintenance_timeout,
                idle_close_seconds=idle,
            ),
            LoopSpec("claimer", self._claim, wake=self._notifier, durable=False, step_timeout=timeout),
            LoopSpec("notifier", self._listen, wake=self._notifier, step_timeout=timeout),
        )
        using, outage = self._context.using, self._outage
        return {spec.name: Loop(spec, using=using, outage=outage, on_death=self.died) for spec in specs}

    def start(self) -> None:
        """Start the heartbeat, which registers the process, however long the database takes, and starts the rest."""
        self._liveness.interpreter_ran()
        self._context.hooks = around_hooks()  # a receiver of worker_started may have added one
        self._loops["heartbeat"].start()
        WatchedThread(self._guard, role="guard", on_death=self.died).start()

    def drain(self, seconds: float) -> bool:
        """Stop claiming, release unstarted jobs, wait for running ones; True if all ended within ``seconds``.

        Jobs that go on after their timeout are not waited for.
        """
        deadline = time.monotonic() + seconds
        self._stop_claiming()
        self._save_state(WorkerRow.State.STOPPING)
        self._threads.stop()
        self._event_loop.stop()
        while not self._join_executors(min(deadline, time.monotonic() + DRAIN_POLL_SECONDS)):
            running = self._running()
            if time.monotonic() >= deadline or (running and all(self._is_past_timeout(*run) for run in running)):
                return False
        return True

    def close(self) -> bool:
        """Save finished runs, release running jobs without using up an attempt, sign off.

        Returns False if the database did not take it within ten seconds: the claims will be rescued.
        """
        self._stop_claiming()
        for claim, since in self._running():
            self._abandon(claim, since)
        self._threads.kill()
        self._finisher.queue.close()
        if not self._loops["finisher"].join(FLUSH_TIMEOUT_SECONDS):
            logger.error("the database did not take the last finishes of this worker; its claims will be rescued")
            return False
        self._announcer.queue.close()
        self._loops["announcer"].join(FLUSH_TIMEOUT_SECONDS)
        self._loops["heartbeat"].stop()
        signed_off = self._loops["heartbeat"].join(FLUSH_TIMEOUT_SECONDS) and self._save_state(WorkerRow.State.STOPPED)
        self._closed.set()
        return signed_off

    def end_threads(self, seconds: float) -> bool:
        """After ``close``: end the threads that else end with the process; tell whether all did within ``seconds``."""
        deadline = time.monotonic() + seconds
        self._context.end_threads()
        self._threads.chunks.close()
        self._event_loop.chunks.close()
        for loop in self._loops.values():
            loop.stop()
        ended = [loop.join(max(deadline - time.monotonic(), 0)) for loop in self._loops.values()]
        self._notifier.close()
        return all(ended)

    def died(self, role: str) -> None:
        """Fail as a whole because one of the process's threads died."""
        self.failed(f"its {role} died")

    def claim_released(self, claim: Claim) -> None:
        """Queue a release for the finisher."""
        self._finisher.queue.put(finalize(claim, Released(started=False), self._context))

    def runs_saved(self, runs: Sequence[FinishedRun]) -> None:
        """Let the claimer look for jobs that waited for these runs, and send signals that have receivers."""
        self._claimer.runs_saved(runs)
        if listeners:
            tell_runs_ended(runs)
        for run in announced(runs):
            self._announcer.queue.put(run)

    def stop(self, reason: str, exit_code: int) -> None:
        """Ask the host to drain and close the worker; the first reason counts."""
        if self._stop_lock.acquire(blocking=False):
            self._host.stop(reason, exit_code)

    def kill(self, reason: str) -> None:
        """Find out which running jobs are to be cancelled, and ask the host for an end at once."""
        self._cancel_watcher.check()
        self._host.kill(reason)

    def failed(self, reason: str) -> None:
        """Ask the host for an end with an error."""
        self.is_failed = True
        self.stop(reason, EXIT_FAILED)

    def _renew_heartbeat(self) -> float:
        """Renew the heartbeat if it is due, or report long runs, and check for cancellation requests."""
        if time.monotonic() >= self._next_heartbeat_at:
            self._liveness.heartbeat_attempted()
            if self._heartbeat.is_file_replaced():
                self._leave_old_file()
                return self._settings.worker.heartbeat_interval.total_seconds()
            if not self._context.worker_id:
                self._maintenance.prepare()  # first: if it fails, the next step does both again
                self._heartbeat.register()
                self._start_loops()
            delay = self._heartbeat.step()
            self._next_heartbeat_at = time.monotonic() + delay
            self._liveness.heartbeat_saved()
        else:
            self._activity.step()
        return min(self._cancel_watcher.step(), max(self._next_heartbeat_at - time.monotonic(), 0))

    def _leave_old_file(self) -> None:
        """Have all loops open the new file, and a new process take over: positions and claims are of the old one."""
        if not self._is_leaving:
            self._is_leaving = True
            logger.warning(
                "the file of database %r was replaced; its connections are opened again, by a new process",
                self._context.using,
            )
            self._outage.reconnect()
            self.stop("the database's file was replaced", EXIT_RECYCLE)

    def _start_loops(self) -> None:
        for name in ("finisher", "announcer", "maintenance"):
            self._loops[name].start()
        if self.options.schedules:
            self._loops["scheduler"].start()
        if self.options.works:
            self._threads.start()
            self._event_loop.start()
            self._loops["claimer"].start()
        else:
            self._loops["notifier"].start()
            self._liveness.claimer_stopped()

    def _listen(self) -> float | None:
        """In a worker that claims nothing, hear of changed schedules; the others do so in the claimer's pauses."""
        if isinstance(self._notifier, PollingOnly):
            return None
        self._notifier.listen()
        return LISTEN_SECONDS

    def _claim(self) -> float:
        """Do a round of the claimer and check whether there is a reason to end."""
        self._liveness.claimer_ran()
        self._notifier.listen()
        self._liveness.queues_checked(self._claimer.checked_at)
        self._check_timeouts()
        quiet, last_snapshot = not self._context.active_claims, self._claimer.last_snapshot
        delay = self._claimer.step()
        # This very round may have claimed the last jobs.
        quiet = quiet and not self._context.active_claims
        if quiet and self._claimer.is_max_jobs_reached:
            self.stop(counted(self.options.max_jobs or 0, "job"), EXIT_RECYCLE)
        if self.options.burst:
            if quiet and self._claimer.last_snapshot is not last_snapshot and self._claimer.has_no_work:
                self.stop("nothing is ready or due", EXIT_DONE)
            return min(delay, BURST_POLL_SECONDS)
        return delay

    def _check_timeouts(self) -> None:
        """End the process if a job does not end at its timeout: JobTimeoutError cannot reach it inside C code."""
        for claim, since in self._running():
            if self._is_past_timeout(claim, since) and not self._context.isolates(claim):
                self.stop(f"job {public_id(claim.job_id)} ({claim.name}) goes on after its timeout", EXIT_RECYCLE)

    def _guard(self) -> None:
        """Free the loops that wait for a silent database, until the worker has signed off."""
        while not self._closed.wait(GUARD_INTERVAL_SECONDS):
            was_silent = self._liveness.silent_seconds() > 3 * GUARD_INTERVAL_SECONDS
            self._liveness.interpreter_ran()
            if was_silent:
                continue  # C code held the interpreter, not the database: the loops did not get to the answers
            self._lend_slots()
            for loop in self._loops.values():
                loop.abort_if_unresponsive()

    def _lend_slots(self) -> None:
        """Give the other databases of this process their slots back if this one does not answer the heartbeat."""
        if self._shared is None:
            return
        age, settings = self._liveness.read(os.getpid()).heartbeat_age, self._settings.worker
        limit = overdue_after(interval=settings.heartbeat_interval, stale_after=settings.stale_after).total_seconds()
        is_overdue = age is not None and age > limit
        if not self._shared.set_overdue(self._context.using, is_overdue=is_overdue):
            return
        if is_overdue:
            logger.warning(
                "database %r has not answered the heartbeat for %.0f s; none of its jobs start until it does, and its"
                " runs take no slots from other databases",
                self._context.using,
                age,
            )
        else:
            logger.info("database %r answers the heartbeat again; its jobs start", self._context.using)

    def _stop_claiming(self) -> None:
        """Claim and schedule no more; wait once for loops that the database delays."""
        self._loops["scheduler"].stop(step_timeout=self._step_timeout)
        self._loops["claimer"].stop()
        self._claim_deadline = min(self._claim_deadline, time.monotonic() + FLUSH_TIMEOUT_SECONDS)
        for name in ("claimer", "scheduler"):
            self._loops[name].join(max(self._claim_deadline - time.monotonic(), 0))
        self._liveness.claimer_stopped()
        for executor in (self._threads, self._event_loop):
            for claim in executor.chunks.take_all() + take_unstarted(executor):
                self.claim_released(claim)

    def _abandon(self, claim: Claim, since: float) -> None:
        """Finish a run that goes on: as timed out if it hangs, as cancelled if that was requested, else as released."""
        started = self._context.clock.seconds() - (time.monotonic() - since)
        outcome: Outcome
        if self._is_past_timeout(claim, since):
            outcome = outcome_of_timeout(claim, self._context)
        elif self._cancel_watcher.was_requested(claim):
            log_job(logger, logging.WARNING, claim, "did not end after its cancellation was requested; it is cancelled")
            outcome = outcome_of_cancellation(claim)
        else:
            log_job(logger, logging.WARNING, claim, "did not end in time and is released")
            outcome = Released(started=True)
        self.run_finished(finalize(claim, outcome, self._context, started=started))

    def _running(self) -> list[tuple[Claim, float]]:
        return running_claims(self._threads) + running_claims(self._event_loop)

    def _join_executors(self, deadline: float) -> bool:
        return self._threads.join(deadline) and self._event_loop.join(deadline)

    def _is_past_timeout(self, claim: Claim, since: float) -> bool:
        timeout = timeout_seconds(claim)
        grace = self._settings.worker.timeout_grace.total_seconds()
        return timeout is not None and time.monotonic() - since > timeout + grace

    def _save_state(self, state: WorkerRow.State) -> bool:
        """Save the worker's state; tell whether the database took it."""
        try:
            if self._context.worker_id:
                self.stop_requested = self._heartbeat.save_state(state)
        except DatabaseError as error:
            logger.warning("the database did not take the state %s of this worker: %s", state, reason_of(error))
            return False
        finally:
            connections.close_all()
        return True
