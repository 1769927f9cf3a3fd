"""A process of its own for one job at a time, as the worker sees it: started, given claims, killed.

::

    worker process                           slot process (slot_process.py)
    thread of the executor                   main thread
        Assignment  ------- pipe ------->    run the job
        "end it"    ------ signal ------>    Cancelled is raised in it
        Note, Note  <------ pipe --------    what the job says of itself
        Report      <------ pipe --------    how it ended, and how much memory the process has in use

The process dies by its job (a crash in C code, out of memory) or is killed for it (a hang that no
exception reaches), and takes no neighbour along. Only its own worker ever sends it anything.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from ...policy.outcomes import Lost, Outcome
from ...store.dialects.base.jobs import Claim, FinishedRun
from ..execution.classify import outcome_of_timeout, timeout_seconds
from ..execution.run import finalize
from ..execution.runtime import CommittedRun, LogUpdate, ProgressUpdate, RunContext
from ..exit_codes import describe_exit
from ..options import WorkerOptions
from .job_process_interrupts import INTERRUPT_SIGNAL, create_shared_run_key
from .job_process_main import Assignment, LogSnapshot, RunReport, run_job_process

logger = logging.getLogger("django_jobs.worker")

CLOSE_TIMEOUT_SECONDS = 1.0
"""How long a process that has nothing to do may take to end."""


class _RunningProcess(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class JobProcessClosed(Exception):
    """The slot was closed while it ran: whoever closed it says what becomes of the job."""


class JobProcessFailed(Exception):
    """The slot's process ended before it was ready for a job."""


class JobProcess:
    """Runs claims, one at a time, in a process that it starts where none is alive. Used by one thread.

    ``keeps_process`` False: the process ends with the job. ``interrupt`` and ``close`` may come from any thread.
    """

    def __init__(self, options: WorkerOptions, run_context: RunContext, *, keeps_process: bool) -> None:
        self._options = options
        self._keeps_process = keeps_process
        self._run_context = run_context
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
        """Run a claimed job and return how it ended, also where its process did not survive it.

        Raises JobProcessClosed where the slot is closed meanwhile, JobProcessFailed where no process can be had.
        """
        live = self._ensure_ready()
        clock = self._run_context.clock
        started, deadline = clock.seconds(), self._deadline(claim)
        self._set_current_claim(claim)
        try:
            live.pipe.send(Assignment(claim, self._run_context.worker_id(), clock.now()))
            while isinstance(message := _receive(live, deadline), ProgressUpdate | LogSnapshot):
                self._run_context.send_update(
                    message if isinstance(message, ProgressUpdate) else _as_log_update(message)
                )
        except OSError:
            message = None
        finally:
            self._set_current_claim(None)
        if isinstance(message, RunReport):
            self._retire_if_due(live, message)
            return message.end
        outcome = self._outcome_without_report(live, claim, deadline)
        return finalize(claim, outcome, started=started, run_context=self._run_context)

    def interrupt(self, claim: Claim) -> None:
        """Have ``Cancel`` raised in the function of a run, where that is what runs here."""
        with self._lock:
            pid = None if self._live is None else self._live.process.pid
            if pid is None or self._claim is not claim:
                return
            self._requested_run[:] = [claim.job_id, claim.claim_number]
            # Not reaped while it has a claim: the number is no other process's yet.
            with suppress(ProcessLookupError):
                os.kill(pid, INTERRUPT_SIGNAL)

    def close(self) -> None:
        """Kill the process, whatever it does; ``run`` raises JobProcessClosed."""
        with self._lock:
            self._is_closed = True
            if self._live is not None:
                self._live.process.kill()

    def stop_idle(self) -> None:
        """End the process, which has nothing to do."""
        if self._live is not None:
            self._live.pipe.close()
            self._live.process.join(CLOSE_TIMEOUT_SECONDS)
            self._discard()

    def _set_current_claim(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim = claim

    def _ensure_ready(self) -> _RunningProcess:
        """Return the process, a new one where the last one is dead, once it is ready."""
        if self._live is not None and self._live.process.is_alive():
            return self._live
        self._discard()
        live = self._spawn()
        if _receive(live, None) is None:
            exit_ = _describe_exit(live)
            self._discard()
            if self._is_closed:
                raise JobProcessClosed
            raise JobProcessFailed(f"a slot process ended before it was ready: {exit_}")
        return live

    def _spawn(self) -> _RunningProcess:
        pipe, far_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=run_job_process,
            args=(self._options, far_end, self._requested_run),
            name="django_jobs slot",
        )
        with self._lock:
            if self._is_closed:
                raise JobProcessClosed
            process.start()
            self._live = live = _RunningProcess(process, pipe)
        far_end.close()
        self._jobs = 0
        return live

    def _outcome_without_report(self, live: _RunningProcess, claim: Claim, deadline: float | None) -> Outcome:
        """Return what became of a run whose process said nothing more: it died, or hangs and is killed now."""
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
            return outcome_of_timeout(claim, self._run_context)
        reason = f"its process {pid} died: {_describe_exit(live)}"
        self._discard()
        logger.error("job %s (%s): %s", claim.job_id, claim.name, reason)
        return Lost(reason=reason)

    def _deadline(self, claim: Claim) -> float | None:
        timeout = timeout_seconds(claim)
        if timeout is None:
            return None
        return time.monotonic() + timeout + self._run_context.settings.worker.timeout_grace.total_seconds()

    def _retire_if_due(self, live: _RunningProcess, report: RunReport) -> None:
        """End a process that is not kept, or that has had its share of jobs or memory."""
        self._jobs += 1
        max_jobs, max_bytes = self._options.max_jobs, self._options.max_memory_bytes
        if not self._keeps_process:
            self.stop_idle()
        elif max_jobs is not None and self._jobs >= max_jobs:
            logger.info("slot process %s ends: %s jobs", live.process.pid, self._jobs)
            self.stop_idle()
        elif max_bytes is not None and report.resident_bytes > max_bytes:
            logger.info(
                "slot process %s ends: %s MB of memory", live.process.pid, report.resident_bytes >> 20
            )
            self.stop_idle()

    def _discard(self) -> None:
        """Kill what is left of the process and forget it."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.pipe.close()
            live.process.kill()
            live.process.join()
            live.process.close()


def _receive(live: _RunningProcess, deadline: float | None) -> object | None:
    """Return the next message, None where the process died or ``deadline`` (monotonic seconds) has passed."""
    seconds = None if deadline is None else max(deadline - time.monotonic(), 0)
    wait([live.pipe, live.process.sentinel], seconds)
    # What it said before it died is heard first.
    if not live.pipe.poll():
        return None
    try:
        message: object = live.pipe.recv()
    except (EOFError, OSError):
        return None
    return message


def _as_log_update(said: LogSnapshot) -> LogUpdate:
    return LogUpdate(said.claim, lambda: said.kept)


def _describe_exit(live: _RunningProcess) -> str:
    live.process.join(CLOSE_TIMEOUT_SECONDS)
    return describe_exit(live.process.exitcode)
