"""Main thread of a worker process: start the worker, wait for a reason to stop, stop in good order.

SIGTERM: let running jobs end within the grace time, release the rest. SIGQUIT: release everything now.
SIGINT is sent by the terminal to the supervisor too and is ignored here. The supervisor's death counts as
SIGTERM: nobody would rescue or replace this process any more.

A fresh interpreter, if it was spawned, imports this module first: Django is set up before it is used.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING

from ..options import WorkerOptions
from ..process_setup import set_up_process
from ..process_signals import WORKER, send_worker_started, send_worker_stopping
from ..system.child_process import wait_as_child
from ..system.exit_codes import EXIT_DONE, EXIT_FAILED, EXIT_RECYCLE, EXIT_STOP_REQUESTED
from ..system.forked_copies import close_in_copies, isolate_copies
from ..threads.watched_thread import WatchedThread
from .signal_pipe import SignalPipe
from .worker_child import Ending, Registered

if TYPE_CHECKING:
    from .channel import Channel
    from .worker_group import WorkerGroup

EXIT_TIMEOUT_SECONDS = 5.0

logger = logging.getLogger("django_jobs.worker")


def run_worker_process(options: WorkerOptions, to_supervisor: Connection, channels: Mapping[str, Channel]) -> None:
    """Be a worker process until told to stop; never returns.

    Sends each new worker id, and an error of which it dies or its exit code, to the supervisor. Records starts and
    health in ``channels``, one for each database that it serves, by alias.
    """
    signals = SignalPipe(catch=[signal.SIGTERM, signal.SIGQUIT], ignore=[signal.SIGINT])
    os.set_inheritable(to_supervisor.fileno(), False)  # or programs that jobs start would hold it open
    isolate_copies()
    close_in_copies(to_supervisor)
    try:
        set_up_process(options)
        code, drained = _serve(options, to_supervisor, channels, signals)
        with suppress(OSError):
            to_supervisor.send(Ending(code))
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

    def registered(self, database: str, worker_id: int) -> None:
        """Tell the supervisor the worker's id."""
        try:
            self._to_supervisor.send(Registered(database, worker_id))
        except OSError:
            logger.debug("the supervisor is gone")

    def stop(self, reason: str, exit_code: int) -> None:
        """Have the main thread drain and close the worker."""
        self.reason, self.exit_code = reason, exit_code
        self._signals.poke()

    def kill(self, reason: str) -> None:
        """Have the main thread close the worker as at SIGQUIT, and the supervisor start another."""
        self.reason, self.exit_code = reason, EXIT_RECYCLE
        self._signals.poke(signal.SIGQUIT)


def _serve(
    options: WorkerOptions, to_supervisor: Connection, channels: Mapping[str, Channel], signals: SignalPipe
) -> tuple[int, bool]:
    """Run the workers until they are to stop; return the exit code and whether no job runs any more."""
    from .worker_group import WorkerGroup

    host = _Host(to_supervisor, signals)
    worker = WorkerGroup(options, host, channels)
    send_worker_started(WORKER, options)
    try:
        worker.start()
        urgent = _wait_for_reason(signals)
        if host.reason:
            logger.info("worker process %s ends: %s", os.getpid(), host.reason)
        drained = not urgent and _drain(worker, signals)
        worker.close()
    finally:
        send_worker_stopping(WORKER, options)
    if worker.is_failed:
        return EXIT_FAILED, drained
    if worker.stop_requested:
        return EXIT_STOP_REQUESTED, drained
    return host.exit_code, drained


def _wait_for_reason(signals: SignalPipe) -> bool:
    """Wait for a signal, the supervisor's death or a stop by the worker; tell whether it is urgent."""
    wait_as_child([signals.fileno()])
    return signal.SIGQUIT in signals.take()


def _drain(worker: WorkerGroup, signals: SignalPipe) -> bool:
    """Drain the workers, in a thread, because SIGQUIT may cut it short; tell whether no job runs any more."""
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
