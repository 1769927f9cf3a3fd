"""A job process as seen by the worker: started, given one claim at a time, killed.

::

    worker process                           job process (job_process_main.py)
    thread of the executor                   main thread
        Assignment       ---- pipe --->      execute the job
        interrupt        --- signal -->      Cancel is raised in the job
        ProgressUpdate,  <--- pipe ----      progress and log lines of the job
        LogSnapshot
        RunReport        <--- pipe ----      the finished run, and the memory in use

The process dies of its job (a crash in C code, out of memory) or is killed for it (a hang that no
exception reaches) without harm to other jobs. Only its own worker sends it anything.
"""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from ...log_records import log_job
from ...policy.outcomes import Lost, Outcome
from ...policy.plurals import counted
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.classify import outcome_of_timeout, timeout_seconds
from ..execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..execution.finalize import finalize
from ..execution.runtime import WorkerContext
from ..process_signals import STOPPING_SECONDS
from ..system.child_process import CHECK_SECONDS, ChildProcess, start_process
from ..system.forked_copies import close_in_copies
from .job_process_interrupts import INTERRUPT_SIGNAL, create_shared_run_key
from .job_process_main import Assignment, LogSnapshot, RunReport, run_job_process

logger = logging.getLogger("django_jobs.worker")

CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a process may take to end, once the receivers of ``worker_stopping`` have returned."""
SLOW_START_SECONDS = 30.0
"""A process that is not ready after so long is warned of: something that it does at its start may hang."""
KILL_TIMEOUT_SECONDS = 5.0
"""How long a killed process may take to end: the kernel keeps one that waits for a device."""


class _RunningProcess(NamedTuple):
    process: ChildProcess
    pipe: Connection


class JobProcessClosed(Exception):
    """The job process was closed during its job; the caller of ``close`` decides what becomes of the job."""


class JobProcessFailed(Exception):
    """The job process ended before it was ready for a job."""


class JobProcess:
    """Runs claims, one at a time, in a process that it starts when none is alive. Used by one thread.

    ``is_due_to_end`` after a run: the process is not kept, or has reached its limit of jobs or memory; report the run,
    and then call ``stop_idle``. ``is_starting``: not yet ready for a job. ``interrupt`` and ``close`` may be called
    from any thread. Without a ``context`` it is shared: ``serve`` names one before each run.
    """

    def __init__(self, context: WorkerContext | None = None) -> None:
        if context is not None:
            self._context = context
        self._live: _RunningProcess | None = None
        self._claim: Claim | None = None
        self._requested_run = create_shared_run_key()
        self._jobs = 0
        self.is_due_to_end = False
        self.is_starting = context is not None and context.isolates_all
        self._is_closed = False
        self._lock = threading.Lock()

    def serve(self, context: WorkerContext) -> None:
        """Run claims of this context's database from now on."""
        self._context = context

    def start(self) -> bool:
        """Start a process if none is alive, and wait until it is ready; tell whether one was started.

        Raises JobProcessFailed, or JobProcessClosed after ``close``.
        """
        before = self._live
        return self._ensure_ready() is not before

    def run(self, claim: Claim) -> FinishedRun | CommittedRun:
        """Run a claimed job and return how it ended, also if its process died.

        Raises JobProcessClosed if ``close`` is called meanwhile, JobProcessFailed if no process can be started.
        """
        return self.run_chunk([claim])[0]

    def run_chunk(self, claims: Sequence[Claim]) -> list[FinishedRun | CommittedRun]:
        """Run claims of one job together, and return how each ended; see ``run``."""
        claim = claims[0]
        live = self._ensure_ready()
        context = self._context
        started, deadline = context.clock.seconds(), self._deadline(claim)
        self._set_current_claim(claim if len(claims) == 1 else None)
        try:
            live.pipe.send(Assignment(claims, context.worker_id, context.clock.now(), context.using))
            while isinstance(message := _receive(live, deadline), ProgressUpdate | LogSnapshot):
                context.events.progress(message if isinstance(message, ProgressUpdate) else _as_log_update(message))
        except OSError:
            message = None
        finally:
            self._set_current_claim(None)
        if isinstance(message, RunReport):
            self.is_due_to_end = self._is_limit_reached(live, message)
            return message.runs
        outcome = self._outcome_without_report(live, claim, deadline)
        return [finalize(each, outcome, context, started=started) for each in claims]

    def interrupt(self, claim: Claim) -> None:
        """Raise ``Cancel`` in the function of a run, if that is the current run here."""
        with self._lock:
            if self._live is None or self._claim is not claim:
                return
            self._requested_run[:] = [claim.job_id, claim.claim_number]
            self._live.process.send_signal(INTERRUPT_SIGNAL)

    def close(self) -> None:
        """Kill the process; ``run`` raises JobProcessClosed."""
        with self._lock:
            self._is_closed = True
            if self._live is not None:
                self._live.process.kill()

    def stop_idle(self) -> None:
        """End the idle process."""
        if self._live is not None:
            self._live.pipe.close()
            self._live.process.wait(STOPPING_SECONDS + CLOSE_TIMEOUT_SECONDS)
            self._discard()

    def _set_current_claim(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim = claim

    def _ensure_ready(self) -> _RunningProcess:
        """Return the process once it is ready; start a new one if the last is dead."""
        if self._live is not None and self._live.process.is_alive():
            return self._live
        self._discard()
        self.is_starting = True
        live = self._spawn()
        if not self._is_ready(live):
            exit_ = _describe_exit(live)
            self._discard()
            if self._is_closed:
                raise JobProcessClosed
            raise JobProcessFailed(f"a job process ended before it was ready: {exit_}")
        self.is_starting = False
        return live

    def _is_ready(self, live: _RunningProcess) -> bool:
        """Wait until the process is ready, however long that takes; False if it has died."""
        if _receive(live, time.monotonic() + SLOW_START_SECONDS) is not None:
            return True
        if not live.process.is_alive():
            return False
        logger.warning(
            "job process %s is not ready after %.0f s; its thread of the worker runs no jobs until it is. Look at what"
            " receivers of worker_started do",
            live.process.pid,
            SLOW_START_SECONDS,
        )
        return _receive(live, None) is not None

    def _spawn(self) -> _RunningProcess:
        pipe, far_end = multiprocessing.Pipe()
        close_in_copies(pipe)
        close_in_copies(far_end)
        with self._lock:
            if self._is_closed:
                raise JobProcessClosed
            process = start_process(
                run_job_process,
                (self._context.options, far_end, self._requested_run),
                name="django_jobs job process",
                dies_with_parent=True,
            )
            self._live = live = _RunningProcess(process, pipe)
        far_end.close()
        self._jobs = 0
        return live

    def _outcome_without_report(self, live: _RunningProcess, claim: Claim, deadline: float | None) -> Outcome:
        """Return the outcome of a run that did not report: its process died, or hangs and is killed now."""
        if self._is_closed:
            raise JobProcessClosed
        pid = live.process.pid
        if deadline is not None and time.monotonic() >= deadline and live.process.is_alive():
            self._discard()
            log_job(logger, logging.ERROR, claim, "went on after its timeout; its process %s was killed", pid)
            return outcome_of_timeout(claim, self._context)
        reason = f"its process {pid} died: {_describe_exit(live)}"
        self._discard()
        return Lost(reason=reason)

    def _deadline(self, claim: Claim) -> float | None:
        timeout = timeout_seconds(claim)
        if timeout is None:
            return None
        return time.monotonic() + timeout + self._context.settings.worker.timeout_grace.total_seconds()

    def _is_limit_reached(self, live: _RunningProcess, report: RunReport) -> bool:
        """Count a run, and tell whether it was the last of its process."""
        self._jobs += len(report.runs)
        options = self._context.options
        if not self._context.isolates_all:
            return True
        if options.max_jobs is not None and self._jobs >= options.max_jobs:
            logger.info("job process %s ends: %s", live.process.pid, counted(self._jobs, "job"))
            return True
        if options.max_memory_bytes is not None and report.resident_bytes > options.max_memory_bytes:
            logger.info("job process %s ends: %s MB of memory", live.process.pid, report.resident_bytes >> 20)
            return True
        return False

    def _discard(self) -> None:
        """Kill the process, if there is one, and forget it."""
        with self._lock:
            live, self._live = self._live, None
        self.is_due_to_end = False
        if live is not None:
            live.pipe.close()
            live.process.kill()
            if live.process.wait(KILL_TIMEOUT_SECONDS):
                live.process.close()
            else:
                logger.error("job process %s was killed and does not end", live.process.pid)


def _receive(live: _RunningProcess, deadline: float | None) -> object | None:
    """Return the next message, None if the process died or ``deadline`` (monotonic seconds) has passed."""
    while True:
        alive = live.process.is_alive()
        # Messages that were sent before its death come first.
        if live.pipe.poll():
            break
        left = CHECK_SECONDS if deadline is None else deadline - time.monotonic()
        if not alive or left <= 0:
            return None
        wait([live.pipe, live.process.death], min(left, CHECK_SECONDS))
    try:
        message: object = live.pipe.recv()
    except (EOFError, OSError):
        return None
    return message


def _as_log_update(snapshot: LogSnapshot) -> LogUpdate:
    return LogUpdate(snapshot.claim, lambda: snapshot.kept)


def _describe_exit(live: _RunningProcess) -> str:
    live.process.wait(CLOSE_TIMEOUT_SECONDS)
    return live.process.describe_exit()
