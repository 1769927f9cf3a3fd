"""``working()``: a real worker in threads of the test's own process, beside a live server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from functools import partial

from django.db import connections

from ..conf import get_settings
from ..conf.database import current_database
from ..exceptions import ConfigurationError
from ..policy.durations import ZERO, Duration, read_duration
from ..worker.execution.log_capture import capturing_logs
from ..worker.options import WorkerOptions
from ..worker.system.exit_codes import EXIT_RECYCLE
from ..worker.system.liveness import SharedLiveness
from ..worker.threads.sessions import stop_observing
from ..worker.worker import Worker
from .targets import check_queues

START_SECONDS = 30.0
THREADS_SECONDS = 10.0
POLL_INTERVAL = timedelta(seconds=0.05)
"""Where the database does not wake the worker, a test does not wait for the usual poll."""


@contextmanager
def working(
    *,
    queues: Sequence[str] | None = None,
    concurrency: int = 2,
    schedules: bool = False,
    timeout: Duration = 10,
) -> Iterator[None]:
    """Have a worker run jobs in the background as long as the block lasts: those of ``queues``, or of all.

    For tests whose code waits for jobs, as a browser does that looks at a live server: ``LiveServerTestCase``,
    ``TransactionTestCase``, or ``django_db(transaction=True)``. The worker is that of ``runworker``, in threads of this
    process: mocks, ``override_settings`` and ``mail.outbox`` are the test's own, ``os._exit`` ends it. Wait for a job
    by ``job.wait(5)``. ``schedules``: fire due schedules, too.

    At the end no job is started any more, and running ones get ``timeout`` (timedelta or seconds); the worker's threads
    have ended then, and their connections are closed. Raises RuntimeError for jobs that go on, and if the worker broke.

    Raises ConfigurationError in a transaction, such as a TestCase's, whose jobs no other connection sees, and for
    SQLite in memory, whose connections lock one another out: name a file in ``DATABASES[...]["TEST"]["NAME"]``. Clocks
    that a test has stopped stop the worker too, if they replace ``time.monotonic``.
    """
    check_queues("working(queues)", queues)
    if type(concurrency) is not int or concurrency < 1:
        raise ConfigurationError(f"working(concurrency): expected 1 or more, got {concurrency!r}")
    seconds = read_duration("working(timeout)", timeout, minimum=ZERO).total_seconds()
    _check_database()
    options = WorkerOptions(
        queues=None if queues is None else tuple(queues), concurrency=concurrency, schedules=schedules
    )
    with _connection_options_kept(), capturing_logs():
        started = threading.Event()
        host = _Host(started)
        settings = get_settings()
        settings = replace(settings, worker=replace(settings.worker, poll_interval=POLL_INTERVAL))
        worker = Worker(options, host, lambda job_id: None, _Liveness(started), settings=settings)
        worker.start()
        try:
            if not started.wait(START_SECONDS):
                raise RuntimeError(f"the worker of working() did not start within {START_SECONDS} s; its log says why")
            yield
        except BaseException as error:
            if host.reason:
                error.add_note(f"the worker of working() had stopped by then: {host.reason}")
            raise
        finally:
            has_ended = _in_a_thread(partial(_end, worker, seconds))
        if host.reason:
            raise RuntimeError(f"the worker of working() stopped before its block ended: {host.reason}")
        if not has_ended:
            raise RuntimeError(f"jobs of working() go on after {seconds} s; give it more by working(timeout=...)")


class _Host:
    """The test process, as the worker's host. ``reason``: why the worker stopped by itself, if it did."""

    def __init__(self, started: threading.Event) -> None:
        self.reason = ""
        self._started = started

    def registered(self, worker_id: int) -> None:
        """Do nothing: its threads are not started yet."""

    def stop(self, reason: str, exit_code: int) -> None:
        """Keep the reason."""
        self.reason = reason
        self._started.set()

    def kill(self, reason: str) -> None:
        """Keep the reason: the process is the test's."""
        self.stop(reason, EXIT_RECYCLE)


class _Liveness(SharedLiveness):
    """Nobody reads it; it tells when the threads of the worker have started."""

    def __init__(self, started: threading.Event) -> None:
        super().__init__()
        self._started = started

    def heartbeat_saved(self) -> None:
        """Let the block begin."""
        self._started.set()


def _check_database() -> None:
    alias = current_database()
    connection = connections[alias]
    if connection.in_atomic_block:
        raise ConfigurationError(
            "working(): expected no transaction, got one, and no other connection sees the jobs of it; use"
            " TransactionTestCase, LiveServerTestCase or django_db(transaction=True), or drain() instead"
        )
    is_in_memory = getattr(connection, "is_in_memory_db", None)
    if is_in_memory is not None and is_in_memory():
        raise ConfigurationError(
            f"working(): expected a database that several connections can use, got SQLite in memory; set"
            f' DATABASES["{alias}"]["TEST"] = {{"NAME": "test.sqlite3"}}'
        )


@contextmanager
def _connection_options_kept() -> Iterator[None]:
    """Restore what a worker changes for its whole process: options of connections, and who observes them."""
    before = {alias: deepcopy(settings.get("OPTIONS", {})) for alias, settings in connections.settings.items()}
    try:
        yield
    finally:
        stop_observing()
        for alias, options in before.items():
            connections.settings[alias]["OPTIONS"] = options


def _end(worker: Worker, seconds: float) -> bool:
    """Drain and close a worker; tell whether all of its jobs and threads have ended."""
    drained = worker.drain(seconds)
    closed = worker.close()
    return worker.end_threads(THREADS_SECONDS) and drained and closed


def _in_a_thread(work: partial[bool]) -> bool:
    """Return the result of ``work``, which closes the connections of its thread; those of the test stay open."""
    results: list[bool] = []

    def run() -> None:
        try:
            results.append(work())
        finally:
            connections.close_all()

    thread = threading.Thread(target=run, name="jobs-working")
    thread.start()
    thread.join()
    return bool(results) and results[0]
