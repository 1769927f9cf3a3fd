"""One worker process's threads, put together: started, drained, or stopped at once."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable

from django.db import Error as DatabaseError
from django.db import connections

from ..conf import get_settings
from ..models import Worker as WorkerRow
from ..policy.outcomes import Outcome, Released
from ..policy.prefetch import RunTimes
from ..store.clock import DatabaseClock
from ..store.dialects.base.jobs import Claim
from .duties.cancel_requests import CancelWatcher
from .duties.heartbeat import Heartbeat
from .duties.maintenance import Maintenance
from .duties.notifiers import create_notifier
from .duties.scheduler import Scheduler
from .execution.classify import outcome_of_timeout, timeout_seconds
from .execution.run import finalize
from .execution.runtime import RunContext
from .executors.base import take_unstarted
from .executors.event_loop import EventLoopExecutor
from .executors.isolation import Isolation
from .executors.threads import ThreadExecutor
from .liveness import SharedLiveness
from .options import WorkerOptions
from .pipeline.announcer import Announcer
from .pipeline.claimer import Claimer
from .pipeline.finisher import Finisher
from .threads.connections import set_network_timeouts
from .threads.db_outage import DatabaseOutage
from .threads.loop import Loop
from .threads.watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

BURST_POLL_SECONDS = 0.02
DRAIN_POLL_SECONDS = 0.1
BURST_OVER = "nothing is ready or due"
STOP_REQUESTED = "staff asked it to stop"
MAINTENANCE_TIMEOUT_FACTOR = 20
"""Maintenance deletes by the thousand and may take so many times longer than the others."""
GUARD_INTERVAL_SECONDS = 1.0
FLUSH_TIMEOUT_SECONDS = 10.0
"""How long a stopping worker waits for the database to take its last word."""


class Worker:
    """The pipeline of one process.

    ``begin`` is called with the id of each job that begins; ``liveness`` shows that the loops turn.
    ``on_register`` hears of the id of the worker's row, each time it gets one. ``on_end`` is called
    once, from one of the threads, when the worker has a reason to stop by itself: the burst is over,
    ``max_jobs`` or ``max_memory_bytes`` is reached, or a thread died (``failed`` tells).
    ``stop_requested`` tells, after ``close``, whether staff asked for the end, whatever its reason was.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        begin: Callable[[int], None],
        liveness: SharedLiveness,
        on_register: Callable[[int], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.options = options
        self.failed = False
        self.stop_requested = False
        self._liveness = liveness
        self._outage = DatabaseOutage()
        self._settings = settings = get_settings()
        self._on_end = on_end
        self._end_lock = threading.Lock()
        self._closed = threading.Event()
        self._claim_deadline = math.inf
        set_network_timeouts(settings.database)
        self._active_claims: dict[int, Claim] = {}
        self._clock = DatabaseClock()
        run_times = RunTimes(unknown_seconds=settings.worker.prefetch_horizon.total_seconds())
        self._worker_heartbeat = Heartbeat(
            using=settings.database,
            options=options,
            interval_seconds=settings.worker.heartbeat_interval.total_seconds(),
            on_change=on_register,
            on_memory=self._check_memory,
            on_stop_request=lambda: self._end(STOP_REQUESTED),
        )
        self._announcer = Announcer(using=settings.database)
        self._finisher = Finisher(
            using=settings.database,
            worker_id=self._worker_heartbeat.current,
            active_claims=self._active_claims,
            run_times=run_times,
            wake_in=self._wake_in,
            on_finished=self._on_finished,
            announce=self._announcer.saved.put,
        )
        report = self._finisher.inbox.put
        self._run_context = RunContext(
            using=settings.database,
            settings=settings,
            clock=self._clock,
            worker_id=self._worker_heartbeat.current,
            send_update=report,
        )
        self._isolation = Isolation(options, settings.worker.rules)
        self._threads = ThreadExecutor(
            slots=options.concurrency,
            run_context=self._run_context,
            isolation=self._isolation,
            begin=begin,
            report=report,
            on_capacity=self._on_capacity,
            fail=self._fail,
        )
        self._event_loop = EventLoopExecutor(
            slots=settings.worker.async_concurrency,
            run_context=self._run_context,
            begin=begin,
            report=report,
            on_capacity=self._on_capacity,
            fail=self._fail,
        )
        self._claimer = Claimer(
            settings=settings,
            queues=options.queues,
            queue_order=options.queue_order(),
            clock=self._clock,
            worker_id=self._worker_heartbeat.current,
            threads=self._threads,
            event_loop=self._event_loop,
            isolation=self._isolation,
            run_times=run_times,
            active_claims=self._active_claims,
            backlog=self._finisher.backlog,
            release_claim=self._release_claim,
            poll_seconds=self._poll_seconds,
            wake=self._wake_claimer,
            max_jobs=None if self._isolation.isolates_all else options.max_jobs,
        )
        self._cancel_watch = CancelWatcher(
            using=settings.database,
            executors=(self._threads, self._event_loop),
            active_claims=self._active_claims,
            release_claim=self._release_claim,
        )
        self._next_beat_at = 0.0
        self._scheduler = Scheduler(
            settings=settings,
            started=options.started,
            is_listening=lambda: self._notifier.is_listening_for_schedules,
        )
        self._notifier = create_notifier(
            self._claimer.ring,
            on_schedule_change=self._wake_scheduler,
            using=settings.database,
            queues=None if options.queues is None else frozenset(options.queues),
            wanted=settings.worker.notify,
        )
        self._maintenance = Maintenance(
            settings=settings,
            worker_id=self._worker_heartbeat.current,
            seen_queues=self._claimer.seen_queues,
            started=options.started,
        )
        self._step_timeout = step_timeout = 2 * settings.worker.stale_after.total_seconds()
        self._claimer_loop = self._loop("claimer", self._claim, durable=False, step_timeout=step_timeout)
        self._finisher_loop = self._loop(
            "finisher", self._finisher.step, wait=self._finisher.collect, step_timeout=step_timeout
        )
        self._announcer_loop = self._loop("announcer", self._announcer.step, wait=self._announcer.collect)
        self._heartbeat_loop = self._loop("heartbeat", self._beat, step_timeout=step_timeout)
        self._maintenance_loop = self._loop(
            "maintenance", self._maintenance.step, step_timeout=MAINTENANCE_TIMEOUT_FACTOR * step_timeout
        )
        self._scheduler_loop = self._loop(
            "scheduler", self._scheduler.step, step_timeout=MAINTENANCE_TIMEOUT_FACTOR * step_timeout
        )
        self._notifier_loop = self._loop(
            "doorbell", self._notifier.step, durable=True if self._notifier.uses_connection else None
        )

    def start(self) -> None:
        """Start; the first heartbeat registers the process, however long the database lets it wait."""
        self._heartbeat_loop.start()
        WatchedThread(self._guard, role="guard", on_death=self.died).start()

    def drain(self, seconds: float) -> bool:
        """Take no more, give back what has not begun, wait for what runs; True where all ended within ``seconds``.

        What hangs is not waited for.
        """
        deadline = time.monotonic() + seconds
        self._stop_claiming()
        self._save_state(WorkerRow.State.STOPPING)
        self._threads.stop()
        self._event_loop.stop()
        while not self._join_executors(min(deadline, time.monotonic() + DRAIN_POLL_SECONDS)):
            left = self._running()
            if time.monotonic() >= deadline or (left and all(self._is_past_timeout(*one) for one in left)):
                return False
        return True

    def close(self) -> bool:
        """Save what has ended, give back what still runs without using up its try, sign off.

        Returns False where the database did not take it within ten seconds: the claims are rescued then.
        """
        self._stop_claiming()
        for claim, since in self._running():
            started = self._clock.seconds() - (time.monotonic() - since)
            outcome: Outcome
            if self._is_past_timeout(claim, since):
                outcome = outcome_of_timeout(claim, self._run_context)
            else:
                logger.warning("job %s (%s) did not end in time and is given back", claim.job_id, claim.name)
                outcome = Released(started=True)
            self._finisher.inbox.put(finalize(claim, outcome, started=started, run_context=self._run_context))
        self._threads.kill()
        self._finisher.inbox.close()
        if not self._finisher_loop.join(FLUSH_TIMEOUT_SECONDS):
            logger.error("the database did not take this worker's last word; its claims will be rescued")
            return False
        self._announcer.saved.close()
        self._announcer_loop.join(FLUSH_TIMEOUT_SECONDS)
        self._heartbeat_loop.stop()
        signed_off = self._heartbeat_loop.join(FLUSH_TIMEOUT_SECONDS) and self._save_state(
            WorkerRow.State.STOPPED
        )
        self._closed.set()
        return signed_off

    def died(self, role: str) -> None:
        """Hear that one of the process's threads died: it fails as a whole."""
        self._fail(f"its {role} died")

    def _guard(self) -> None:
        """Free the loops that a database which no longer answers holds, until the worker has signed off."""
        while not self._closed.wait(GUARD_INTERVAL_SECONDS):
            for loop in (
                self._heartbeat_loop,
                self._claimer_loop,
                self._finisher_loop,
                self._maintenance_loop,
                self._scheduler_loop,
            ):
                loop.abort_if_unresponsive()

    def _loop(
        self,
        name: str,
        step: Callable[[], float | None],
        *,
        durable: bool | None = True,
        wait: Callable[[], None] | None = None,
        step_timeout: float = math.inf,
    ) -> Loop:
        return Loop(
            name,
            step,
            using=self._settings.database,
            outage=self._outage,
            on_death=self.died,
            durable=durable,
            wait=wait,
            step_timeout=step_timeout,
        )

    def _beat(self) -> float:
        """Renew the heartbeat where that is due, and look for requests to end."""
        if time.monotonic() >= self._next_beat_at:
            self._liveness.heartbeat_attempted()
            if not self._worker_heartbeat.worker_id:
                self._worker_heartbeat.acquire()
                self._start_loops()
            delay = self._worker_heartbeat.step()
            self._next_beat_at = time.monotonic() + delay
            self._liveness.heartbeat_saved()
        return min(self._cancel_watch.step(), max(self._next_beat_at - time.monotonic(), 0))

    def _start_loops(self) -> None:
        for loop in (self._finisher_loop, self._announcer_loop, self._notifier_loop, self._maintenance_loop):
            loop.start()
        if self.options.schedules:
            self._scheduler_loop.start()
        if self.options.works:
            self._threads.start()
            self._event_loop.start()
            self._claimer_loop.start()
        else:
            self._liveness.claimer_stopped()

    def _claim(self) -> float:
        """Do the claimer's round and see whether there is a reason to end."""
        self._liveness.claimer_ran()
        self._check_timeouts()
        quiet, seen = not self._active_claims, self._claimer.last_snapshot
        delay = self._claimer.step()
        # This very round may have claimed all that was left.
        quiet = quiet and not self._active_claims
        if quiet and self._claimer.is_max_jobs_reached:
            self._end(f"{self.options.max_jobs} jobs")
        if self.options.burst:
            if quiet and self._claimer.last_snapshot is not seen and self._claimer.has_no_work:
                self._end(BURST_OVER)
            return min(delay, BURST_POLL_SECONDS)
        return delay

    def _running(self) -> list[tuple[Claim, float]]:
        return self._threads.running() + self._event_loop.running()

    def _join_executors(self, deadline: float) -> bool:
        return self._threads.join(deadline) and self._event_loop.join(deadline)

    def _stop_claiming(self) -> None:
        """Have no more claimed, nor scheduled; a loop that the database holds up is waited for once."""
        self._scheduler_loop.stop(step_timeout=self._step_timeout)
        self._claimer_loop.stop()
        self._claim_deadline = min(self._claim_deadline, time.monotonic() + FLUSH_TIMEOUT_SECONDS)
        for loop in (self._claimer_loop, self._scheduler_loop):
            loop.join(max(self._claim_deadline - time.monotonic(), 0))
        self._liveness.claimer_stopped()
        for claim in take_unstarted(self._threads) + take_unstarted(self._event_loop):
            self._release_claim(claim, Released(started=False))

    def _release_claim(self, claim: Claim, outcome: Released) -> None:
        self._finisher.inbox.put(finalize(claim, outcome, started=None, run_context=self._run_context))

    def _save_state(self, state: WorkerRow.State) -> bool:
        """Write the worker's state where the database takes it: others can do without."""
        try:
            if self._worker_heartbeat.worker_id:
                self.stop_requested = self._worker_heartbeat.save_state(state)
        except DatabaseError as error:
            logger.warning("the database did not take that this worker is %s: %s", state, error)
            return False
        finally:
            connections.close_all()
        return True

    def _check_timeouts(self) -> None:
        """Give the process up where a job does not end: JobTimeoutError cannot reach it inside C code."""
        for claim, since in self._running():
            if self._is_past_timeout(claim, since) and not self._isolation.isolates(claim):
                self._end(f"job {claim.job_id} ({claim.name}) goes on after its timeout")

    def _is_past_timeout(self, claim: Claim, since: float) -> bool:
        timeout = timeout_seconds(claim)
        grace = self._settings.worker.timeout_grace.total_seconds()
        return timeout is not None and time.monotonic() - since > timeout + grace

    def _check_memory(self, resident_bytes: int) -> None:
        max_bytes = self.options.max_memory_bytes
        if max_bytes is not None and resident_bytes > max_bytes:
            self._end(f"{resident_bytes >> 20} MB of memory")

    def _fail(self, reason: str) -> None:
        self.failed = True
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._end_lock.acquire(blocking=False):
            self._on_end(reason)

    def _poll_seconds(self) -> float:
        settings = self._settings
        is_listening = self._notifier.is_listening
        return (
            settings.worker.poll_interval if is_listening else settings.worker.poll_interval_without_notify
        ).total_seconds()

    def _wake_claimer(self) -> None:
        self._claimer_loop.wake.set()

    def _wake_scheduler(self) -> None:
        self._scheduler_loop.wake.set()

    def _on_capacity(self) -> None:
        self._claimer.on_capacity()

    def _on_finished(self, claims: Iterable[Claim]) -> None:
        self._claimer.ended(claims)

    def _wake_in(self, seconds: float) -> None:
        self._claimer.wake_in(seconds)
