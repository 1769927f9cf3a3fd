"""One worker process's threads: built, started, drained, closed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from django.db import Error as DatabaseError
from django.db import connections

from ..conf import get_settings
from ..models import Worker as WorkerRow
from ..policy.outcomes import Outcome, Released
from ..store.dialects.base.jobs import Claim, FinishedRun
from ..store.lifecycle.signals import has_receivers
from .duties.cancel_requests import CancelWatcher
from .duties.heartbeat import Heartbeat
from .duties.maintenance import Maintenance
from .duties.notifiers import create_notifier
from .duties.scheduler import Scheduler
from .execution.classify import outcome_of_timeout, timeout_seconds
from .execution.finalize import finalize
from .execution.runtime import WorkerContext
from .execution.timeouts import Watchdog
from .executors.base import take_unstarted
from .executors.event_loop import EventLoopExecutor
from .executors.threads import ThreadExecutor
from .exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_RECYCLE
from .liveness import SharedLiveness
from .options import WorkerOptions
from .pipeline.announcer import Announcer
from .pipeline.claimer import Claimer
from .pipeline.finisher import Finisher
from .threads.connections import set_network_timeouts, use_own_connections
from .threads.db_outage import DatabaseOutage
from .threads.loop import Loop, LoopSpec
from .threads.sessions import observe_connections
from .threads.watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

BURST_POLL_SECONDS = 0.02
DRAIN_POLL_SECONDS = 0.1
MAINTENANCE_TIMEOUT_FACTOR = 20
"""Maintenance deletes thousands of rows and may take this many times longer than other loops."""
GUARD_INTERVAL_SECONDS = 1.0
FLUSH_TIMEOUT_SECONDS = 10.0
"""How long a stopping worker waits for the database to take its last finishes."""


class Host(Protocol):
    """The process around a worker."""

    def registered(self, worker_id: int) -> None:
        """The worker has a new id."""

    def stop(self, reason: str, exit_code: int) -> None:
        """The worker should be drained and closed; called once, from any thread."""


class Worker:
    """The pipeline of one process: start, drain and close. Implements the ``WorkerEvents`` of its parts.

    ``record_start`` is called with the id of each job that starts. ``is_failed``: a part is broken.
    After ``close``, ``stop_requested`` tells whether staff requested a stop, whatever the reason of the end was.
    """

    def __init__(
        self,
        options: WorkerOptions,
        host: Host,
        record_start: Callable[[int], None],
        liveness: SharedLiveness,
    ) -> None:
        settings = get_settings()
        use_own_connections()
        set_network_timeouts(settings.database)
        observe_connections()
        self.options = options
        self.is_failed = False
        self.stop_requested = False
        self._is_leaving = False
        self._host = host
        self._liveness = liveness
        self._settings = settings
        self._context = context = WorkerContext(
            settings=settings, options=options, events=self, watchdog=Watchdog(liveness.timeout_changed)
        )
        self._finisher = Finisher(context)
        self._announcer = Announcer(using=context.using)
        self._threads = ThreadExecutor(context)
        self._event_loop = EventLoopExecutor(context)
        self._notifier = create_notifier(context)
        self._claimer = Claimer(
            context,
            threads=self._threads,
            event_loop=self._event_loop,
            finisher=self._finisher,
            notifier=self._notifier,
        )
        self._heartbeat = Heartbeat(context)
        self._cancel_watcher = CancelWatcher(context, (self._threads, self._event_loop))
        self._scheduler = Scheduler(settings, self._notifier, started=options.started)
        self._maintenance = Maintenance(context)
        self.registered, self.job_started = host.registered, record_start
        self.progress = self.run_finished = self._finisher.queue.put
        self.capacity_freed = self._claimer.capacity_freed
        self.work_enqueued, self.work_due_in = self._claimer.work_enqueued, self._claimer.work_due_in
        self.schedules_changed = self._scheduler.wake.set
        self._step_timeout = 2 * settings.worker.stale_after.total_seconds()
        self._outage = DatabaseOutage()
        self._loops = self._create_loops()
        self._next_heartbeat_at = 0.0
        self._claim_deadline = math.inf
        self._stop_lock = threading.Lock()
        self._closed = threading.Event()

    def _create_loops(self) -> dict[str, Loop]:
        timeout = self._step_timeout
        maintenance_timeout = MAINTENANCE_TIMEOUT_FACTOR * timeout
        specs = (
            LoopSpec("heartbeat", self._renew_heartbeat, step_timeout=timeout),
            LoopSpec("finisher", self._finisher.step, wait=self._finisher.collect, step_timeout=timeout),
            LoopSpec("announcer", self._announcer.step, wait=self._announcer.collect, runs_project_code=True),
            LoopSpec("notifier", self._notifier.step, durable=True if self._notifier.uses_connection else None),
            LoopSpec("maintenance", self._maintenance.step, step_timeout=maintenance_timeout),
            LoopSpec("scheduler", self._scheduler.step, wake=self._scheduler.wake, step_timeout=maintenance_timeout),
            LoopSpec("claimer", self._claim, wake=self._claimer.wake, durable=False, step_timeout=timeout),
        )
        using, outage = self._context.using, self._outage
        return {spec.name: Loop(spec, using=using, outage=outage, on_death=self.died) for spec in specs}

    def start(self) -> None:
        """Start the heartbeat, which registers the process, however long the database takes, and starts the rest."""
        self._liveness.interpreter_ran()
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

    def died(self, role: str) -> None:
        """Fail as a whole because one of the process's threads died."""
        self.failed(f"its {role} died")

    def claim_released(self, claim: Claim) -> None:
        """Queue a release for the finisher."""
        self._finisher.queue.put(finalize(claim, Released(started=False), self._context))

    def runs_saved(self, runs: Sequence[FinishedRun]) -> None:
        """Let the claimer look for jobs that waited for these runs, and send signals that have receivers."""
        self._claimer.runs_saved(runs)
        for run in runs:
            if has_receivers(run.decision):
                self._announcer.queue.put(run)

    def stop(self, reason: str, exit_code: int) -> None:
        """Ask the host to drain and close the worker; the first reason counts."""
        if self._stop_lock.acquire(blocking=False):
            self._host.stop(reason, exit_code)

    def failed(self, reason: str) -> None:
        """Ask the host for an end with an error."""
        self.is_failed = True
        self.stop(reason, EXIT_FAILED)

    def _renew_heartbeat(self) -> float:
        """Renew the heartbeat if it is due, and check for cancellation requests."""
        if time.monotonic() >= self._next_heartbeat_at:
            self._liveness.heartbeat_attempted()
            if self._heartbeat.is_file_replaced():
                self._leave_old_file()
                return self._settings.worker.heartbeat_interval.total_seconds()
            if not self._context.worker_id:
                self._heartbeat.register()
                self._start_loops()
            delay = self._heartbeat.step()
            self._next_heartbeat_at = time.monotonic() + delay
            self._liveness.heartbeat_saved()
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
        for name in ("finisher", "announcer", "notifier", "maintenance"):
            self._loops[name].start()
        if self.options.schedules:
            self._loops["scheduler"].start()
        if self.options.works:
            self._threads.start()
            self._event_loop.start()
            self._loops["claimer"].start()
        else:
            self._liveness.claimer_stopped()

    def _claim(self) -> float:
        """Do a round of the claimer and check whether there is a reason to end."""
        self._liveness.claimer_ran()
        self._liveness.queues_checked(self._claimer.checked_at)
        self._check_timeouts()
        quiet, last_snapshot = not self._context.active_claims, self._claimer.last_snapshot
        delay = self._claimer.step()
        # This very round may have claimed the last jobs.
        quiet = quiet and not self._context.active_claims
        if quiet and self._claimer.is_max_jobs_reached:
            self.stop(f"{self.options.max_jobs} jobs", EXIT_RECYCLE)
        if self.options.burst:
            if quiet and self._claimer.last_snapshot is not last_snapshot and self._claimer.has_no_work:
                self.stop("nothing is ready or due", EXIT_DONE)
            return min(delay, BURST_POLL_SECONDS)
        return delay

    def _check_timeouts(self) -> None:
        """End the process if a job does not end at its timeout: JobTimeoutError cannot reach it inside C code."""
        for claim, since in self._running():
            if self._is_past_timeout(claim, since) and not self._context.isolates(claim):
                self.stop(f"job {claim.job_id} ({claim.name}) goes on after its timeout", EXIT_RECYCLE)

    def _guard(self) -> None:
        """Free the loops that wait for a silent database, until the worker has signed off."""
        while not self._closed.wait(GUARD_INTERVAL_SECONDS):
            was_silent = self._liveness.silent_seconds() > 3 * GUARD_INTERVAL_SECONDS
            self._liveness.interpreter_ran()
            if was_silent:
                continue  # C code held the interpreter, not the database: the loops did not get to the answers
            for loop in self._loops.values():
                loop.abort_if_unresponsive()

    def _stop_claiming(self) -> None:
        """Claim and schedule no more; wait once for loops that the database delays."""
        self._loops["scheduler"].stop(step_timeout=self._step_timeout)
        self._loops["claimer"].stop()
        self._claim_deadline = min(self._claim_deadline, time.monotonic() + FLUSH_TIMEOUT_SECONDS)
        for name in ("claimer", "scheduler"):
            self._loops[name].join(max(self._claim_deadline - time.monotonic(), 0))
        self._liveness.claimer_stopped()
        for claim in take_unstarted(self._threads) + take_unstarted(self._event_loop):
            self.claim_released(claim)

    def _abandon(self, claim: Claim, since: float) -> None:
        """Finish a run that goes on: as timed out if it hangs, else as released."""
        started = self._context.clock.seconds() - (time.monotonic() - since)
        outcome: Outcome
        if self._is_past_timeout(claim, since):
            outcome = outcome_of_timeout(claim, self._context)
        else:
            logger.warning("job %s (%s) did not end in time and is released", claim.job_id, claim.name)
            outcome = Released(started=True)
        self.run_finished(finalize(claim, outcome, self._context, started=started))

    def _running(self) -> list[tuple[Claim, float]]:
        return self._threads.running() + self._event_loop.running()

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
            logger.warning("the database did not take the state %s of this worker: %s", state, error)
            return False
        finally:
            connections.close_all()
        return True
