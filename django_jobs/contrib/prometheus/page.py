"""The page ``/metrics`` of one runworker: the files of its processes, and the gauges of the database."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import struct
import tempfile
import threading
from pathlib import Path
from typing import IO

from django.db import Error as DatabaseError
from django.db import connections

from ...conf import get_settings
from ...store.readiness import reason_of
from ...store.stats.gauges import Gauges, read_gauges_of_each
from .client import DIRECTORY_VARIABLE, import_client
from .counters import count_in, stop_counting
from .dead_files import DeadFiles
from .gauges import GaugeCollector
from .names import MAX_QUEUES

logger = logging.getLogger("django_jobs.worker")

PREFIX = "django_jobs-metrics-"
LOCK = "lock"
ADD_UP_SECONDS = 10.0
"""How often files of ended processes are added up, whether somebody scrapes or not."""
ATTEMPTS = 3
"""A process that makes its file at this moment has not written its head yet."""
WAIT_SECONDS = 5.0
"""How long a scrape waits for another that reads the gauges, before it goes without."""


class MetricsPage:
    """Owns the directory in which the processes count, from ``open`` to ``close``."""

    path = "/metrics"
    title = "metrics"

    def __init__(self) -> None:
        self._closed = threading.Event()
        self._reading = threading.Lock()
        self._has_read = True

    def open(self) -> None:
        """Make the directory, and have this process and those that it forks, or spawns, count in it."""
        import_client()
        _remove_orphaned()
        self._directory, self._lock = _make_directory()
        os.environ[DIRECTORY_VARIABLE] = str(self._directory)
        count_in(str(self._directory))
        self._dead_files = DeadFiles(self._directory)

    def start(self) -> None:
        """Start to add the files of ended processes up."""
        threading.Thread(target=self._add_up_repeatedly, name="jobs-metrics", daemon=True).start()

    def close(self) -> None:
        """Remove the directory."""
        self._closed.set()
        stop_counting()
        self._dead_files.close()
        shutil.rmtree(self._directory, ignore_errors=True)
        self._lock.close()

    def render(self) -> tuple[bytes, str]:
        """Return the page in Prometheus's text format; without gauges of a database that does not answer."""
        client = import_client()
        registry = client.CollectorRegistry()
        registry.register(GaugeCollector(self._read()))
        import_client("prometheus_client.multiprocess").MultiProcessCollector(registry, path=str(self._directory))
        self._dead_files.add_up()
        with self._dead_files.lock:
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return client.generate_latest(registry), client.CONTENT_TYPE_LATEST
                except (OSError, struct.error, RuntimeError):
                    if attempt == ATTEMPTS:
                        raise
        raise AssertionError("unreachable")

    def _read(self) -> dict[str, Gauges | None]:
        nothing: dict[str, Gauges | None] = dict.fromkeys(get_settings().aliases)
        if not self._reading.acquire(timeout=WAIT_SECONDS):
            return nothing
        try:
            gauges = read_gauges_of_each(max_queues=MAX_QUEUES)
        except DatabaseError as error:
            if self._has_read:
                logger.warning("/metrics has no gauges: %s", reason_of(error))
            self._has_read = False
            return nothing
        else:
            self._has_read = True
            return gauges
        finally:
            connections.close_all()
            self._reading.release()

    def _add_up_repeatedly(self) -> None:
        while not self._closed.wait(ADD_UP_SECONDS):
            try:
                self._dead_files.add_up()
            except Exception:
                logger.exception("the metrics of ended processes could not be added up")


def _make_directory() -> tuple[Path, IO[bytes]]:
    """Make a directory that others see is in use."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _lock(directory)
        if lock is not None:  # else another start has taken it for an orphaned one, and removes it
            return directory, lock


def _lock(directory: Path) -> IO[bytes] | None:
    """Lock a directory for as long as this process lives; None if another process has it."""
    try:
        file = (directory / LOCK).open("ab")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _remove_orphaned() -> None:
    """Remove directories of this user whose supervisor was killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = _lock(directory) if (directory / LOCK).exists() else None
        if lock is not None:
            shutil.rmtree(directory, ignore_errors=True)
            lock.close()
