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
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from ...policy.outcomes import Lost, Outcome
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..child_process import CHECK_SECONDS, ChildProcess
from ..execution.classify import outcome_of_timeout, timeout_seconds
from ..execution.events import CommittedRun, LogUpdate, ProgressUpdate
from ..execution.finalize import finalize
from ..execution.runtime import WorkerContext
from ..forked_copies import close_in_copies
from .job_process_interrupts import INTERRUPT_SIGNAL, create_shared_run_key
from .job_process_main import Assignment, LogSnapshot, RunReport, run_job_process

logger = logging.getLogger("django_jobs.worker")

CLOSE_TIMEOUT_SECONDS = 1.0
"""How long an idle process may take to end."""
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

    The process is kept for the next job only if all jobs are isolated. ``interrupt`` and ``close`` may be called from
    any thread.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._live: _RunningProcess | None = None
        self._claim: Claim | None = None
        self._requested_run = create_shared_run_key()
        self._jobs = 0
        self._is_closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Start a process and wait until it is ready. Raises JobProcessFailed, or JobProcessClosed after ``close``."""
        self._ensure_ready()

    def run(self, claim: Claim) -> FinishedRun | CommittedRun:
        """Run a claimed job and return how it ended, also if its process died.

        Raises JobProcessClosed if ``close`` is called meanwhile, JobProcessFailed if no process can be started.
        """
        live = self._ensure_ready()
        context = self._context
        started, deadline = context.clock.seconds(), self._deadline(claim)
        self._set_current_claim(claim)
        try:
            live.pipe.send(Assignment(claim, context.worker_id, context.clock.now()))
            while isinstance(message := _receive(live, deadline), ProgressUpdate | LogSnapshot):
                context.events.progress(message if isinstance(message, ProgressUpdate) else _as_log_update(message))
        except OSError:
            message = None
        finally:
            self._set_current_claim(None)
        if isinstance(message, RunReport):
            self._retire_if_due(live, message)
            return message.run
        outcome = self._outcome_without_report(live, claim, deadline)
        return finalize(claim, outcome, context, started=started)

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
            self._live.process.wait(CLOSE_TIMEOUT_SECONDS)
            self._discard()

    def _set_current_claim(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim = claim

    def _ensure_ready(self) -> _RunningProcess:
        """Return the process once it is ready; start a new one if the last is dead."""
        if self._live is not None and self._live.process.is_alive():
            return self._live
        self._discard()
        live = self._spawn()
        if _receive(live, None) is None:
            exit_ = _describe_exit(live)
            self._discard()
            if self._is_closed:
                raise JobProcessClosed
            raise JobProcessFailed(f"a job process ended before it was ready: {exit_}")
        return live

    def _spawn(self) -> _RunningProcess:
        pipe, far_end = multiprocessing.Pipe()
        close_in_copies(pipe)
        close_in_copies(far_end)
        with self._lock:
            if self._is_closed:
                raise JobProcessClosed
            process = ChildProcess(
                run_job_process, (self._context.options, far_end, self._requested_run), name="django_jobs job process"
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
            logger.error(
                "job %s (%s) went on after its timeout; its process %s was killed",
                claim.job_id,
                claim.name,
                pid,
            )
            return outcome_of_timeout(claim, self._context)
        reason = f"its process {pid} died: {_describe_exit(live)}"
        self._discard()
        logger.error("job %s (%s): %s", claim.job_id, claim.name, reason)
        return Lost(reason=reason)

    def _deadline(self, claim: Claim) -> float | None:
        timeout = timeout_seconds(claim)
        if timeout is None:
            return None
        return time.monotonic() + timeout + self._context.settings.worker.timeout_grace.total_seconds()

    def _retire_if_due(self, live: _RunningProcess, report: RunReport) -> None:
        """End a process that is not kept, or that has reached its limit of jobs or memory."""
        self._jobs += 1
        options = self._context.options
        if not self._context.isolates_all:
            self.stop_idle()
        elif options.max_jobs is not None and self._jobs >= options.max_jobs:
            logger.info("job process %s ends: %s jobs", live.process.pid, self._jobs)
            self.stop_idle()
        elif options.max_memory_bytes is not None and report.resident_bytes > options.max_memory_bytes:
            logger.info("job process %s ends: %s MB of memory", live.process.pid, report.resident_bytes >> 20)
            self.stop_idle()

    def _discard(self) -> None:
        """Kill the process, if there is one, and forget it."""
        with self._lock:
            live, self._live = self._live, None
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
