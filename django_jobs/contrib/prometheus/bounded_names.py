"""Bound the values of a label over all processes of a runworker: the first 100 names are kept, in one file."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path

from .names import MAX_QUEUES, OTHER_QUEUE


class BoundedNames:
    """The names in a file with one JSON text a line, which processes append to under a lock."""

    def __init__(self, path: Path, *, limit: int = MAX_QUEUES) -> None:
        self._path = path
        self._limit = limit
        self._names: frozenset[str] = frozenset()

    def label(self, name: str) -> str:
        """Return the name itself if it is, or becomes, one of those that are kept."""
        if name not in self._names and len(self._names) < self._limit:
            self._names = self._add(name)
        return name if name in self._names else OTHER_QUEUE

    def _add(self, name: str) -> frozenset[str]:
        with self._path.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            names = {json.loads(line) for line in file}
            if name not in names and len(names) < self._limit:
                file.write(json.dumps(name) + "\n")
                names.add(name)
            return frozenset(names)
