"""The main thread of a worker process: start the worker, wait for a reason to stop, stop in good order.

SIGTERM: finish what runs within the grace time, give back the rest. SIGQUIT: give back everything now.
SIGINT is the terminal's word to the supervisor and is ignored here. The supervisor's death counts as
SIGTERM: nobody would rescue or replace this process any more.

This module is what a fresh interpreter imports first: Django is set up before anything of it is touched.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from ..exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_RECYCLE, EXIT_STOP_REQUESTED
from ..liveness import SharedLiveness
from ..options import WorkerOptions
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

    Sends the worker's id to the supervisor each time it gets one, and notes what it begins in ``started_jobs``
    and that it is well in ``liveness``.
    """
    signals = SignalPipe(catch=[signal.SIGTERM, signal.SIGQUIT], ignore=[signal.SIGINT])
    import django

    django.setup()
    from ..console import log_to_terminal
    from ..execution.log_capture import capture_logs

    log_to_terminal(options.verbosity)
    capture_logs()
    code, drained = _serve(options, to_supervisor, started_jobs, liveness, signals)
    if drained:
        # What the project registered for the end of a process may run, but not hold it up for ever.
        last_resort = threading.Timer(EXIT_TIMEOUT_SECONDS, os._exit, [code])
        last_resort.daemon = True
        last_resort.start()
        sys.exit(code)
    # Threads that still run a job cannot be stopped, and must not hold up the end.
    logging.shutdown()
    os._exit(code)


def _serve(
    options: WorkerOptions,
    to_supervisor: Connection,
    started_jobs: StartedJobs,
    liveness: SharedLiveness,
    signals: SignalPipe,
) -> tuple[int, bool]:
    """Run the worker until it is to stop; return the exit code and whether nothing runs any more."""
    from ..worker import BURST_OVER, STOP_REQUESTED, Worker

    reasons: list[str] = []

    def end(reason: str) -> None:
        reasons.append(reason)
        signals.poke()

    def registered(worker_id: int) -> None:
        try:
            to_supervisor.send(worker_id)
        except OSError:
            logger.debug("the supervisor is gone")

    worker = Worker(
        options, begin=started_jobs.writer(), liveness=liveness, on_register=registered, on_end=end
    )
    worker.start()
    urgent = _wait_for_reason(signals)
    if reasons:
        logger.info("worker process %s ends: %s", os.getpid(), reasons[0])
    drained = not urgent and _drain(worker, signals)
    worker.close()
    if worker.failed:
        return EXIT_FAILED, drained
    if worker.stop_requested:
        return EXIT_STOP_REQUESTED, drained
    codes = {BURST_OVER: EXIT_DONE, STOP_REQUESTED: EXIT_STOP_REQUESTED}
    return codes.get(reasons[0], EXIT_RECYCLE) if reasons else EXIT_DONE, drained


def _wait_for_reason(signals: SignalPipe) -> bool:
    """Wait for a signal, the supervisor's death or the worker's own wish; tell whether it is urgent."""
    parent = parent_process()
    wait([signals.fileno()] if parent is None else [signals.fileno(), parent.sentinel])
    return signal.SIGQUIT in signals.take()


def _drain(worker: Worker, signals: SignalPipe) -> bool:
    """Drain the worker, in a thread, because SIGQUIT may cut it short; tell whether nothing runs any more."""
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
