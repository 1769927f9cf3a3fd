"""The first process: start the worker processes, watch them, rescue and replace those that die.

It runs no job and keeps no database connection. Workers are spawned, not forked: each is a fresh
interpreter, so no lock, socket or connection is shared, and a replacement has the code as it is on disk by then.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path

from django.core.management.base import CommandError
from django.utils import autoreload

from ... import registry
from ...conf import get_settings
from ...policy.health import Health, check_health
from ..child_process import CHECK_SECONDS, ChildProcess
from ..exit_codes import EXIT_DONE, EXIT_RECYCLE, EXIT_STOP_REQUESTED, EXIT_UNGUARDED
from ..liveness import SharedLiveness
from ..options import WorkerOptions
from ..process_setup import refuse_import_of_main, unguarded_message
from ..worker import FLUSH_TIMEOUT_SECONDS
from .health_server import HealthServer
from .process_main import run_worker_process
from .rescues import LostWorker, Rescues
from .service_manager import ServiceManager
from .signal_pipe import SignalPipe
from .started_jobs import StartedJobs
from .witness import Witness
from .worker_child import WorkerChild

logger = logging.getLogger("django_jobs.worker")

INITIAL_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.1, 30.0
MAX_SPAWN_PAUSE_SECONDS = 5.0
"""The pause while the system has no process or descriptor to give."""
MIN_UPTIME_SECONDS = 5.0
"""A process that died sooner than this is replaced after growing pauses."""
MIN_FAILED_STARTS = 3
"""After so many deaths without a heartbeat in between, at least one a process, the supervisor gives up."""
FAILED_STARTS_SECONDS = 300.0
"""So long it goes on trying if processes had worked before: the system may lack memory or threads for a while."""
RESCUE_RETRY_SECONDS = 1.0
RELOAD_CHECK_SECONDS = 1.0
LIVENESS_STALE_FACTOR = 4
"""A process whose loops did not turn for this many times WORKER["STALE_AFTER"] is not live."""


class Supervisor:
    """Keeps ``options.processes`` worker processes alive, minus those that staff stop, until it is told to stop.

    ``failure``: why it gave up, if it did.
    """

    def __init__(self, options: WorkerOptions) -> None:
        self.on_stop: Callable[[], None] = lambda: None
        self.failure: str | None = None
        self._options = options
        self._children: list[WorkerChild] = []
        self._target_processes = options.processes
        self._to_spawn: list[float] = [0.0] * options.processes
        self._rescues = Rescues()
        self._witness = Witness(lambda: list(self._children))
        self._pause_seconds = self._spawn_pause_seconds = INITIAL_PAUSE_SECONDS
        self._failed_starts = 0
        self._may_fail_until = 0.0
        self._stops = 0
        self._kill_at: float | None = None
        self._files = _snapshot() if options.reload else {}
        self._signals: SignalPipe | None = None

    def run(self) -> int:
        """Run until stopped, until the burst is over, or until it is given up; return the exit code.

        It is 1 if claims could not be rescued, or if no process comes as far as a heartbeat.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, as may be inherited, no exit code is told
        self._signals = signals = SignalPipe(catch=[signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
        self._witness.start()
        try:
            while self.failure is None and (self._children or (self._to_spawn and not self._stops)):
                self._spawn_due()
                self._wait(signals)
                self._handle_signals(signals.take())
                for child in [child for child in self._children if not child.process.is_alive()]:
                    self._reap(child)
                self._rescues.step()
                self._reload_changed()
                self._kill_overdue()
        finally:
            self._witness.close()
            for child in self._children:
                child.process.kill()
            signals.close()
        return 0 if not self._rescues.pending and self.failure is None else 1

    def health(self) -> Health:
        """Return the health of this ``runworker`` as a whole; from any thread."""
        settings = get_settings()
        stale_seconds = settings.worker.stale_after.total_seconds()
        poll_interval = max(settings.worker.poll_interval, settings.worker.poll_interval_without_notify)
        return check_health(
            [child.liveness.read(child.process.pid) for child in list(self._children)],
            wanted=self._target_processes,
            stopping=self._stops > 0,
            live_within=LIVENESS_STALE_FACTOR * stale_seconds,
            ready_within=stale_seconds,
            check_within=max(stale_seconds, 2 * poll_interval.total_seconds()),
        )

    def _spawn_due(self) -> None:
        """Start the processes that are due; what the system refuses for the moment is tried again later."""
        now = time.monotonic()
        for due in [due for due in self._to_spawn if due <= now and not self._stops]:
            self._to_spawn.remove(due)
            try:
                child = _spawn(self._options)
            except (OSError, MemoryError) as error:
                pause = self._spawn_pause_seconds
                self._spawn_pause_seconds = min(2 * pause, MAX_SPAWN_PAUSE_SECONDS)
                self._to_spawn.append(time.monotonic() + pause)
                logger.error("a worker process could not be started; trying again in %.1f s: %s", pause, error)
            else:
                self._spawn_pause_seconds = INITIAL_PAUSE_SECONDS
                self._children.append(child)
                # The first ones are in the start-up message.
                logger.log(logging.INFO if due else logging.DEBUG, "worker process %s started", child.process.pid)

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
        waits = [CHECK_SECONDS, *(max(due - now, 0) for due in self._to_spawn if not self._stops)]
        if self._rescues.pending:
            waits.append(RESCUE_RETRY_SECONDS)
        if self._options.reload:
            waits.append(RELOAD_CHECK_SECONDS)
        if self._kill_at is not None:
            waits.append(max(self._kill_at - now, 0))
        return min(waits)

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
            self._kill_at = time.monotonic() + grace + 3 * FLUSH_TIMEOUT_SECONDS

    def _signal_children(self, number: signal.Signals) -> None:
        for child in self._children:
            child.process.send_signal(number)

    def _reap(self, child: WorkerChild) -> None:
        """Handle the end of a child: have its claims rescued if it died, and start another if one is wanted."""
        child.receive_messages()
        code = child.process.exit_code
        self._children.remove(child)
        child.reader.close()
        died = code not in {EXIT_DONE, EXIT_STOP_REQUESTED, EXIT_RECYCLE}
        if died:
            reason = _describe_end(child)
            logger.error("%s", reason)
            ran = child.started_jobs.job_ids()
            self._rescues.pending += [
                LostWorker(worker_id, ran, reason, child.timed_out_job) for worker_id in child.worker_ids
            ]
            self._count_failed_start(child, reason)
        child.process.close()
        if code == EXIT_STOP_REQUESTED:
            self._target_processes -= 1
            return
        if self._stops or (self._options.burst and code == EXIT_DONE):
            return
        pause = 0.0
        if died and time.monotonic() - child.started_at < MIN_UPTIME_SECONDS:
            pause = self._pause_seconds
            self._pause_seconds = min(2 * pause, MAX_PAUSE_SECONDS)
        else:
            self._pause_seconds = INITIAL_PAUSE_SECONDS
        self._to_spawn.append(time.monotonic() + pause)

    def _count_failed_start(self, child: WorkerChild, reason: str) -> None:
        """Give up if the script is wrong, or process after process dies before its first heartbeat and no other lives.

        The first heartbeat registers a process. If some have worked before, those that fail get more time.
        """
        if child.process.exit_code == EXIT_UNGUARDED:
            self.failure = unguarded_message()
        if child.worker_ids or any(other.worker_ids for other in self._children):
            self._failed_starts = 0
            self._may_fail_until = time.monotonic() + FAILED_STARTS_SECONDS
            return
        self._failed_starts += 1
        if self._options.reload or time.monotonic() < self._may_fail_until:
            return
        if self._failed_starts >= max(MIN_FAILED_STARTS, self._target_processes):
            self.failure = (
                f"{self._failed_starts} worker processes in a row died before their first heartbeat; giving up."
                f" The last: {reason}{f': {child.error}' if child.error else ''}"
            )

    def _reload_changed(self) -> None:
        if not self._options.reload or self._stops:
            return
        files = _snapshot()
        # A newly imported module is no change.
        changed = sorted(str(path) for path, before in self._files.items() if files.get(path) != before)
        self._files = files
        if changed:
            logger.info("%s changed; restarting the workers", changed[0])
            self._signal_children(signal.SIGTERM)

    def _kill_overdue(self) -> None:
        """Kill processes that do not stop, and those in which a job past its timeout holds the interpreter."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            for child in self._children:
                child.process.kill()
        grace_seconds = get_settings().worker.timeout_grace.total_seconds()
        for child in self._children:
            if child.timed_out_job is None and (job_id := child.job_past_timeout(grace_seconds)) is not None:
                child.timed_out_job = job_id
                child.process.kill()


def _spawn(options: WorkerOptions) -> WorkerChild:
    """Start a worker process. Raises OSError or MemoryError if there is no descriptor, process or memory for it."""
    reader, writer = multiprocessing.Pipe(duplex=False)
    try:
        started_jobs, liveness = StartedJobs(), SharedLiveness()
        arguments = (options, writer, started_jobs, liveness)
        process = ChildProcess(run_worker_process, arguments, name="django_jobs worker")
    except BaseException:
        reader.close()
        raise
    finally:
        writer.close()
    return WorkerChild(process, reader, started_jobs, liveness)


def _describe_end(child: WorkerChild) -> str:
    if child.timed_out_job is None:
        return f"worker process {child.process.pid} died: {child.process.describe_exit()}"
    return (
        f"worker process {child.process.pid} was killed: job {child.timed_out_job} went on after its timeout, in C code"
        " that holds the interpreter"
    )


def _refuse_jobs_of_main() -> None:
    """Refuse jobs of the script that was started: worker processes import it as ``__mp_main__``."""
    names = [definition.name for definition in registry.all_definitions() if definition.name.startswith("__main__.")]
    if names:
        raise CommandError(
            f"job {names[0]}: worker processes import the script that was started under another name and would not find"
            ' it; move it to a module, such as the jobs.py of an app, or name it: @job(name="...")'
        )


def _snapshot() -> dict[Path, float]:
    """Return the files of all imported modules and their times of change."""
    times: dict[Path, float] = {}
    for path in autoreload.iter_all_python_module_files():
        try:
            times[path] = path.stat().st_mtime
        except OSError:
            continue
    return times


def supervise(options: WorkerOptions, *, say: Callable[[str], None]) -> int:
    """Print the startup message, then run the supervisor and return its exit code.

    Raises ConfigurationError if ``--health-port`` is taken, CommandError if no worker process can work.
    """
    from .startup_message import startup_message

    refuse_import_of_main()
    _refuse_jobs_of_main()
    supervisor = Supervisor(replace(options, process_setup=get_settings().worker.process_setup))
    server = None
    if options.health_port is not None:
        server = HealthServer(options.health_address, options.health_port, supervisor.health)
        server.start()
    service_manager = ServiceManager(supervisor.health)
    supervisor.on_stop = service_manager.stopping
    service_manager.start()
    for line in startup_message(options, health_url=server.url if server else None):
        say(line)
    try:
        code = supervisor.run()
    finally:
        service_manager.close()
        if server is not None:
            server.close()
    if supervisor.failure is not None:
        raise CommandError(supervisor.failure)
    return code
