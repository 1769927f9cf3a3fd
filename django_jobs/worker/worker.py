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
from .duties.cancel_requests import CancelWatch
from .duties.heartbeat import Lease
from .duties.maintenance import Maintenance
from .duties.notifiers import choose_doorbell
from .duties.scheduler import Scheduler
from .execution.classify import outcome_of_hang, timeout_seconds
from .execution.run import conclude
from .execution.runtime import Bench
from .executors.base import take_back
from .executors.event_loop import EventLoopExecutor
from .executors.isolation import Isolation
from .executors.threads import ThreadExecutor
from .liveness import SharedPulse
from .options import WorkerOptions
from .pipeline.announcer import Announcer
from .pipeline.claimer import Claimer
from .pipeline.finisher import Finisher
from .threads.connections import bound_waits
from .threads.db_outage import Outage
from .threads.loop import Loop
from .threads.watched_thread import WatchedThread

logger = logging.getLogger("django_jobs.worker")

BURST_SECONDS = 0.02
DRAIN_STEP_SECONDS = 0.1
BURST_OVER = "nothing is ready or due"
STOP_REQUESTED = "staff asked it to stop"
LONG_PATIENCE = 20
"""Maintenance deletes by the thousand and may take so many times longer than the others."""
GUARD_SECONDS = 1.0
FLUSH_SECONDS = 10.0
"""How long a stopping worker waits for the database to take its last word."""


class Worker:
    """The pipeline of one process.

    ``begin`` is called with the id of each job that begins; ``pulse`` shows that the loops turn.
    ``on_register`` hears of the id of the worker's row, each time it gets one. ``on_end`` is called
    once, from one of the threads, when the worker has a reason to stop by itself: the burst is over,
    ``max_jobs`` or ``max_memory_bytes`` is reached, or a thread died (``failed`` tells).
    ``dismissed`` tells, after ``close``, whether staff asked for the end, whatever its reason was.
    """

    def __init__(
        self,
        options: WorkerOptions,
        *,
        begin: Callable[[int], None],
        pulse: SharedPulse,
        on_register: Callable[[int], None],
        on_end: Callable[[str], None],
    ) -> None:
        self.options = options
        self.failed = False
        self.dismissed = False
        self._pulse = pulse
        self._outage = Outage()
        self._settings = settings = get_settings()
        self._on_end = on_end
        self._end_lock = threading.Lock()
        self._closed = threading.Event()
        self._claim_no_later = math.inf
        bound_waits(settings.database)
        self._in_hand: dict[int, Claim] = {}
        self._clock = DatabaseClock()
        run_times = RunTimes(unknown_seconds=settings.prefetch_horizon.total_seconds())
        self._lease = Lease(
            using=settings.database,
            options=options,
            interval_seconds=settings.heartbeat_interval.total_seconds(),
            on_change=on_register,
            on_memory=self._check_memory,
            on_stop_request=lambda: self._end(STOP_REQUESTED),
        )
        self._announcer = Announcer(using=settings.database)
        self._finisher = Finisher(
            using=settings.database,
            worker_id=self._lease.current,
            in_hand=self._in_hand,
            run_times=run_times,
            expect_due=self._expect_due,
            heed_ends=self._heed_ends,
            announce=self._announcer.saved.put,
        )
        report = self._finisher.inbox.put
        self._bench = Bench(
            using=settings.database,
            settings=settings,
            clock=self._clock,
            worker_id=self._lease.current,
            note=report,
        )
        self._isolation = Isolation(options, settings.rules)
        self._threads = ThreadExecutor(
            slots=options.concurrency,
            bench=self._bench,
            isolation=self._isolation,
            begin=begin,
            report=report,
            freed=self._freed,
            fail=self._fail,
        )
        self._event_loop = EventLoopExecutor(
            slots=settings.async_concurrency,
            bench=self._bench,
            begin=begin,
            report=report,
            freed=self._freed,
            fail=self._fail,
        )
        self._claimer = Claimer(
            settings=settings,
            queues=options.queues,
            turns=options.turns(),
            clock=self._clock,
            worker_id=self._lease.current,
            threads=self._threads,
            event_loop=self._event_loop,
            isolation=self._isolation,
            run_times=run_times,
            in_hand=self._in_hand,
            backlog=self._finisher.backlog,
            give_back=self._give_back,
            poll_seconds=self._poll_seconds,
            wake=self._wake_claimer,
            max_jobs=None if self._isolation.isolates_all else options.max_jobs,
        )
        self._cancel_watch = CancelWatch(
            using=settings.database,
            executors=(self._threads, self._event_loop),
            in_hand=self._in_hand,
            give_back=self._give_back,
        )
        self._beat_at = 0.0
        self._scheduler = Scheduler(
            settings=settings,
            started=options.started,
            rings=lambda: self._doorbell.rings_schedulers,
        )
        self._doorbell = choose_doorbell(
            self._claimer.ring,
            ring_scheduler=self._wake_scheduler,
            using=settings.database,
            queues=None if options.queues is None else frozenset(options.queues),
            wanted=settings.ring,
        )
        self._maintenance = Maintenance(
            settings=settings,
            worker_id=self._lease.current,
            seen_queues=self._claimer.seen_queues,
            started=options.started,
        )
        self._patience = patience = 2 * settings.stale_after.total_seconds()
        self._claiming = self._loop("claimer", self._claim, durable=False, patience=patience)
        self._finishing = self._loop(
            "finisher", self._finisher.step, wait=self._finisher.collect, patience=patience
        )
        self._announcing = self._loop("announcer", self._announcer.step, wait=self._announcer.collect)
        self._heartbeat = self._loop("heartbeat", self._beat, patience=patience)
        self._maintaining = self._loop(
            "maintenance", self._maintenance.step, patience=LONG_PATIENCE * patience
        )
        self._scheduling = self._loop("scheduler", self._scheduler.step, patience=LONG_PATIENCE * patience)
        self._listening = self._loop(
            "doorbell", self._doorbell.step, durable=True if self._doorbell.uses_connection else None
        )

    def start(self) -> None:
        """Start; the first heartbeat registers the process, however long the database lets it wait."""
        self._heartbeat.start()
        WatchedThread(self._guard, role="guard", on_death=self.died).start()

    def drain(self, seconds: float) -> bool:
        """Take no more, give back what has not begun, wait for what runs; True where all ended within ``seconds``.

        What hangs is not waited for.
        """
        deadline = time.monotonic() + seconds
        self._stop_claiming()
        self._say(WorkerRow.State.STOPPING)
        self._threads.stop()
        self._event_loop.stop()
        while not self._ended_by(min(deadline, time.monotonic() + DRAIN_STEP_SECONDS)):
            left = self._running()
            if time.monotonic() >= deadline or (left and all(self._hangs(*one) for one in left)):
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
            if self._hangs(claim, since):
                outcome = outcome_of_hang(claim, self._bench)
            else:
                logger.warning("job %s (%s) did not end in time and is given back", claim.job_id, claim.name)
                outcome = Released(started=True)
            self._finisher.inbox.put(conclude(claim, outcome, started=started, bench=self._bench))
        self._threads.kill()
        self._finisher.inbox.close()
        if not self._finishing.join(FLUSH_SECONDS):
            logger.error("the database did not take this worker's last word; its claims will be rescued")
            return False
        self._announcer.saved.close()
        self._announcing.join(FLUSH_SECONDS)
        self._heartbeat.stop()
        signed_off = self._heartbeat.join(FLUSH_SECONDS) and self._say(WorkerRow.State.STOPPED)
        self._closed.set()
        return signed_off

    def died(self, role: str) -> None:
        """Hear that one of the process's threads died: it fails as a whole."""
        self._fail(f"its {role} died")

    def _guard(self) -> None:
        """Free the loops that a database which no longer answers holds, until the worker has signed off."""
        while not self._closed.wait(GUARD_SECONDS):
            for loop in (
                self._heartbeat,
                self._claiming,
                self._finishing,
                self._maintaining,
                self._scheduling,
            ):
                loop.cut_if_silent()

    def _loop(
        self,
        name: str,
        step: Callable[[], float | None],
        *,
        durable: bool | None = True,
        wait: Callable[[], None] | None = None,
        patience: float = math.inf,
    ) -> Loop:
        return Loop(
            name,
            step,
            using=self._settings.database,
            outage=self._outage,
            on_death=self.died,
            durable=durable,
            wait=wait,
            patience=patience,
        )

    def _beat(self) -> float:
        """Renew the heartbeat where that is due, and look for requests to end."""
        if time.monotonic() >= self._beat_at:
            self._pulse.heartbeat_tried()
            if not self._lease.worker_id:
                self._lease.acquire()
                self._start_loops()
            delay = self._lease.step()
            self._beat_at = time.monotonic() + delay
            self._pulse.heartbeat_saved()
        return min(self._cancel_watch.step(), max(self._beat_at - time.monotonic(), 0))

    def _start_loops(self) -> None:
        for loop in (self._finishing, self._announcing, self._listening, self._maintaining):
            loop.start()
        if self.options.schedules:
            self._scheduling.start()
        if self.options.works:
            self._threads.start()
            self._event_loop.start()
            self._claiming.start()
        else:
            self._pulse.looks_no_more()

    def _claim(self) -> float:
        """Do the claimer's round and see whether there is a reason to end."""
        self._pulse.looked()
        self._check_hangs()
        quiet, seen = not self._in_hand, self._claimer.last_look
        delay = self._claimer.step()
        # This very round may have claimed all that was left.
        quiet = quiet and not self._in_hand
        if quiet and self._claimer.is_used_up:
            self._end(f"{self.options.max_jobs} jobs")
        if self.options.burst:
            if quiet and self._claimer.last_look is not seen and self._claimer.is_nothing_ready:
                self._end(BURST_OVER)
            return min(delay, BURST_SECONDS)
        return delay

    def _running(self) -> list[tuple[Claim, float]]:
        return self._threads.running() + self._event_loop.running()

    def _ended_by(self, deadline: float) -> bool:
        return self._threads.join(deadline) and self._event_loop.join(deadline)

    def _stop_claiming(self) -> None:
        """Have no more claimed, nor scheduled; a loop that the database holds up is waited for once."""
        self._scheduling.stop(patience=self._patience)
        self._claiming.stop()
        self._claim_no_later = min(self._claim_no_later, time.monotonic() + FLUSH_SECONDS)
        for loop in (self._claiming, self._scheduling):
            loop.join(max(self._claim_no_later - time.monotonic(), 0))
        self._pulse.looks_no_more()
        for claim in take_back(self._threads) + take_back(self._event_loop):
            self._give_back(claim, Released(started=False))

    def _give_back(self, claim: Claim, outcome: Released) -> None:
        self._finisher.inbox.put(conclude(claim, outcome, started=None, bench=self._bench))

    def _say(self, state: WorkerRow.State) -> bool:
        """Write the worker's state where the database takes it: others can do without."""
        try:
            if self._lease.worker_id:
                self.dismissed = self._lease.say(state)
        except DatabaseError as error:
            logger.warning("the database did not take that this worker is %s: %s", state, error)
            return False
        finally:
            connections.close_all()
        return True

    def _check_hangs(self) -> None:
        """Give the process up where a job does not end: JobTimeout cannot reach it inside C code."""
        for claim, since in self._running():
            if self._hangs(claim, since) and not self._isolation.isolates(claim):
                self._end(f"job {claim.job_id} ({claim.name}) goes on after its timeout")

    def _hangs(self, claim: Claim, since: float) -> bool:
        timeout = timeout_seconds(claim)
        grace = self._settings.hang_grace.total_seconds()
        return timeout is not None and time.monotonic() - since > timeout + grace

    def _check_memory(self, resident_bytes: int) -> None:
        most = self.options.max_memory_bytes
        if most is not None and resident_bytes > most:
            self._end(f"{resident_bytes >> 20} MB of memory")

    def _fail(self, reason: str) -> None:
        self.failed = True
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._end_lock.acquire(blocking=False):
            self._on_end(reason)

    def _poll_seconds(self) -> float:
        settings = self._settings
        rings = self._doorbell.rings
        return (settings.poll_interval if rings else settings.poll_interval_unrung).total_seconds()

    def _wake_claimer(self) -> None:
        self._claiming.wake.set()

    def _wake_scheduler(self) -> None:
        self._scheduling.wake.set()

    def _freed(self) -> None:
        self._claimer.freed()

    def _heed_ends(self, claims: Iterable[Claim]) -> None:
        self._claimer.ended(claims)

    def _expect_due(self, seconds: float) -> None:
        self._claimer.expect_due(seconds)
