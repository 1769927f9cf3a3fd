"""The first process: start the worker processes, watch them, rescue and replace those that die.

It runs no job and keeps no database connection. Worker processes are forked by a fork server, which exists before any
thread and connection of this process, or are spawned (``start_method``).
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from ...conf import get_settings
from ...log_records import record_fields
from ...policy.health import Health, check_health, combine_health
from ..options import WorkerOptions
from ..process_setup import unguarded_message
from ..process_signals import STOPPING_SECONDS
from ..system.child_process import CHECK_SECONDS, check_fork_server
from ..system.exit_codes import EXIT_DONE, EXIT_RECYCLE, EXIT_STOP_REQUESTED, EXIT_UNGUARDED
from ..worker import FLUSH_TIMEOUT_SECONDS
from .database_wait import DatabaseWait
from .file_times import FileWatch
from .replacements import Replacements
from .rescues import LostWorker, Rescues
from .signal_pipe import SignalPipe
from .starting import served_databases, start_worker_process
from .witness import Witness
from .worker_child import TimedOutJob, WorkerChild

logger = logging.getLogger("django_jobs.worker")

RESCUE_RETRY_SECONDS = 1.0
RELOAD_CHECK_SECONDS = 1.0
READY_CHECK_SECONDS = 0.2
LIVENESS_STALE_FACTOR = 4
"""A process whose loops did not turn for this many times WORKER["STALE_AFTER"] is not live."""


class Supervisor:
    """Keeps ``options.processes`` worker processes alive, minus those that staff stop, until it is told to stop.

    ``failure``: why it gave up, if it did. ``on_ready`` is called once the database can be used, from another thread.
    """

    def __init__(self, options: WorkerOptions, *, on_ready: Callable[[], None] = lambda: None) -> None:
        self.on_stop: Callable[[], None] = lambda: None
        self.failure: str | None = None
        self._options = options
        self._children: list[WorkerChild] = []
        self._target_processes = options.processes
        self._replacements = Replacements(options.processes, gives_up=not options.reload)
        self._aliases = served_databases(options)
        self._waits = {alias: self._create_wait(alias, on_ready) for alias in self._aliases}
        self._rescues = {alias: Rescues(alias) for alias in self._aliases}
        self._witnesses = [Witness(lambda: list(self._children), alias) for alias in self._aliases]
        self._stops = 0
        self._was_ready = options.burst  # which says how it ended, often before it could say this
        self._kill_at: float | None = None
        self._files = FileWatch() if options.reload else None
        self._signals: SignalPipe | None = None

    def _create_wait(self, alias: str, on_ready: Callable[[], None]) -> DatabaseWait:
        return DatabaseWait(
            alias,
            name="the database" if len(self._aliases) == 1 else f"database {alias!r}",
            on_change=self._wake,
            on_death=self._thread_died,
            on_ready=on_ready if alias == self._aliases[0] else _do_nothing,
        )

    def run(self) -> int:
        """Run until stopped, until the burst is over, or until it is given up; return the exit code.

        It is 1 if claims could not be rescued, or if no process comes as far as a heartbeat.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, as may be inherited, no exit code is told
        self._signals = signals = SignalPipe(catch=[signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
        for witness in self._witnesses:
            witness.start()
        for database in self._waits.values():
            database.start()
        try:
            while self.failure is None and (self._children or (self._replacements.wanted and not self._stops)):
                self._start_due()
                self._wait(signals)
                self._handle_signals(signals.take())
                for child in [child for child in self._children if not child.process.is_alive()]:
                    self._reap(child)
                self._log_ready()
                self._rescue()
                check_fork_server()
                self._reload_changed()
                self._kill_overdue()
            self._finish_rescues()
        finally:
            for database in self._waits.values():
                database.stop()
            for witness in self._witnesses:
                witness.close()
            for child in self._children:
                child.process.kill()
            signals.close()
        return 0 if not self._has_pending_rescues and self.failure is None else 1

    def health(self) -> Health:
        """Return the health of this ``runworker`` as a whole; from any thread."""
        return combine_health({alias: self._health_of(alias) for alias in self._aliases})

    def _health_of(self, alias: str) -> Health:
        settings = get_settings()
        stale_seconds = settings.worker.stale_after.total_seconds()
        poll_interval = max(settings.worker.poll_interval, settings.worker.poll_interval_without_notify)
        return check_health(
            [child.of(alias).liveness.read(child.process.pid) for child in list(self._children)],
            wanted=self._target_processes,
            stopping=self._stops > 0,
            waits_for=self._waits[alias].reason,
            live_within=LIVENESS_STALE_FACTOR * stale_seconds,
            ready_within=stale_seconds,
            check_within=max(stale_seconds, 2 * poll_interval.total_seconds()),
        )

    def _start_due(self) -> None:
        """Start the processes that are due; what the system refuses for the moment is tried again later."""
        for due in self._replacements.take_due() if self._may_start else ():
            try:
                child = start_worker_process(self._options, self._aliases)
            except (OSError, MemoryError) as error:
                pause = self._replacements.retry()
                logger.error("a worker process could not be started; trying again in %.1f s: %s", pause, error)
            else:
                self._replacements.has_started()
                self._children.append(child)
                # The first ones are in the start-up message.
                logger.log(logging.INFO if due else logging.DEBUG, "worker process %s started", child.process.pid)

    @property
    def _may_start(self) -> bool:
        return any(database.is_over for database in self._waits.values()) and not self._stops

    @property
    def _has_pending_rescues(self) -> bool:
        return any(rescues.pending for rescues in self._rescues.values())

    def _rescue(self) -> None:
        """Rescue the claims of dead processes; with several databases in threads, so that none delays the others."""
        for rescues in self._rescues.values():
            if len(self._rescues) == 1:
                rescues.step()
            else:
                rescues.step_in_thread()

    def _finish_rescues(self) -> None:
        """Wait for rescues that go on in threads: the process is about to end."""
        deadline = time.monotonic() + FLUSH_TIMEOUT_SECONDS
        for rescues in self._rescues.values() if len(self._rescues) > 1 else ():
            rescues.finish(max(deadline - time.monotonic(), 0))

    def _wake(self) -> None:
        """End the wait of the main thread, from another thread."""
        if self._signals is not None:
            with suppress(OSError):  # it has ended meanwhile
                self._signals.poke()

    def _thread_died(self, role: str) -> None:
        self.failure = f"the {role} died"
        self._wake()

    def _wait(self, signals: SignalPipe) -> None:
        """Wait for a signal, a message or death of a child, or until something else is due."""
        sources: list[Connection | int] = [signals.fileno()]
        for child in self._children:
            sources.append(child.process.death)
            if not child.reader.closed:
                sources.append(child.reader)
        wait(sources, self._seconds_until_due())
        for child in self._children:
            child.receive_messages()

    def _seconds_until_due(self) -> float:
        now = time.monotonic()
        waits = [CHECK_SECONDS]
        if self._may_start:
            waits.append(self._replacements.seconds_until_due())
        if self._children and not self._was_ready:
            waits.append(READY_CHECK_SECONDS)
        if self._has_pending_rescues:
            waits.append(RESCUE_RETRY_SECONDS)
        if self._options.reload:
            waits.append(RELOAD_CHECK_SECONDS)
        if self._kill_at is not None:
            waits.append(max(self._kill_at - now, 0))
        return min(waits)

    def _log_ready(self) -> None:
        """Log once that all processes take jobs, or fire schedules."""
        if self._was_ready or not all(child.has_polled() for child in self._children) or self.health().not_ready:
            return
        self._was_ready = True
        logger.info("ready: %s", "jobs are taken" if self._options.works else "schedules are fired")

    def _handle_signals(self, numbers: list[int]) -> None:
        """Stop in good order at the first signal, at once at the second or at SIGQUIT."""
        for number in numbers:
            if number not in {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}:
                continue
            self._stops += 1
            self.on_stop()
            urgent = number == signal.SIGQUIT or self._stops > 1
            logger.info(
                "stopping at once; running jobs are released"
                if urgent
                else "stopping: no new jobs, running jobs may end; a second signal stops at once"
            )
            self._signal_children(signal.SIGQUIT if urgent else signal.SIGTERM)
            grace = 0.0 if urgent else get_settings().worker.shutdown_grace.total_seconds()
            self._kill_at = time.monotonic() + grace + 3 * FLUSH_TIMEOUT_SECONDS + STOPPING_SECONDS

    def _signal_children(self, number: signal.Signals) -> None:
        for child in self._children:
            child.process.send_signal(number)

    def _reap(self, child: WorkerChild) -> None:
        """Handle the end of a child: have its claims rescued if it died, and start another if one is wanted."""
        child.receive_messages()
        code = child.exit_code
        self._children.remove(child)
        child.reader.close()
        died = code not in {EXIT_DONE, EXIT_STOP_REQUESTED, EXIT_RECYCLE} and not self._ended_while_starting(child)
        if died:
            reason = child.describe_end()
            timed_out = child.timed_out_job
            logger.error("%s", reason, extra=_fields_of(timed_out))
            for served in child.databases:
                ran = served.started_jobs.job_ids()
                self._rescues[served.alias].pending += [
                    LostWorker(worker_id, ran, reason, timed_out, child.is_kill_requested)
                    for worker_id in served.worker_ids
                ]
            self._count_failed_start(child, reason)
        child.process.close()
        if code == EXIT_STOP_REQUESTED:
            self._target_processes -= 1
            return
        if self._stops or (self._options.burst and code == EXIT_DONE):
            return
        self._replacements.want(uptime_seconds=time.monotonic() - child.started_at if died else None)

    def _ended_while_starting(self, child: WorkerChild) -> bool:
        """Tell whether the signal to stop ended a process that could not handle it yet, and had claimed nothing."""
        return self._stops > 0 and not child.has_registered and child.exit_code in {-signal.SIGTERM, -signal.SIGQUIT}

    def _count_failed_start(self, child: WorkerChild, reason: str) -> None:
        """Give up if the script is wrong, or process after process dies before its first heartbeat and no other lives.

        The first heartbeat registers a process.
        """
        if child.exit_code == EXIT_UNGUARDED:
            self.failure = unguarded_message()
        if child.has_registered or any(other.has_registered for other in self._children):
            self._replacements.has_worked()
        elif failed := self._replacements.count_failed_start(self._target_processes):
            self.failure = (
                f"{failed} worker processes in a row died before their first heartbeat; giving up."
                f" The last: {reason}{f': {child.error}' if child.error else ''}"
            )

    def _reload_changed(self) -> None:
        if self._files is None or self._stops:
            return
        changed = self._files.changed()
        if changed:
            logger.info("%s changed; restarting the workers", changed[0])
            self._signal_children(signal.SIGTERM)

    def _kill_overdue(self) -> None:
        """Kill processes that do not stop, and those in which a job holds the interpreter past timeout or request."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            for child in self._children:
                child.process.kill()
        grace_seconds = get_settings().worker.timeout_grace.total_seconds()
        for child in self._children:
            if child.is_kill_requested:
                child.process.kill()
            elif child.timed_out_job is None and (timed_out := child.job_past_timeout(grace_seconds)) is not None:
                child.timed_out_job = timed_out
                child.process.kill()


def _fields_of(job: TimedOutJob | None) -> dict[str, object]:
    return record_fields() if job is None else record_fields(job_id=job.job_id, database=job.database)


def _do_nothing() -> None:
    """Stand for ``on_ready``, in another process: the project's migrations are checked once."""
