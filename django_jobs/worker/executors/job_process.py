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
from ...store.dialects.base.jobs import Claim, Ended
from ..execution.classify import outcome_of_hang, timeout_seconds
from ..execution.run import conclude
from ..execution.runtime import Bench, LogNote, Note, Settled
from ..exit_codes import name_exit
from ..options import WorkerOptions
from .job_process_interrupts import SIGNAL, shared_run
from .job_process_main import Assignment, Report, Said, run_slot

logger = logging.getLogger("django_jobs.worker")

CLOSE_SECONDS = 1.0
"""How long a process that has nothing to do may take to end."""


class _Live(NamedTuple):
    process: SpawnProcess
    pipe: Connection


class SlotClosed(Exception):
    """The slot was closed while it ran: whoever closed it says what becomes of the job."""


class SlotFailed(Exception):
    """The slot's process ended before it was ready for a job."""


class Slot:
    """Runs claims, one at a time, in a process that it starts where none is alive. Used by one thread.

    ``keeps_process`` False: the process ends with the job. ``interrupt`` and ``close`` may come from any thread.
    """

    def __init__(self, options: WorkerOptions, bench: Bench, *, keeps_process: bool) -> None:
        self._options = options
        self._keeps_process = keeps_process
        self._bench = bench
        self._live: _Live | None = None
        self._claim: Claim | None = None
        self._asked = shared_run()
        self._jobs = 0
        self._is_closed = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Have a process that is ready. Raises SlotFailed where it ends instead, SlotClosed after ``close``."""
        self._ready()

    def run(self, claim: Claim) -> Ended | Settled:
        """Run a claimed job and return how it ended, also where its process did not survive it.

        Raises SlotClosed where the slot is closed meanwhile, SlotFailed where no process can be had.
        """
        live = self._ready()
        clock = self._bench.clock
        started, deadline = clock.seconds(), self._deadline(claim)
        self._runs(claim)
        try:
            live.pipe.send(Assignment(claim, self._bench.worker_id(), clock.now()))
            while isinstance(message := _receive(live, deadline), Note | Said):
                self._bench.note(message if isinstance(message, Note) else _as_note(message))
        except OSError:
            message = None
        finally:
            self._runs(None)
        if isinstance(message, Report):
            self._retire_if_due(live, message)
            return message.end
        outcome = self._outcome_of_silence(live, claim, deadline)
        return conclude(claim, outcome, started=started, bench=self._bench)

    def interrupt(self, claim: Claim) -> None:
        """Have ``Cancelled`` raised in the function of a run, where that is what runs here."""
        with self._lock:
            pid = None if self._live is None else self._live.process.pid
            if pid is None or self._claim is not claim:
                return
            self._asked[:] = [claim.job_id, claim.claim_number]
            # Not reaped while it has a claim: the number is no other process's yet.
            with suppress(ProcessLookupError):
                os.kill(pid, SIGNAL)

    def close(self) -> None:
        """Kill the process, whatever it does; ``run`` raises SlotClosed."""
        with self._lock:
            self._is_closed = True
            if self._live is not None:
                self._live.process.kill()

    def dismiss(self) -> None:
        """End the process, which has nothing to do."""
        if self._live is not None:
            self._live.pipe.close()
            self._live.process.join(CLOSE_SECONDS)
            self._discard()

    def _runs(self, claim: Claim | None) -> None:
        with self._lock:
            self._claim = claim

    def _ready(self) -> _Live:
        """Return the process, a new one where the last one is dead, once it is ready."""
        if self._live is not None and self._live.process.is_alive():
            return self._live
        self._discard()
        live = self._spawn()
        if _receive(live, None) is None:
            exit_ = _exit(live)
            self._discard()
            if self._is_closed:
                raise SlotClosed
            raise SlotFailed(f"a slot process ended before it was ready: {exit_}")
        return live

    def _spawn(self) -> _Live:
        pipe, far_end = multiprocessing.Pipe()
        process = multiprocessing.get_context("spawn").Process(
            target=run_slot, args=(self._options, far_end, self._asked), name="django_jobs slot"
        )
        with self._lock:
            if self._is_closed:
                raise SlotClosed
            process.start()
            self._live = live = _Live(process, pipe)
        far_end.close()
        self._jobs = 0
        return live

    def _outcome_of_silence(self, live: _Live, claim: Claim, deadline: float | None) -> Outcome:
        """Return what became of a run whose process said nothing more: it died, or hangs and is killed now."""
        if self._is_closed:
            raise SlotClosed
        pid = live.process.pid
        if deadline is not None and time.monotonic() >= deadline and live.process.is_alive():
            self._discard()
            logger.error(
                "job %s (%s) went on after its timeout; its process %s was killed",
                claim.job_id,
                claim.name,
                pid,
            )
            return outcome_of_hang(claim, self._bench)
        reason = f"its process {pid} died: {_exit(live)}"
        self._discard()
        logger.error("job %s (%s): %s", claim.job_id, claim.name, reason)
        return Lost(reason=reason)

    def _deadline(self, claim: Claim) -> float | None:
        timeout = timeout_seconds(claim)
        if timeout is None:
            return None
        return time.monotonic() + timeout + self._bench.settings.hang_grace.total_seconds()

    def _retire_if_due(self, live: _Live, report: Report) -> None:
        """End a process that is not kept, or that has had its share of jobs or memory."""
        self._jobs += 1
        most_jobs, most_bytes = self._options.max_jobs, self._options.max_memory_bytes
        if not self._keeps_process:
            self.dismiss()
        elif most_jobs is not None and self._jobs >= most_jobs:
            logger.info("slot process %s ends: %s jobs", live.process.pid, self._jobs)
            self.dismiss()
        elif most_bytes is not None and report.resident_bytes > most_bytes:
            logger.info(
                "slot process %s ends: %s MB of memory", live.process.pid, report.resident_bytes >> 20
            )
            self.dismiss()

    def _discard(self) -> None:
        """Kill what is left of the process and forget it."""
        with self._lock:
            live, self._live = self._live, None
        if live is not None:
            live.pipe.close()
            live.process.kill()
            live.process.join()
            live.process.close()


def _receive(live: _Live, deadline: float | None) -> object | None:
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


def _as_note(said: Said) -> LogNote:
    return LogNote(said.claim, lambda: said.kept)


def _exit(live: _Live) -> str:
    live.process.join(CLOSE_SECONDS)
    return name_exit(live.process.exitcode)
