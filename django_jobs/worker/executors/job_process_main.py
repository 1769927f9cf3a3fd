"""The main thread of a slot process: run one job after another until the worker hangs up.

The signals that stop a worker are the worker's affair: its slots get them too where they were sent to the
group, and go on. A slot dies with its worker, also while a job is deaf inside C code.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from datetime import datetime
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, NamedTuple

from ...policy.log_lines import LogExcerpt
from ..exit_codes import EXIT_DONE
from ..options import WorkerOptions

if TYPE_CHECKING:
    from ...store.dialects.base.jobs import Claim, FinishedRun
    from ..execution.runtime import CommittedRun, RunContext
    from .job_process_interrupts import SharedRunKey

_PR_SET_PDEATHSIG = 1


class Assignment(NamedTuple):
    """What a slot process is told: the claim, under which worker it stands, and the database's time."""

    claim: Claim
    worker_id: int
    now: datetime


class LogSnapshot(NamedTuple):
    """What a run has logged so far."""

    claim: Claim
    kept: LogExcerpt


class RunReport(NamedTuple):
    """How a run ended, and how many bytes the slot process had in use after it."""

    end: FinishedRun | CommittedRun
    resident_bytes: int


def run_job_process(options: WorkerOptions, pipe: Connection, asked: SharedRunKey) -> None:
    """Say that this process is ready, then run what comes through ``pipe`` until it is closed.

    ``asked`` is where the worker writes which run is to end.
    """
    _die_with_parent()
    # Not SIG_IGN, which programs that a job starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, lambda *_: None)
    import django

    django.setup()
    from ..console import log_to_terminal
    from ..execution.log_capture import capture_logs

    log_to_terminal(options.verbosity)
    capture_logs()
    _serve(pipe, asked)


def _serve(pipe: Connection, asked: SharedRunKey) -> None:
    from ...conf import get_settings
    from ...store.clock import DatabaseClock
    from ..duties.heartbeat import resident_bytes
    from ..execution.runtime import LogUpdate, ProgressUpdate, RunContext
    from .job_process_interrupts import JobProcessInterrupts

    worker_id = 0
    sending = threading.Lock()
    interrupts = JobProcessInterrupts(asked)

    def send(message: ProgressUpdate | LogUpdate | RunReport) -> None:
        with interrupts.uninterruptible, sending:
            # Read inside the block: what was read later is sent later.
            pipe.send(
                LogSnapshot(message.claim, message.lines()) if isinstance(message, LogUpdate) else message
            )

    settings, clock = get_settings(), DatabaseClock()
    run_context = RunContext(
        using=settings.database,
        settings=settings,
        clock=clock,
        worker_id=lambda: worker_id,
        send_update=send,
        interrupts=interrupts,
    )
    runner = asyncio.Runner()
    pipe.send("ready")
    while True:
        try:
            assignment: Assignment = pipe.recv()
        except EOFError:
            break
        worker_id = assignment.worker_id
        clock.set(assignment.now)
        end = _run(assignment.claim, run_context, runner)
        interrupts.disarm()
        send(RunReport(end, resident_bytes()))
    # Threads that a job left behind must not hold up the end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_DONE)


def _run(claim: Claim, run_context: RunContext, runner: asyncio.Runner) -> FinishedRun | CommittedRun:
    from asgiref.sync import sync_to_async

    from ... import registry
    from ..execution.run import arun, run
    from ..threads.connections import check_idle_connections, reset_connections

    async def run_and_tidy() -> FinishedRun | CommittedRun:
        ended = await arun(claim, run_context)
        await sync_to_async(reset_connections)()
        return ended

    definition = registry.find(claim.name)
    if definition is not None and definition.is_async:
        return runner.run(run_and_tidy())
    check_idle_connections()
    ended = run(claim, run_context)
    reset_connections()
    return ended


def _die_with_parent() -> None:
    """End when the worker does: by the kernel's word on Linux, which also reaches code that holds the GIL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch_parent, name="jobs-parent-watch", daemon=True).start()


def _watch_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(EXIT_DONE)
