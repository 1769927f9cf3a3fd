"""Main thread of a job process: run one job after another until the worker closes the pipe.

Signals that stop a worker may be sent to its whole process group; a job process ignores them. It dies
with its worker, even while a job does not return from C code.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace
from datetime import datetime
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NamedTuple

from ...policy.log_lines import LogExcerpt
from ..options import WorkerOptions
from ..process_setup import set_up_process
from ..process_signals import JOB_PROCESS, send_worker_started, send_worker_stopping
from ..system.child_process import wait_as_child
from ..system.exit_codes import EXIT_DONE
from ..system.fork_server import is_forked
from ..system.forked_copies import call_in_copies, close_in_copies, end_copy_since, fork_count, isolate_copies
from ..system.memory import resident_bytes

if TYPE_CHECKING:
    from ...store.dialects.base.jobs import Claim, FinishedRun
    from ..execution.events import CommittedRun, LogUpdate, ProgressUpdate
    from ..execution.runtime import RunContext
    from .job_process_interrupts import JobProcessInterrupts, SharedRunKey

_PR_SET_PDEATHSIG = 1
HANDLED_BY_JOBS = (
    signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGCHLD, signal.SIGPIPE,
)  # fmt: skip
"""Signals whose handlers are restored after each job."""


class Assignment(NamedTuple):
    """Order to run claims, several of a chunk: with the worker's id, the database's time and its alias."""

    claims: Sequence[Claim]
    worker_id: int
    now: datetime
    database: str


class LogSnapshot(NamedTuple):
    """The log of a run so far."""

    claim: Claim
    kept: LogExcerpt


class RunReport(NamedTuple):
    """The finished runs of an assignment, and the bytes of memory that the job process uses after them."""

    runs: list[FinishedRun | CommittedRun]
    resident_bytes: int


class _WorkerPipe:
    """RunEvents of a job process: sends them to the worker. A message is never interrupted half-way."""

    def __init__(self, pipe: Connection, interrupts: JobProcessInterrupts) -> None:
        self._pipe = pipe
        self._uninterruptible = interrupts.uninterruptible
        self._sending = threading.Lock()
        self._is_copy = False
        close_in_copies(pipe)
        call_in_copies(self._leave_in_copy)

    def progress(self, update: ProgressUpdate | LogUpdate) -> None:
        """Send an update; log lines are read inside the block, so that what is read later is sent later."""
        from ..execution.events import LogUpdate

        if self._is_copy:
            return
        with self._uninterruptible, self._sending:
            self._pipe.send(LogSnapshot(update.claim, update.lines()) if isinstance(update, LogUpdate) else update)

    def report(self, runs: list[FinishedRun | CommittedRun]) -> None:
        """Send the finished runs."""
        with self._uninterruptible, self._sending:
            self._pipe.send(RunReport(runs, resident_bytes()))

    def _leave_in_copy(self) -> None:
        """Send nothing from a copy of this process, and let signals end it as they would end any program."""
        self._is_copy = True
        for number in (signal.SIGTERM, signal.SIGQUIT):
            if signal.getsignal(number) is _ignore:
                signal.signal(number, signal.SIG_DFL)


def run_job_process(options: WorkerOptions, pipe: Connection, requested_run: SharedRunKey) -> None:
    """Report that this process is ready, then run the assignments from ``pipe`` until it is closed.

    The worker writes into ``requested_run`` which run is to be cancelled.
    """
    _die_with_parent()
    # Not SIG_IGN, which programs started by a job would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, _ignore)
    os.set_inheritable(pipe.fileno(), False)  # or programs that jobs start would hold it open
    isolate_copies()
    set_up_process(options)
    from ...conf import get_settings
    from ..threads.connections import name_job_sessions, use_own_connections
    from ..threads.sessions import observe_connections

    use_own_connections()
    for alias in get_settings().aliases:
        name_job_sessions(alias)
    observe_connections(in_this_thread=True)
    send_worker_started(JOB_PROCESS, options)
    _serve(pipe, requested_run)
    send_worker_stopping(JOB_PROCESS, options)
    # Threads that a job left behind must not hold up the end.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_DONE)


def _ignore(*_: object) -> None:
    """Handle a signal by nothing."""


def _serve(pipe: Connection, requested_run: SharedRunKey) -> None:
    from ...conf import get_settings
    from ..execution.runtime import RunContext
    from .job_process_interrupts import JobProcessInterrupts

    interrupts = JobProcessInterrupts(requested_run)
    events = _WorkerPipe(pipe, interrupts)
    context = RunContext(settings=get_settings(), events=events, interrupts=interrupts)
    runner = asyncio.Runner()
    handlers = {number: signal.getsignal(number) for number in HANDLED_BY_JOBS}
    forks = fork_count()
    pipe.send("ready")
    while True:
        try:
            assignment: Assignment = pipe.recv()
        except EOFError:
            return
        if assignment.database != context.using:
            context = replace(context, settings=get_settings().for_database(assignment.database))
        context.worker_id = assignment.worker_id
        context.clock.set(assignment.now)
        finished = _run(assignment.claims, context, runner)
        end_copy_since(forks)
        interrupts.disarm()
        _restore_signals(handlers)
        events.report(finished)


def _restore_signals(handlers: Mapping[signal.Signals, Any]) -> None:
    """Undo what a job has done to signals: a timer that is left would interrupt the next job."""
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    for number, handler in handlers.items():
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)


def _run(claims: Sequence[Claim], context: RunContext, runner: asyncio.Runner) -> list[FinishedRun | CommittedRun]:
    from asgiref.sync import sync_to_async

    from ... import registry
    from ...conf.database import set_database
    from ...policy.outcomes import Released
    from ..execution.chunk import aexecute_chunk, is_chunk_job
    from ..execution.finalize import finalize
    from ..execution.run import aexecute
    from ..threads.connections import check_shared_connections, reset_async_connections
    from .isolation import has_failed, run_chunk_isolated
    from .keep_running import keep_running

    claim = claims[0]
    ended: list[FinishedRun | CommittedRun] = []

    async def run_and_reset() -> None:
        check_shared_connections()
        with suppress(GeneratorExit):  # the job's, which is reported
            if is_chunk_job(claim):
                await aexecute_chunk(claims, context, ended.extend)
            else:
                await aexecute(claim, context, ended.append)
        await sync_to_async(reset_async_connections)(
            {(context.using, claim.job_id): not ended or any(map(has_failed, ended))}
        )

    definition = registry.find(claim.name)
    if definition is not None and definition.is_async:
        loop = runner.get_loop()
        own = Context()
        own.run(set_database, context.using)
        task = loop.create_task(run_and_reset(), context=own)
        task.add_done_callback(lambda _: loop.stop())
        keep_running(loop, task.done)
        return ended or [finalize(each, Released(started=False), context) for each in claims]
    return run_chunk_isolated(claims, context)


def _die_with_parent() -> None:
    """End when the worker does; on Linux the kernel or the fork server kills it, also if code holds the GIL."""
    if sys.platform == "linux" and not is_forked():
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    threading.Thread(target=_watch_parent, name="jobs-parent-watch", daemon=True).start()


def _watch_parent() -> None:
    wait_as_child()
    os._exit(EXIT_DONE)
