"""Main thread of a worker process: start the worker, wait for a reason to stop, stop in good order.

SIGTERM: let running jobs end within the grace time, release the rest. SIGQUIT: release everything now.
SIGINT is sent by the terminal to the supervisor too and is ignored here. The supervisor's death counts as
SIGTERM: nobody would rescue or replace this process any more.

A fresh interpreter imports this module first: Django is set up before it is used.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from ..child_process import wait_as_child
from ..exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_STOP_REQUESTED
from ..forked_copies import close_in_copies, isolate_copies
from ..liveness import SharedLiveness
from ..options import WorkerOptions
from ..process_setup import set_up_process
from ..threads.watched_thread import WatchedThread
from .signal_pipe import SignalPipe
from .started_jobs import StartedJobs

if TYPE_CHECKING:
    from ..worker import Worker

EXIT_TIMEOUT_SECONDS = 5.0

logger = logging.getLogger("django_jobs.worker")


def run_worker_process(
    options: WorkerOptions, to_supervisor: Connection, started_jobs: StartedJobs, liveness: SharedLiveness
) -> None:
    """Be a worker process until told to stop; never returns.

    Sends each new worker id, and an error of which it dies, to the supervisor. Records starts in ``started_jobs`` and
    its health in ``liveness``.
    """
    signals = SignalPipe(catch=[signal.SIGTERM, signal.SIGQUIT], ignore=[signal.SIGINT])
    os.set_inheritable(to_supervisor.fileno(), False)  # or programs that jobs start would hold it open
    isolate_copies()
    close_in_copies(to_supervisor)
    try:
        set_up_process(options)
        code, drained = _serve(options, to_supervisor, started_jobs, liveness, signals)
    except Exception as error:
        with suppress(OSError):
            to_supervisor.send(f"{type(error).__name__}: {error}")
        raise
    if drained:
        # The project's exit handlers may run, but not hold up the end for ever.
        last_resort = threading.Timer(EXIT_TIMEOUT_SECONDS, os._exit, [code])
        last_resort.daemon = True
        last_resort.start()
        sys.exit(code)
    # Threads that still run a job cannot be stopped, and must not hold up the end.
    logging.shutdown()
    os._exit(code)


class _Host:
    """The worker's view of its process: passes ids to the supervisor and wakes the main thread."""

    def __init__(self, to_supervisor: Connection, signals: SignalPipe) -> None:
        self.reason = ""
        self.exit_code = EXIT_DONE
        self._to_supervisor = to_supervisor
        self._signals = signals

    def registered(self, worker_id: int) -> None:
        """Tell the supervisor the worker's id."""
        try:
            self._to_supervisor.send(worker_id)
        except OSError:
            logger.debug("the supervisor is gone")

    def stop(self, reason: str, exit_code: int) -> None:
        """Have the main thread drain and close the worker."""
        self.reason, self.exit_code = reason, exit_code
        self._signals.poke()


def _serve(
    options: WorkerOptions,
    to_supervisor: Connection,
    started_jobs: StartedJobs,
    liveness: SharedLiveness,
    signals: SignalPipe,
) -> tuple[int, bool]:
    """Run the worker until it is to stop; return the exit code and whether no job runs any more."""
    from ..worker import Worker

    host = _Host(to_supervisor, signals)
    worker = Worker(options, host, started_jobs.writer(), liveness)
    worker.start()
    urgent = _wait_for_reason(signals)
    if host.reason:
        logger.info("worker process %s ends: %s", os.getpid(), host.reason)
    drained = not urgent and _drain(worker, signals)
    worker.close()
    if worker.is_failed:
        return EXIT_FAILED, drained
    if worker.stop_requested:
        return EXIT_STOP_REQUESTED, drained
    return host.exit_code, drained


def _wait_for_reason(signals: SignalPipe) -> bool:
    """Wait for a signal, the supervisor's death or a stop by the worker; tell whether it is urgent."""
    wait_as_child([signals.fileno()])
    return signal.SIGQUIT in signals.take()


def _drain(worker: Worker, signals: SignalPipe) -> bool:
    """Drain the worker, in a thread, because SIGQUIT may cut it short; tell whether no job runs any more."""
    from ...conf import get_settings

    results: list[bool] = []

    def drain() -> None:
        results.append(worker.drain(get_settings().worker.shutdown_grace.total_seconds()))
        signals.poke()

    def died(role: str) -> None:
        worker.died(role)
        results.append(False)
        signals.poke()

    WatchedThread(drain, role="drain", on_death=died).start()
    while not results:
        wait([signals.fileno()])
        if signal.SIGQUIT in signals.take():
            return False
    return results[0]
