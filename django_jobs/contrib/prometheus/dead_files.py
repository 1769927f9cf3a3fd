"""Add the files of ended processes up, so that counters never fall and files do not pile up.

A process that has ended left one file a kind of metric. Each is added to the file of the same kind under the process
id 0, which no process has, and deleted. Of gauges only those stay that are summed, or compared, over all processes,
also ended ones: ``sum``, ``min``, ``max``, ``mostrecent``. A gauge with a series a process ends with its process.
"""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .client import import_client

logger = logging.getLogger("django_jobs.worker")

ENDED = 0
Entry = tuple[float, float]
"""A value and the time at which it was set, if it is one of ``mostrecent``."""


def _add(old: Entry, new: Entry) -> Entry:
    return old[0] + new[0], 0.0


ADDITIONS: dict[str, Callable[[Entry, Entry], Entry]] = {
    "counter": _add,
    "histogram": _add,
    "summary": _add,
    "gauge_sum": _add,
    "gauge_min": min,
    "gauge_max": max,
    "gauge_mostrecent": lambda old, new: max(old, new, key=lambda entry: entry[1]),
}
"""Of the beginning of a file's name: two values to one. Others are deleted."""


class DeadFiles:
    """The files of one directory. ``lock`` is held while they are added up, and by whoever reads them all."""

    def __init__(self, directory: Path) -> None:
        self.lock = threading.Lock()
        self._directory = directory
        self._dictionary = import_client("prometheus_client.mmap_dict").MmapedDict
        self._sums: dict[str, Any] = {}
        self._entries: dict[tuple[str, str], Entry] = {}

    def add_up(self) -> None:
        """Add the files of all processes that have ended.

        A new process that gets the id of one that has ended goes on with its files, so it is enough that an id is not
        in use at this moment.
        """
        with self.lock:
            for path in sorted(self._directory.glob("*.db")):
                kind, _, pid = path.stem.rpartition("_")
                if pid.isdecimal() and int(pid) != ENDED and not _is_alive(int(pid)):
                    self._add_file(path, kind)

    def close(self) -> None:
        """Close the sums."""
        with self.lock:
            for file in self._sums.values():
                file.close()

    def _add_file(self, path: Path, kind: str) -> None:
        add = ADDITIONS.get(kind)
        if add is not None:
            try:
                found = [(key, (value, at)) for key, value, at, _ in self._dictionary.read_all_values_from_file(path)]
            except (OSError, RuntimeError, UnicodeDecodeError, struct.error) as error:
                logger.warning("the metrics in %s, of a process that died, cannot be read: %s", path.name, error)
                found = []
            for key, entry in found:
                self._add_entry(kind, key, entry, add)
        path.unlink(missing_ok=True)

    def _add_entry(self, kind: str, key: str, entry: Entry, add: Callable[[Entry, Entry], Entry]) -> None:
        old = self._entries.get((kind, key))
        total = entry if old is None else add(old, entry)
        self._entries[kind, key] = total
        if kind not in self._sums:
            self._sums[kind] = self._dictionary(str(self._directory / f"{kind}_{ENDED}.db"))
        self._sums[kind].write_value(key, *total)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
