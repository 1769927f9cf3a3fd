"""The files of the code that runs, and when they changed: what ``--reload`` watches."""

from __future__ import annotations

from pathlib import Path

from django.utils import autoreload


def file_times() -> dict[Path, float]:
    """Return the files of all imported modules and their times of change."""
    times: dict[Path, float] = {}
    for path in autoreload.iter_all_python_module_files():
        try:
            times[path] = path.stat().st_mtime
        except OSError:
            continue
    return times


class FileWatch:
    """Remembers the files of the code and tells which of them have changed since the last time."""

    def __init__(self) -> None:
        self._times = file_times()

    def changed(self) -> list[Path]:
        """Return the files that have changed, in order. A newly imported module is no change."""
        times = file_times()
        changed = sorted((path for path, before in self._times.items() if times.get(path) != before), key=str)
        self._times = times
        return changed
